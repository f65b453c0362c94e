"""Own recordings in the long way: manifest, train and evaluate, by path, in the user's words."""

import json
import logging
import re
import shlex
from pathlib import Path

import pytest
import soundfile
from command_line import earnest_cli
from csv_tables import rows_of
from made_up_corpus import MANNERS, RATE_HZ, recipe_text, spoken

from earnest.errors import CorpusError, RecipeError, SplitError
from earnest.training.record import read_record

WORDS = {"neutral": "ruhig", "happy": "froh", "sad": "sad", "angry": "wütender Kunde"}
CLASSES = ("sad", "froh", "ruhig", "wütender Kunde")


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Return a folder for each class, with the speaker in the names."""
    folder = tmp_path / "calls"
    for emotion in MANNERS:
        for speaker in range(5):
            path = folder / WORDS[emotion] / f"{speaker}_{emotion}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, spoken(emotion, speaker, 0), RATE_HZ, subtype="PCM_16")
    return folder


@pytest.fixture
def manifest(recordings: Path, tmp_path: Path) -> Path:
    earnest_cli("corpus", "manifest", recordings, "-o", tmp_path / "calls.csv", "--speaker-pattern", r"/(\d)_")
    return tmp_path / "calls.csv"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Return a recipe of another corpus and other classes, as those that come with the package."""
    path = tmp_path / "recipe.toml"
    text = recipe_text(epochs=1, corpus="ravdess").replace("width = 32", "width = 8")
    path.write_text('scheme = "six"\nprotocol = "ravdess-6fold"\n' + text, encoding="utf-8")
    return path


def test_a_recipe_trains_on_them_as_it_is_and_the_model_answers_in_their_words(
    recipe: Path, manifest: Path, tmp_path: Path
) -> None:
    run = tmp_path / "a run"
    told = earnest_cli("train", recipe, "--corpus", manifest, "--output", run)
    assert "speaker-independent test, 4 utterances" in told
    assert "Labels: 20 kept." in told
    assert f"Next: earnest export '{run}' --output 'bundles/a run'" in told
    record = read_record(run)
    assert (record.classes, record.protocol) == (CLASSES, "speaker-holdout")
    rows = rows_of(run / "predictions.csv")
    assert {row["emotion"] for row in rows} == set(CLASSES)
    assert {f"p_{name}" for name in CLASSES} < set(rows[0])


def test_an_evaluation_leaves_each_speaker_out_and_tells_the_next_command(
    recipe: Path, manifest: Path, tmp_path: Path
) -> None:
    output = tmp_path / "a result"
    told = earnest_cli("evaluate", recipe, "--corpus", manifest, "--output", output)
    assert "loso (speaker-independent)" in told
    assert f"Next: earnest report '{output}'" in told
    document = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
    assert (document["protocol"], document["n"], len(document["folds"])) == ("loso", 20, 5)
    assert f"--corpus {manifest}" in document["command"]


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_what_is_told_of_single_rows_is_told_once(
    command: str, recipe: Path, manifest: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = tmp_path / "mine.csv"
    rows = [(row["path"], row["native_emotion"], row["speaker"]) for row in rows_of(manifest)]
    lines = [("path", "label", "speaker"), *rows, ("gone.wav", "sad", "0")]
    table.write_text("\n".join(map(",".join, lines)), encoding="utf-8")
    words = ["--folds", "mine-calls-0"] if command == "evaluate" else []
    with caplog.at_level(logging.WARNING):
        earnest_cli(command, recipe, "--corpus", table, "--output", tmp_path / "out", *words)
    (told,) = [message for message in caplog.messages if "left out" in message]
    assert told.startswith("mine: 1 of 21 recordings left out: 1 × gone.wav: no such file.")


def test_a_search_takes_them_by_path_and_the_next_command_too(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = tmp_path / "found.toml"
    text = recipe_text(corpus="ravdess", extra='method = "discriminant"')
    recipe.write_text(f"{text}[tune]\ntrials = 2\n[tune.choices]\ntraining.shrinkage = [0.2, 0.6]\n", encoding="utf-8")
    told = earnest_cli("tune", recipe, "--corpus", manifest)
    assert "speaker-holdout" in told
    typed = shlex.split(told.rpartition("Next: earnest ")[2])
    assert typed[1] == f"runs/found-{manifest.stem}-speaker-holdout-tune/best.toml"
    assert "speaker-independent test, 4 utterances" in earnest_cli(*typed)


def test_without_speakers_it_is_refused_or_called_speaker_dependent(
    recipe: Path, recordings: Path, tmp_path: Path
) -> None:
    with pytest.raises(SplitError, match=r"20 recordings, no speaker named.*--protocol stratified-5fold"):
        earnest_cli("train", recipe, "--corpus", recordings, "--output", tmp_path / "run")
    assert not (tmp_path / "run" / "recipe.toml").exists()
    words = ["--corpus", recordings, "--output", tmp_path / "run", "--protocol", "stratified-5fold"]
    told = earnest_cli("train", recipe, *words)
    assert "speaker-dependent test" in told
    assert "train and test share unknown speakers" in told


def test_after_a_failed_run_the_corrected_one_takes_its_folder(
    recipe: Path, manifest: Path, recordings: Path, tmp_path: Path
) -> None:
    broken, run = recordings / "sad" / "0_broken.wav", tmp_path / "run"
    broken.write_bytes(b"RIFF, and no more")
    earnest_cli("corpus", "manifest", recordings, "-o", tmp_path / "2.csv", "--speaker-pattern", r"/(\d)_")
    with pytest.raises(CorpusError, match=r"0_broken\.wav.*") as refused:
        earnest_cli("train", recipe, "--corpus", tmp_path / "2.csv", "--output", run)
    assert "earnest corpus manifest PATH -o mine.csv --readable" in str(refused.value)
    words = ["--corpus", manifest, "--output", run]
    earnest_cli("train", recipe, *words, "--set", "training.learning_rate=1e-3")
    assert read_record(run).n_test == 4
    with pytest.raises(RecipeError, match=r"holds a run of another recipe\. Choose another --output"):
        earnest_cli("train", recipe, *words)


def test_the_commands_of_the_page_work_in_their_order(
    recipe: Path, recordings: Path, tmp_path: Path, monkeypatch
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "own-recordings.md").read_text(encoding="utf-8")
    block = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[0]
    for path in sorted(recordings.glob("*/*.wav")):
        target = tmp_path / "my-recordings" / path.parent.name / path.name[0] / path.name
        target.parent.mkdir(parents=True)
        path.rename(target)
    monkeypatch.chdir(tmp_path)
    done = []
    for line in block.splitlines():
        words = [str(recipe) if word == "own" else word for word in shlex.split(line, comments=True)[1:]]
        if words[0] in ("export", "predict"):  # as after any training
            continue
        earnest_cli(*words)
        done.append(words[0])
    assert done == ["corpus", "corpus", "evaluate", "train"]
    assert read_record(tmp_path / "runs" / "mine").classes == CLASSES


def test_the_recipe_for_own_recordings_needs_no_other_file(recordings: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("EARNEST_DATA", raising=False)
    monkeypatch.delenv("EARNEST_MODELS", raising=False)
    words = ["--corpus", recordings, "--protocol", "stratified-5fold", "--output", tmp_path / "run"]
    own = Path(__file__).parents[2] / "recipes" / "own.toml"
    assert "speaker-dependent test" in earnest_cli("train", own, *words)
    assert read_record(tmp_path / "run").classes == CLASSES
