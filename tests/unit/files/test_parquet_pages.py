"""Pages of Parquet are as large as their headers say, and what would take the memory of a machine is not unpacked."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from earnest.errors import CorpusError
from earnest.files import tables
from earnest.files.tables import largest_shared_page, opened_parquet, parquet_texts

pytest.importorskip("pyarrow.parquet", reason="needs pyarrow, earnest[parquet]")
import pyarrow
import pyarrow.parquet

N_ROWS = 30_000


def written(path: Path, columns: dict[str, Any], **options: Any) -> Any:
    """Write a table; return its metadata."""
    pyarrow.parquet.write_table(pyarrow.table(columns), path, **options)
    return pyarrow.parquet.read_metadata(path)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "zstd", "gzip"])
@pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_BYTE_ARRAY", "dictionary"])
def test_headers_tell_all_pages(tmp_path: Path, version: str, compression: str, encoding: str) -> None:
    path = tmp_path / "a.parquet"
    cells = pyarrow.array([f"name {number % 1000}" if number % 7 else None for number in range(N_ROWS)])
    given = {"use_dictionary": True} if encoding == "dictionary" else {"use_dictionary": False}
    more = {} if encoding == "dictionary" else {"column_encoding": {"a": encoding}}
    metadata = written(
        path,
        {"a": cells},
        data_page_version=version,
        compression=compression,
        row_group_size=N_ROWS // 2,
        data_page_size=2**12,
        **given,
        **more,
    )
    with path.open("rb") as file:
        for number in range(2):
            chunk = metadata.row_group(number).column(0)
            told = tables._footer(file)[tables._GROUPS][number][tables._COLUMNS][0][tables._CHUNK]
            pages = list(tables._pages(file, told))
            assert sum(page.n_values for page in pages) == N_ROWS // 2
            # What is missing of the chunk's own count are the headers themselves.
            n_bytes = sum(page.unpacked_bytes for page in pages)
            assert 0 < chunk.total_uncompressed_size - n_bytes < 100 * len(pages)
            assert any(page.is_shared for page in pages) is (encoding != "PLAIN")
    assert (largest_shared_page(path, metadata, ["a"]) > 0) is (encoding != "PLAIN")


@pytest.mark.parametrize("is_dictionary", [False, True])
def test_a_page_that_swells_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_dictionary: bool
) -> None:
    monkeypatch.setattr(tables, "MOST_PAGE_BYTES", 2**20)
    path, limit = tmp_path / "a.parquet", 2**30
    columns = {"utterance_id": ["a"], "predicted": ["x" * 2**21]}
    written(path, columns, compression="zstd", use_dictionary=is_dictionary, dictionary_pagesize_limit=limit)
    assert path.stat().st_size < 20_000
    with opened_parquet(path) as file:
        assert list(parquet_texts(path, file, ["utterance_id"])) == [["a"]]  # the page is of a column that isn't read
        with pytest.raises(CorpusError, match=r"column predicted has a page of .* that unpack to 2 MiB, more than 1"):
            next(parquet_texts(path, file, ["utterance_id", "predicted"]))


def test_a_large_page_that_is_as_large_in_the_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MOST_PAGE_BYTES", 2**20)
    path = tmp_path / "a.parquet"
    written(path, {"a": ["x" * 2**21]}, compression="none")
    with opened_parquet(path) as file:
        assert [len(row[0]) for row in parquet_texts(path, file, ["a"])] == [2**21]


@pytest.mark.parametrize("damage", [b"\xff", b"\xff" * 396, b"\x15\0\x15\0\x15\0\x25\2\0"])  # the last: no struct
def test_damaged_headers_are_told(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "a.parquet"
    written(path, {"a": [f"name {number}" for number in range(1000)]})
    data = bytearray(path.read_bytes())
    data[4 : 4 + len(damage)] = damage
    path.write_bytes(data)
    with opened_parquet(path) as file, pytest.raises(CorpusError, match="not a readable Parquet table"):
        list(parquet_texts(path, file, ["a"]))


def test_no_byte_of_a_footer_ends_the_process(tmp_path: Path) -> None:
    path, other = tmp_path / "a.parquet", tmp_path / "b.parquet"
    written(path, {"a": ["x", None, "y"], "b": [1.0, 2.0, None]})
    script = f"""
from pathlib import Path
from earnest.errors import CorpusError
from earnest.files.tables import opened_parquet, parquet_texts
data, other = Path({str(path)!r}).read_bytes(), Path({str(other)!r})
start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
told = 0
for place in range(start, len(data)):
    for value in (data[place] ^ 1, data[place] ^ 16, 255):
        other.write_bytes(data[:place] + bytes([value]) + data[place + 1 :])
        try:
            with opened_parquet(other) as file:
                for _ in parquet_texts(other, file, file.schema_arrow.names):
                    pass
        except CorpusError:
            told += 1
print(told)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-1000:]
    assert int(done.stdout) > 100


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere memory is counted otherwise")
def test_rows_that_share_a_large_cell_are_read_a_few_at_a_time(tmp_path: Path) -> None:
    path, cell = tmp_path / "a.parquet", 4 * 2**20
    cells = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 500, pyarrow.int32()), pyarrow.array(["x" * cell]))
    written(path, {"a": cells}, compression="zstd", dictionary_pagesize_limit=2**30, store_schema=False)
    script = f"""
from pathlib import Path
from earnest.files import tables
tables._BATCH_BYTES = {64 * 2**20}
path = Path({str(path)!r})
with tables.opened_parquet(path) as file:
    n_rows = sum(len(row[0]) == {cell} for row in tables.parquet_texts(path, file, ["a"]))
(most,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(n_rows, int(most.split()[1]) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    n_rows, mib = map(int, done.stdout.split())
    assert n_rows == 500
    assert mib < 700  # 4,000 in one piece
