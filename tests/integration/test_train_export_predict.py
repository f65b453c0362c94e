"""From a folder of recordings to a trained model to an emotion, through the commands that people type."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import earnest_cli
from csv_tables import rows_of
from made_up_corpus import MANNERS, NAME, Trained, recipe_text
from stand_in import write_bundle

from earnest.bundle import load_bundle
from earnest.corpora.manifest import read_manifest
from earnest.errors import AudioError, BundleError, EarnestError, RecipeError
from earnest.runtime.predictor import Predictor
from earnest.training.record import read_record


def test_a_small_model_learns_the_made_up_voices(trained: Trained) -> None:
    rows = rows_of(trained.run / "predictions.csv")
    assert len(rows) == 24  # two of six speakers
    right = sum(row["emotion"] == row["predicted"] for row in rows)
    assert right / len(rows) > 0.6  # a quarter by chance


def test_predictions_are_of_the_test_speakers_only(trained: Trained) -> None:
    split = json.loads((trained.run / "split.json").read_text())
    rows = rows_of(trained.run / "predictions.csv")
    assert [f"{row['corpus']}/{row['utterance_id']}" for row in rows] == split["test"]
    speaker_of = {row.key: row.speaker for row in read_manifest(trained.manifest)}
    speakers = [{speaker_of[key] for key in split[name]} for name in ("train", "valid", "test")]
    assert sum(len(names) for names in speakers) == len(set.union(*speakers)) == 6


def test_the_bundle_gives_the_runs_predictions_without_torch(trained: Trained) -> None:
    rows = rows_of(trained.run / "predictions.csv")
    clips = [trained.manifest.parent / f"{row['utterance_id']}.wav" for row in rows]
    answers = list(Predictor.load(trained.bundle).predict_many(clips))
    assert [answer.emotion for answer in answers] == [row["predicted"] for row in rows]
    for answer, row in zip(answers, rows, strict=True):
        expected = {name: float(row[f"p_{name}"]) for name in MANNERS}
        assert dict(answer.probabilities) == pytest.approx(expected, abs=1e-4)


def test_one_clip_alone_gets_the_answer_it_gets_among_others(trained: Trained) -> None:
    clips = sorted(trained.manifest.parent.glob("*.wav"))[:9]
    model = Predictor.load(trained.bundle)
    for clip, together in zip(clips, model.predict_many(clips), strict=True):
        assert dict(model.predict(clip).probabilities) == pytest.approx(dict(together.probabilities), abs=1e-5)


WITHOUT_TORCH = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "lightning", "sklearn", "scipy", "onnx"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocker())
import earnest
print(earnest.load(sys.argv[1]).predict(sys.argv[2]).emotion)
"""


