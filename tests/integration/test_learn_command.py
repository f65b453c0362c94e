"""``earnest learn`` from the command line, with a shipped model, and what it loads."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import earnest
from earnest.apps.cli.main import cli
from earnest.bundle import SHIPPED
from earnest.evaluation.texts import SCORES_IN_WORDS

DEMO = SHIPPED.parent / "demo"  # synthetic speech
NAMES = ("plain", "lively", "loud-and-fast")
HEAVY = {"torch", "onnx", "librosa", "sklearn", "pandas", "pyarrow", "matplotlib", "scipy"}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Parts of the demo recordings; who speaks is made up."""
    rows = [
        f"{DEMO / name}.flac,{start},{start + 1.2},{name},speaker {place % 3}"
        for name in NAMES
        for place, start in enumerate((0, 0.2, 0.8, 1.2))
    ]
    path = tmp_path / "mine.csv"
    path.write_text("file,start,end,how,caller\n" + "\n".join(rows), encoding="utf-8")
    return path


def invoke(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(cli, list(map(str, words)))
    assert done.exception is None or isinstance(done.exception, SystemExit | earnest.EarnestError), done.exception
    return done.exit_code, done.output


def options(table: Path) -> list[object]:
    return [table, "--from", "small", "--label-column", "how", "--speaker-column", "caller", "--no-report"]


def test_the_table_says_what_was_learnt_and_the_model_answers(table: Path, tmp_path: Path) -> None:
    code, said = invoke("learn", *options(table), "--output", tmp_path / "mine")
    assert code == 0
    assert "Read as a table; labels: column 'how'; speakers: column 'caller'." in said
    for words in (
        "WA %",
        "UA %",
        "ECE",
        "speaker-independent, each of 3 speakers left out once",
        "What would help most",
    ):
        assert words in said
    assert said.count(SCORES_IN_WORDS) == 1
    assert "report.html" not in said  # it was not asked for
    code, said = invoke("predict", DEMO / "plain.flac", "--model", tmp_path / "mine", "--json")
    assert code == 0 and json.loads(said)["probabilities"].keys() == set(NAMES)
    done = CliRunner().invoke(cli, ["learn", *map(str, options(table)), "--output", str(tmp_path / "mine")])
    assert "Replace it with --overwrite, or choose another --output." in str(done.exception)


def test_recordings_that_could_not_be_used_are_exit_code_3_and_in_the_json(table: Path, tmp_path: Path) -> None:
    with table.open("a", encoding="utf-8") as file:
        file.write("\nmissing.wav,,,plain,speaker 0\n")
    code, said = invoke("learn", *options(table), "--output", tmp_path / "mine", "--json")
    values = json.loads(said)
    assert code == 3 and values["n_refused"] == 1 and "no such file" in values["refused"][0]["reason"]
    assert values == json.loads((tmp_path / "mine" / "learn.json").read_text(encoding="utf-8"))


def test_the_page_has_a_map_and_what_would_help(table: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    words = [word for word in options(table) if word != "--no-report"]
    code, said = invoke("learn", *words, "--output", tmp_path / "mine")
    assert code == 0 and "report.html" in said
    page = (tmp_path / "mine" / "report.html").read_text(encoding="utf-8")
    assert "Map of the recordings" in page and "What would help" in page and "loud-and-fast" in page
    assert '<th scope="row">tested</th><td>' in "".join(map(str.strip, page.splitlines()))  # words, which may be broken
    assert "Speakers and groups" in page and "(--data)" not in page  # all that the table says is at hand
    assert (tmp_path / "mine" / "report" / "map.png").stat().st_size > 1_000


def test_learning_loads_nothing_heavy(table: Path, tmp_path: Path) -> None:
    code = (
        "import sys, earnest\n"
        "earnest.learn(sys.argv[1], sys.argv[2], model='small', label_column='how', report=False)\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    words = [sys.executable, "-c", code, str(table), str(tmp_path / "mine")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--label-column", "hwo"], "Did you mean 'how'?"),
        ([], "which column is the label? Say --label-column NAME"),
        (["--label-pattern", "("], "not a regular expression"),
        (["--label-column", "how", "--from", "smal"], "Did you mean 'small'?"),
        (["--label-column", "how", "--continue", "nowhere"], "Only a model that `earnest learn` made"),
    ],
)
def test_what_was_not_understood_is_told(table: Path, tmp_path: Path, words: list[str], said: str) -> None:
    done = CliRunner().invoke(cli, ["learn", str(table), "--output", str(tmp_path / "mine"), *words])
    assert isinstance(done.exception, earnest.EarnestError)
    assert said in str(done.exception)
