import json

import pytest
from click.testing import CliRunner, Result

from earnest.apps.cli.main import cli
from earnest.errors import CorpusError, RecipeError

LINES = [
    "utterance_id,speaker,emotion,predicted",
    "a,ann,happy,happy",
    "b,ben,sad,",
    "c,ann,sad,happy",
    "d,ben,sad,sad",
]


@pytest.fixture
def predictions(tmp_path):
    path = tmp_path / "predictions.csv"
    path.write_text("\n".join(LINES) + "\n")
    return str(path)


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, ["score", *words])


def test_json_holds_the_metrics(predictions):
    result = run(predictions, "--json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert (document["wa"], document["ua"], document["coverage"]) == (0.5, pytest.approx(2 / 3), 0.75)
    assert document["confusion"] == [[1, 0], [1, 1]]
    assert document["speaker_independent"] is None


def test_the_table_names_the_protocol_and_that_it_is_speaker_dependent(predictions):
    assert "emocatcher-5fold (speaker-dependent)" in run(predictions, "--protocol", "emocatcher-5fold").stdout


def test_without_a_protocol_the_open_question_is_said_on_standard_error(predictions):
    assert "doesn't say whether training saw these speakers" in run(predictions).stderr
    assert run(predictions, "-q").stderr == ""


def test_unanswered_rows_are_shown(predictions):
    output = run(predictions).stdout
    assert "4 utterances, 75.0 % answered" in output
    assert "none" in output


def test_wrong_names_and_files_are_deliberate_errors(predictions, tmp_path):
    assert isinstance(run(predictions, "--protocol", "loos").exception, RecipeError)
    assert isinstance(run(str(tmp_path / "absent.csv")).exception, CorpusError)