def test_the_bundle_predicts_where_torch_can_not_be_imported(trained: Trained) -> None:
    row = rows_of(trained.run / "predictions.csv")[0]
    clip = trained.manifest.parent / f"{row['utterance_id']}.wav"
    words = [sys.executable, "-c", WITHOUT_TORCH, str(trained.bundle), str(clip)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [row["predicted"]]


def test_the_bundle_says_what_it_is_and_what_it_has_heard(trained: Trained) -> None:
    info, record = load_bundle(trained.bundle).info, read_record(trained.run)
    assert info.classes == ("neutral", "happy", "sad", "angry")
    assert (info.name, info.licence, info.network, info.origin) == ("bundle", "CC0-1.0", "cabg", "random")
    assert (info.n_parameters, info.temperature) == (record.n_parameters, record.temperature)
    assert info.recipe["training"]["epochs"] == 16
    heard = info.training_corpora[0]
    assert (heard.name, heard.licence, heard.n_utterances, heard.n_speakers) == ("made-up", "unknown", 48, 4)
    assert heard.hours == pytest.approx(48 * 0.65 / 3600, abs=0.002)
    card = (trained.bundle / "card.md").read_text()
    for word in ("Made-up voices.", "| made-up | unknown | 48 | 4 |", "CC0-1.0", f"{info.n_parameters:,} parameters"):
        assert word in card


def test_the_exported_graph_is_the_trained_network(trained: Trained) -> None:
    found = json.loads(
        earnest_cli("parity", trained.run, trained.bundle, trained.manifest.parent, "--limit", 12, "--json")
    )
    assert found["equal"]
    assert (found["n_clips"], found["same_label"]) == (12, 12)
    assert max(found["logits"], found["batched_probabilities"]) < 1e-4
    assert found["shortest_s"] < found["longest_s"]


def test_parity_leaves_out_and_names_what_cannot_be_read(trained: Trained, tmp_path: Path) -> None:
    clips = sorted(trained.manifest.parent.rglob("*.wav"))[:2]
    for clip in clips:
        shutil.copy(clip, tmp_path / clip.name)
    (tmp_path / "torn.wav").touch()
    found = json.loads(earnest_cli("parity", trained.run, trained.bundle, tmp_path, "--json", exit_code=3))
    assert found["equal"] and found["n_clips"] == 2
    with pytest.raises(AudioError, match=r"torn\.wav: empty"):
        earnest_cli("parity", trained.run, trained.bundle, tmp_path / "torn.wav")


def test_parity_reads_a_list_of_recordings(trained: Trained, tmp_path: Path) -> None:
    clips = sorted(trained.manifest.parent.rglob("*.wav"))[:3]
    (tmp_path / "mine.csv").write_text("path\n" + "".join(f"{clip}\n" for clip in clips))
    words = ("parity", trained.run, trained.bundle, tmp_path / "mine.csv")
    assert json.loads(earnest_cli(*words, "--json"))["n_clips"] == 3
    earnest_cli("parity", trained.run, trained.bundle, "-", exit_code=2)


def test_parity_with_another_run_fails(trained: Trained, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(trained.run, other)
    record = json.loads((other / "run.json").read_text())
    (other / "run.json").write_text(json.dumps({**record, "temperature": 3 * record["temperature"]}))
    table = earnest_cli("parity", other, trained.bundle, trained.manifest.parent, "--limit", 3, exit_code=1)
    assert "Same label: 3 of 3" in table


def test_parity_with_a_bundle_for_openvino_says_which_option_compares_it(trained: Trained, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(trained.bundle, other)
    info = json.loads((other / "bundle.json").read_text())
    (other / "bundle.json").write_text(json.dumps({**info, "format": "openvino"}))
    with pytest.raises(BundleError, match=r"for OpenVINO, .* With --output FOLDER"):
        earnest_cli("parity", trained.run, other, trained.manifest.parent)


def test_parity_with_a_bundle_of_other_classes_is_refused(trained: Trained, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="other classes"):
        earnest_cli("parity", trained.run, write_bundle(tmp_path / "other"), trained.manifest.parent)


def test_a_finished_run_is_read_not_trained_again(trained: Trained) -> None:
    drawn_anew = ("metrics.json", "history.png")
    trained_once = [path for path in trained.run.iterdir() if path.name not in drawn_anew]
    before = {path: path.stat().st_mtime_ns for path in trained_once}
    metrics = (trained.run / "metrics.json").read_bytes()
    said = json.loads(earnest_cli("train", trained.recipe, "--data", trained.data, "--output", trained.run, "--json"))
    assert {path: path.stat().st_mtime_ns for path in trained_once} == before
    assert (trained.run / "metrics.json").read_bytes() == metrics
    assert said["epochs"] == 16
    assert said["test"]["n"] == 24


def test_another_recipe_or_split_in_the_same_folder_is_refused(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text(recipe_text(epochs=17))
    with pytest.raises(RecipeError, match=r"another recipe\. Choose another --output"):
        earnest_cli("train", tmp_path / "other.toml", "--data", trained.data, "--output", trained.run)
    words = ("--protocol", "speaker-5fold", "--fold", "f2")
    with pytest.raises(RecipeError, match=r"another split\. Choose another --output"):
        earnest_cli("train", trained.recipe, "--data", trained.data, "--output", trained.run, *words)


def test_with_all_data_no_clip_is_left_out(made_up: Path, tmp_path: Path) -> None:
    (tmp_path / "short.toml").write_text(recipe_text(epochs=1))
    words = ("--data", f"made-up={made_up}", "--output", tmp_path / "run", "--all-data", "-q")
    said = earnest_cli("train", tmp_path / "short.toml", *words)
    assert "trained on 72 utterances, validation utterances among them" in said
    record = read_record(tmp_path / "run")
    assert (record.n_train, record.n_test, record.refitted) == (72, 0, True)
    assert record.training_corpora[0].n_utterances == 72
    assert not (tmp_path / "run" / "predictions.csv").exists()
    assert not list((tmp_path / "run").rglob("*.ckpt"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--protocol", "speaker-5folds"], "no protocol 'speaker-5folds'. Did you mean 'speaker-5fold'?"),
        (["--protocol", "speaker-5fold", "--fold", "f9"], "no fold 'f9'"),
        (
            ["--protocol", "ravdess-6fold"],
            "protocol ravdess-6fold reads no corpus 'made-up' here. Choose one of: ravdess.",
        ),
        (["--data", "made-up=absent"], "absent: no such folder"),
    ],
)
def test_a_wrong_word_is_explained_in_one_line(
    changes: list[str], message: str, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EARNEST_DATA", raising=False)
    with pytest.raises(EarnestError) as error:
        earnest_cli("train", trained.recipe, "--data", trained.data, "--output", tmp_path / "run", *changes)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_model_is_told_the_nearest(trained: Trained, tmp_path: Path) -> None:
    (tmp_path / "wrong.toml").write_text(recipe_text().replace('"cabg"', '"cabgg"'))
    with pytest.raises(EarnestError, match=r"no model called 'cabgg'\. Did you mean 'cabg'"):
        earnest_cli("train", tmp_path / "wrong.toml", "--data", trained.data, "--output", tmp_path / "run")


def test_a_folder_without_a_finished_run_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(EarnestError, match=r"run\.json is missing"):
        earnest_cli("export", tmp_path, "--output", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_names_of_networks_are_listed_without_importing_torch() -> None:
    code = "import sys; from earnest.apps.cli.main import cli; cli(['models', '--json', '-q'], standalone_mode=False)"
    code += "; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "cabg" in json.loads(done.stdout)["networks"]


def test_a_training_on_one_fold_says_so_and_is_no_result_of_the_whole_protocol(made_up: Path, tmp_path: Path) -> None:
    recipe, run = tmp_path / "recipe.toml", tmp_path / "run"
    recipe.write_text(recipe_text(epochs=1), encoding="utf-8")
    words = ("--protocol", "speaker-3fold", "--fold", "f2", "--data", f"{NAME}={made_up}")
    earnest_cli("train", recipe, *words, "--output", run)
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["part"] == "only f2 of 3 folds"
    assert metrics["title"] == "speaker-3fold, only f2 of 3 folds (speaker-independent)"
    assert metrics["clips"].endswith("only f2 of 3 folds tested: 24 utterances")
    with pytest.raises(EarnestError, match="only f2 of 3 folds were scored"):
        earnest_cli("export", run, "--output", tmp_path / "bundle", "--results", run)
