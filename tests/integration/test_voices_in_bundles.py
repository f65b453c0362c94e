"""A last layer with each voice's own places: from training to bundle, on the made-up voices."""

from pathlib import Path

import pytest
from command_line import earnest_cli
from csv_tables import rows_of
from made_up_corpus import MANNERS, NAME, recipe_text

import earnest
from earnest.bundle import load_bundle
from earnest.export.parity import compare
from earnest.training.record import read_record
from earnest.training.run import load_run

ENCODER = "width = 48\nn_heads = 2\nfeed_forward_width = 48\nn_blocks = 1\npooled_blocks = [1]\nfrozen = true"
CLOSED = 'method = "discriminant"\nshrinkage = 0.3\nrefit = true'


def evaluated(folder: Path, made_up: Path) -> Path:
    """Return the folder of the first fold."""
    text = recipe_text(extra=CLOSED).replace('"cabg"', '"whisper-statistics"')
    path = folder / "recipe.toml"
    path.write_text(text.replace("width = 32", f"{ENCODER}\nby_voice = true"), encoding="utf-8")
    words = ("--protocol", "stratified-4fold", "--data", f"{NAME}={made_up}", "--output", folder / "results")
    earnest_cli("evaluate", path, *words)
    return next(iter(sorted(record.parent for record in (folder / "results").glob("*/run.json"))))


@pytest.fixture(scope="module")
def run(made_up: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run, with its bundle."""
    found = evaluated(tmp_path_factory.mktemp("by-voice"), made_up)
    earnest_cli("export", found, "--output", found / "bundle", "--licence", "CC0-1.0")
    return found


def test_the_graph_gives_torchs_probabilities(run: Path, made_up: Path) -> None:
    found = compare(run, run / "bundle", sorted(made_up.parent.glob("*.wav"))[::9])
    assert max(found.probabilities, found.batched_probabilities) < 1e-4
    assert found.same_label == found.n_clips


def test_the_bundle_answers_what_the_run_predicted(run: Path, made_up: Path) -> None:
    rows = rows_of(run / "predictions.csv")
    paths = [made_up.parent / f"{row['utterance_id']}.wav" for row in rows]
    model = earnest.load(run / "bundle")
    model.activity = "energy"  # not every made-up voice is speech to a detector that learnt from real ones
    answers = list(model.predict_many(paths, abstain_below=0.0))
    assert [answer.emotion for answer in answers] == [row["predicted"] for row in rows]
    assert len({row["predicted"] for row in rows}) > 1


def test_it_knows_the_training_voices_and_gets_used_to_none(run: Path) -> None:
    assert read_record(run).adaptation is None
    assert load_bundle(run / "bundle").info.adaptation is None
    n_speakers = len({row["speaker"] for row in rows_of(run / "predictions.csv")})
    assert load_run(run).network.output.out_features == len(MANNERS) * n_speakers
