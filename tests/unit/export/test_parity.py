"""What `earnest parity --output` writes for people."""

import json
from pathlib import Path

from earnest.export.parity import Row, _cold_start, write_rows

ROW = Row("torch", "float32", 0.0, 0.0, 1.0, 3_122_288, 4.96, 4.35, 8.93, None)


def test_the_page_is_a_table_with_one_header_for_each_column(tmp_path: Path) -> None:
    write_rows(tmp_path, "small-f1", 200, [ROW])
    page = (tmp_path / "small-f1.md").read_text(encoding="utf-8")
    n_cells = [line.count("|") - 1 for line in page.splitlines() if line.startswith("|")]
    assert n_cells == 3 * [len(ROW.cells())]  # Markdown shows no table where these differ
    assert page.startswith("# Runtimes beside torch: `small-f1`")
    assert "\n200 recordings" in page


def test_rows_are_written_whole(tmp_path: Path) -> None:
    write_rows(tmp_path, "small-f1", 200, [ROW])
    written = json.loads((tmp_path / "small-f1.json").read_text("utf-8"))
    assert [Row(**row) for row in written["rows"]] == [ROW]
    assert written["n_clips"] == 200


def test_where_a_process_does_not_tell_its_memory_its_start_is_measured_all_the_same() -> None:
    seconds, memory_mb = _cold_start("from pathlib import Path; Path.exists = lambda _: False", "here", "", "")
    assert seconds > 0
    assert memory_mb is None
