"""Own recordings to one's own model, with a made-up base whose embedding is a clip's loudness."""

import csv
import errno
import json
import os
import re
import shutil
import signal
from collections import Counter
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import soundfile
from stand_in import stand_in_model, with_mismatch, with_overlap, write_bundle, write_hearing

import earnest
from earnest.bundle import TrainingCorpus, load_bundle, path_of_bundle
from earnest.corpora.own.data import Refused
from earnest.errors import BundleError, CorpusError, EarnestError
from earnest.evaluation.predictions import read_predictions
from earnest.export import card
from earnest.files.writing import refuse_changed
from earnest.onnx.surgery import MISMATCH, OVERLAP, added_head_of
from earnest.own import learn as own
from earnest.own.bundle import Learned
from earnest.own.page import _refused
from earnest.report.result import read_result
from earnest.report.sections import COLUMNS, headline_row
from earnest.testing.sounds import voice

RATE_HZ = 16_000
LEVELS = {"leise": 0.09, "laut": 0.32, "好的": 0.17}
N_SPEAKERS, N_TAKES = 5, 4


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("base") / "base")


def clip(label: str, number: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    return voice(0.6, level=LEVELS[label] * rng.uniform(0.85, 1.15), pitch_hz=rng.uniform(160, 200), seed=number)


def write_clips(folder: Path, speakers: range = range(N_SPEAKERS)) -> Path:
    """Write a folder for each class; names begin with the speaker."""
    number = 1_000 * speakers.start
    for label in LEVELS:
        (folder / label).mkdir(parents=True, exist_ok=True)
        for speaker in speakers:
            for take in range(N_TAKES):
                number += 1
                soundfile.write(folder / label / f"s{speaker}-{take}.wav", clip(label, number), RATE_HZ)
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clips(tmp_path_factory.mktemp("clips") / "clips")


def learn(source: Path, output: Path, base: Path, **more: Any) -> Learned:
    return earnest.learn(source, output, model=base, **{"report": False, "speaker_pattern": r"(s\d+)-", **more})


@pytest.fixture(scope="module")
def model(clips: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return learn(clips, tmp_path_factory.mktemp("mine") / "mine", base).path


def test_the_users_words_are_learnt_and_answered(model: Path) -> None:
    mine = earnest.load(model)
    assert mine.info.classes == ("laut", "leise", "好的")
    for label in LEVELS:
        answer = mine.predict((clip(label, 77), RATE_HZ), abstain_below=0)
        assert answer.emotion == label
        assert answer.polarity == 0.0
    timeline = mine.timeline((np.tile(clip("laut", 5), 12), RATE_HZ), abstain_below=0)
    assert {span.emotion for span in timeline.spans} == {"laut"}
    with mine.stream(sample_rate_hz=RATE_HZ) as stream:
        events = [*stream.accept_waveform(np.tile(clip("leise", 5), 12)), *stream.finish()]
    assert events


def start_of(folder: Path, name: str = MISMATCH) -> float | None:
    found = added_head_of(load_bundle(folder).model_bytes(), name, 3)
    return found and found.start


def test_several_people_at_once_make_less_sure_but_where_own_recordings_are_of_several(
    clips: Path, tmp_path: Path
) -> None:
    starts = []
    for louder_than in (0.6, 0.1):
        name = str(louder_than)
        base = write_bundle(tmp_path / f"base-{name}", with_overlap(stand_in_model(), louder_than))
        mine = learn(clips, tmp_path / name, base).path
        starts.append(start_of(mine, OVERLAP) or 0.0)
        assert start_of(learn(clips, tmp_path / f"{name}-again", mine).path, OVERLAP) == starts[-1]
    assert starts[0] == 0.0 and starts[1] > 5


def test_speech_that_the_base_knows_to_be_told_badly_stays_out_of_domain(clips: Path, tmp_path: Path) -> None:
    base = write_bundle(tmp_path / "base", with_mismatch(stand_in_model(), louder_than=0.6), out_of_domain_from=2.0)
    mine = learn(clips, tmp_path / "mine", base).path
    assert start_of(mine) == 2.0
    assert earnest.load(mine).info.out_of_domain_from != 2.0  # its own, of its own embeddings
    again = learn(clips, tmp_path / "again", mine).path
    assert start_of(again) == 2.0
    # Own recordings that are such themselves are no stranger than others; nobody asks for louder ones then.
    base = write_bundle(tmp_path / "quiet", with_mismatch(stand_in_model(), louder_than=0.1), out_of_domain_from=2.0)
    used = learn(clips, tmp_path / "used", base).path
    assert 2.9 < (start_of(used) or 0) <= 3.0
    assert "out-of-domain" not in earnest.load(used).predict((clip("laut", 77), RATE_HZ)).quality


def test_a_model_may_be_called_as_a_shipped_one_is(clips: Path, base: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    learned = learn(clips, Path("small"), base)
    assert load_bundle(path_of_bundle(learned.path)).info.classes == tuple(sorted(LEVELS))
    assert path_of_bundle(Path("mine")) == "mine"


def test_scores_are_of_speakers_who_were_left_out(clips: Path, base: Path, tmp_path: Path) -> None:
    learned = learn(clips, tmp_path / "mine", base)
    assert learned.speaker_independent and learned.n_speakers == N_SPEAKERS
    assert learned.n == len(LEVELS) * N_SPEAKERS * N_TAKES and learned.n_refused == 0
    assert dict(learned.rows())["recordings"] == f"{learned.n}, {3600 * learned.hours:.3g} s"
    assert learned.wa > 0.85 and learned.title.startswith("speaker-independent, each of 5 speakers")
    predictions = read_predictions(tmp_path / "mine" / "predictions.csv")
    assert predictions.folds == [f"own-s{number}" for number in range(N_SPEAKERS)]
    assert (predictions.fold == predictions.speaker).all()
    right = [(one.predicted == one.emotion).mean() for one in map(predictions.of_fold, predictions.folds)]
    assert np.mean(right) == pytest.approx(learned.wa)
    stored = json.loads((tmp_path / "mine" / "learn.json").read_text())
    assert stored == json.loads(json.dumps(learned.to_dict()))
    result = load_bundle(tmp_path / "mine").info.results[0]
    assert result.speaker_independent and result.wa == pytest.approx(learned.wa)


def test_learn_a_report_and_the_card_tell_the_same_ua_where_folds_lack_classes(
    clips: Path, base: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    rows = [
        {"path": str(path), "label": rng.choice(["yes", "no", "perhaps"]), "speaker": str(rng.integers(12))}
        for path in sorted(clips.rglob("*.wav"))
    ]
    learned = learn(write_table(tmp_path / "t.csv", rows), tmp_path / "mine", base, speaker_pattern=None)
    result = read_result(tmp_path / "mine")
    assert result.scores.lacking and learned.ua != pytest.approx(learned.ua_over_folds)
    assert result.scores.over_folds["ua"].mean == pytest.approx(learned.ua_over_folds)
    assert result.scores.ua == pytest.approx(learned.ua)
    assert load_bundle(tmp_path / "mine").info.results[0].ua == pytest.approx(learned.ua_over_folds)
    told = dict(learned.rows())["UA %"]
    assert headline_row(result)[COLUMNS.index("UA")] in told
    assert f"{100 * result.scores.ua:.1f} over all recordings" in told
    assert result.scores.lacking in (learned.path / "card.md").read_text()


def test_labels_that_say_nothing_score_like_chance(clips: Path, base: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [
        {"path": str(path), "label": rng.choice(["yes", "no"]), "speaker": path.name[:2]}
        for path in sorted(clips.rglob("*.wav"))
    ]
    learned = learn(write_table(tmp_path / "t.csv", rows), tmp_path / "mine", base, speaker_pattern=None)
    assert 0.25 < learned.ua < 0.75
    assert learned.ua == pytest.approx(np.mean([one.recall for one in learned.classes]))
    assert learned.ece < 0.3
    assert any(one.startswith("Its answers can't be told from guesses") for one in learned.advice)


def write_table(path: Path, rows: list[dict[str, object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_unknown_speakers_are_said_loudly(clips: Path, base: Path, tmp_path: Path) -> None:
    learned = learn(clips, tmp_path / "mine", base, speaker_pattern=None)
    assert not learned.speaker_independent and learned.n_speakers == 0
    assert any("NOT speaker-independent: no speakers are known" in one for one in learned.warnings)
    assert "NOT speaker-independent" in learned.title and "Name the speakers" in learned.advice[0]
    card = (tmp_path / "mine" / "card.md").read_text()
    assert (
        "NOT speaker-independent" in card
        and "fitted on answers about recordings that it had not learnt from: their" in card
    )


def test_where_some_recordings_have_no_speaker_their_speakers_are_asked_for(
    clips: Path, base: Path, tmp_path: Path
) -> None:
    learned = learn(clips, tmp_path / "mine", base, speaker_pattern="(s[01])-")
    assert any(re.match(r"\d+ of \d+ recordings have no speaker", one) for one in learned.warnings)
    assert any("NOT speaker-independent: some recordings have no speaker" in one for one in learned.warnings)
    assert learned.advice[0].startswith("Name the speaker of every recording: only then")


def test_one_speaker_is_counted_and_others_are_asked_for(base: Path, tmp_path: Path) -> None:
    learned = learn(write_clips(tmp_path / "clips", range(1)), tmp_path / "mine", base)
    assert not learned.speaker_independent and learned.n_speakers == 1
    assert any("NOT speaker-independent: there is one speaker" in one for one in learned.warnings)
    assert dict(learned.rows())["speakers"] == "1"
    assert learned.advice[0].startswith("Recordings of more speakers")
    assert not any("Name the speakers" in one or "half of the speakers" in one for one in learned.advice)
    assert load_bundle(learned.path).info.training_corpora[-1].n_speakers == 1


def test_too_few_recordings_for_the_limit_of_known_sound_are_told(clips: Path, base: Path, tmp_path: Path) -> None:
    few = learn(write_clips(tmp_path / "few", range(1)), tmp_path / "few-model", base)
    enough = learn(clips, tmp_path / "mine", base)
    assert few.out_of_domain_from is None and enough.out_of_domain_from is not None
    told = 'this model never says "out-of-domain"'
    assert [any(told in one for one in learned.warnings) for learned in (few, enough)] == [True, False]
    assert told in load_bundle(few.path).info.notes


def test_where_every_answer_is_right_it_is_told_what_that_leaves_open(clips: Path, base: Path, tmp_path: Path) -> None:
    shutil.copytree(clips, tmp_path / "clips")
    for label in sorted(LEVELS, key=lambda label: LEVELS[label])[1:-1]:
        shutil.rmtree(tmp_path / "clips" / label)
    learned = learn(tmp_path / "clips", tmp_path / "mine", base)
    assert learned.wa == 1
    assert any("can be wrong (rule of three, 95 %)" in one for one in learned.warnings)
    assert "rule of three" in load_bundle(learned.path).info.notes


def test_a_class_of_one_speaker_needs_another_and_is_not_called_like_others(base: Path, tmp_path: Path) -> None:
    folder = write_clips(tmp_path / "clips")
    for path in (folder / "好的").glob("s[1-9]-*.wav"):
        path.unlink()
    learned = learn(folder, tmp_path / "mine", base)
    assert {one.name: one.recall for one in learned.classes}[
        "好的"
    ] == 0  # who says it is left out, and nobody else does
    assert any(one.startswith("A second speaker of 好的") for one in learned.advice)
    assert not any("labels overlap" in one for one in learned.advice)


def test_checksums_of_what_was_written_lie_beside_it(clips: Path, base: Path, tmp_path: Path) -> None:
    mine = learn(clips, tmp_path / "mine", base).path
    for folder in (mine, mine / "learned"):
        refuse_changed(folder)
        names = {line.split("  ")[1] for line in (folder / "SHA256SUMS").read_text().splitlines()}
        assert names == {one.name for one in folder.iterdir() if one.is_file() and one.name[0] != "."} - {"SHA256SUMS"}
    again = learn(clips, mine, base, overwrite=True, seed=1, continued=mine).path
    for folder in (again, again / "learned"):
        refuse_changed(folder)


def test_what_is_no_path_is_told_how_to_become_one(tmp_path: Path) -> None:
    with pytest.raises(EarnestError, match=r"got dict. Write a table to a file first \(a DataFrame with to_csv\)"):
        earnest.learn({"path": ["a.wav"]}, tmp_path / "mine")  # type: ignore[arg-type]


def test_what_cannot_be_learnt_from_is_left_out_with_its_reason(clips: Path, base: Path, tmp_path: Path) -> None:
    folder = write_clips(tmp_path / "clips", range(3))
    (folder / "laut" / "s0-broken.wav").write_bytes(b"RIFF")
    (folder / "laut" / "s0-empty.wav").write_bytes(b"")
    soundfile.write(folder / "laut" / "s0-short.wav", np.zeros(100), RATE_HZ)
    soundfile.write(folder / "laut" / "s0-silent.wav", np.zeros(RATE_HZ), RATE_HZ)
    first = soundfile.read(folder / "laut" / "s0-0.wav")[0]
    soundfile.write(folder / "laut" / "s2-same.flac", first, RATE_HZ)  # another file format, the same sound
    soundfile.write(folder / "laut" / "s1-torn.wav", soundfile.read(folder / "leise" / "s1-0.wav")[0], RATE_HZ)
    (folder / "rare").mkdir()
    soundfile.write(folder / "rare" / "s1-x.wav", clip("laut", 4711), RATE_HZ)
    learned = learn(folder, tmp_path / "mine", base)
    reasons = {Path(one.where).name: one.reason for one in learned.refused}
    assert reasons.keys() == {
        *("s0-broken.wav", "s0-empty.wav", "s0-short.wav", "s0-silent.wav", "s2-same.flac", "s1-torn.wav"),
        *("s1-0.wav", "s1-x.wav"),
    }
    assert reasons["s0-empty.wav"] == "empty, no bytes at all. Record or copy it again."  # no path: such are counted
    assert reasons["s0-short.wav"] == "too short" and reasons["s0-silent.wav"] == "no speech in it"
    assert reasons["s2-same.flac"].startswith("the same sound as") and "several labels" in reasons["s1-torn.wav"]
    kinds = {Path(one.where).name: one.kind for one in learned.refused}
    assert kinds["s2-same.flac"] == "the same sound as another" and kinds["s1-torn.wav"] == kinds["s1-0.wav"]
    assert reasons["s1-x.wav"] == "'rare' has 1 of the 3 recordings needed"
    assert learned.n == 3 * 3 * N_TAKES - 1


def test_a_slip_of_the_pen_is_told_though_its_class_is_too_small(clips: Path, base: Path, tmp_path: Path) -> None:
    rows = [f"{path},{path.parent.name}" for path in sorted(clips.rglob("*.wav"))]
    rows[0] = rows[0].rpartition(",")[0] + ",LAUT"
    (tmp_path / "mine.csv").write_text("\n".join(["file,label", *rows]), encoding="utf-8")
    learned = learn(tmp_path / "mine.csv", tmp_path / "mine", base)
    told = "Labels that differ in capitals alone are different classes: LAUT, laut. Write them alike."
    assert told in learned.warnings


def test_rows_of_several_people_about_one_recording_are_counted_by_what_they_say(
    clips: Path, base: Path, tmp_path: Path
) -> None:
    paths = sorted(clips.rglob("*.wav"))
    rows = [{"path": str(path), "label": path.parent.name} for path in paths]
    others = [
        {"path": str(path), "label": "laut" if path.name.endswith("-0.wav") else path.parent.name} for path in paths
    ]
    learned = learn(write_table(tmp_path / "rows.csv", [*rows, *others]), tmp_path / "mine", base)
    reasons = Counter(one.reason for one in learned.refused)
    assert reasons == {
        "named by a row before": len(paths) - 2 * N_SPEAKERS,
        "the same sound has several labels (laut, leise)": 2 * N_SPEAKERS,
        "the same sound has several labels (laut, 好的)": 2 * N_SPEAKERS,
    }
    assert any("If several people labelled it" in words for words in learned.warnings)


def test_sound_that_the_base_calls_no_speech_is_left_out(base: Path, tmp_path: Path) -> None:
    folder = write_clips(tmp_path / "clips", range(3))
    soundfile.write(folder / "laut" / "s0-laugh.wav", voice(0.6, level=0.55, seed=3), RATE_HZ)
    hearing = write_hearing(tmp_path / "hearing")
    learned = learn(folder, tmp_path / "mine", hearing)
    assert "s0-laugh.wav" in {Path(one.where).name for one in learned.refused}
    assert load_bundle(learned.path).info.sounds  # the gate stays


def test_more_recordings_added_later_give_the_model_of_all_at_once(clips: Path, base: Path, tmp_path: Path) -> None:
    first = write_clips(tmp_path / "first", range(3))
    second = write_clips(tmp_path / "second", range(3, 5))
    learn(first, tmp_path / "one", base)
    continued = learn(second, tmp_path / "two", base, continued=tmp_path / "one")
    both = write_clips(write_clips(tmp_path / "both", range(3)), range(3, 5))
    whole = learn(both, tmp_path / "whole", base)
    assert (continued.n, continued.n_speakers, continued.wa) == (whole.n, whole.n_speakers, pytest.approx(whole.wa))
    sound = (clip("laut", 99), RATE_HZ)
    one, other = (earnest.load(path).predict(sound).probabilities for path in (continued.path, whole.path))
    assert one == pytest.approx(other, abs=1e-3)
    # The same recordings given again are doubles, not twice as many.
    again = learn(second, tmp_path / "three", base, continued=tmp_path / "two")
    assert again.n == whole.n and again.n_refused == len(list(second.rglob("*.wav")))
    assert {one.reason for one in again.refused} == {"learnt from before"}


def test_copies_that_one_of_two_parts_lacks_are_left_out_with_a_note(clips: Path, base: Path, tmp_path: Path) -> None:
    more = write_clips(tmp_path / "more", range(6, 8))
    for name, augment, how in (("plain", False, "without"), ("copied", True, "with")):
        learn(clips, tmp_path / name, base, augment=augment)
        other, alike = (
            learn(more, tmp_path / f"{name}{one}", base, continued=tmp_path / name, augment=one)
            for one in (not augment, augment)
        )
        assert any(f"because '{name}' was learnt {how} --augment" in warning for warning in other.warnings)
        assert not any("--augment" in warning for warning in alike.warnings)


def test_recordings_of_folders_with_the_same_names_keep_apart_when_added(base: Path, tmp_path: Path) -> None:
    learned = None
    for week in range(3):
        folder = write_clips(tmp_path / f"week{week}", range(2 * week, 2 * week + 2))
        for path in folder.rglob("*.wav"):  # each week's speakers are s0 and s1
            path.rename(path.with_name(f"s{int(path.name[1]) % 2}{path.name[2:]}"))
        learned = learn(folder, tmp_path / f"model{week}", base, continued=learned and learned.path)
    assert learned is not None and learned.n == 3 * len(list((tmp_path / "week0").rglob("*.wav")))
    predictions = read_predictions(learned.path / "predictions.csv")
    assert len(set(predictions.utterance_id.tolist())) == learned.n


def test_speakers_of_two_tables_with_the_same_names_are_said_to_be_taken_for_two_people(
    base: Path, tmp_path: Path
) -> None:
    for week, takes in (("monday", 1), ("friday", 2)):
        folder = write_clips(tmp_path / week, range(takes, takes + 2))
        rows = "".join(f"{path},{path.parent.name},ann-{path.name[1]},{week}\n" for path in folder.rglob("*.wav"))
        (tmp_path / f"{week}.csv").write_text(f"path,label,speaker,corpus\n{rows}", encoding="utf-8")
    one = learn(tmp_path / "monday.csv", tmp_path / "one", base, speaker_pattern=None)
    two = learn(tmp_path / "friday.csv", tmp_path / "two", base, speaker_pattern=None, continued=one.path)
    told = "monday and friday both have the speaker ann-2, taken for two people. If it is one, put both into one table"
    assert not any("both have" in words for words in one.warnings)
    assert any(words.startswith(told) for words in two.warnings)


def test_a_model_that_forgot_or_was_damaged_cannot_be_continued(
    model: Path, clips: Path, base: Path, tmp_path: Path
) -> None:
    forgot = learn(clips, tmp_path / "forgot", base, keep=False).path
    with pytest.raises(EarnestError, match="kept its embeddings"):
        learn(clips, tmp_path / "x", base, continued=forgot)
    learn(clips, forgot, base, overwrite=True)
    (forgot / "report").mkdir()
    for name in ("report.html", "report/report.json", "report/map.png", "report/notes.txt"):
        (forgot / name).write_text("of the model before")
    assert (forgot / "learned").is_dir()
    learn(clips, forgot, base, overwrite=True, keep=False)
    assert not (forgot / "learned").exists()
    assert not (forgot / "report.html").exists()
    assert [path.name for path in (forgot / "report").iterdir()] == ["notes.txt"]  # which is nobody's page
    (forgot / "report" / "notes.txt").unlink()
    learn(clips, forgot, base, overwrite=True, keep=False)
    assert not (forgot / "report").exists()
    other = write_hearing(tmp_path / "other")
    earlier = r"was learnt from an earlier 'stand-in' \(stand-in 1; here is 1\).* learn from all of them again, without"
    with pytest.raises(EarnestError, match=earlier):
        learn(clips, tmp_path / "x", other, continued=model)
    described = other / "bundle.json"
    described.write_text(described.read_text().replace('"stand-in"', '"other"'))
    with pytest.raises(EarnestError, match=r"was learnt from 'stand-in 1', not from 'other'\. Name that: --from\."):
        learn(clips, tmp_path / "x", other, continued=model)
    kept = learn(clips, tmp_path / "kept", base).path
    for name, content in (
        ("embeddings.npz", b"PK"),
        ("recordings.jsonl", b'{"base": 1}\n'),
        ("recordings.jsonl", b"[]\n"),
    ):
        (kept / "learned" / name).write_bytes(content)
        with pytest.raises(EarnestError):
            learn(clips, tmp_path / "x", base, continued=kept)


def test_parts_of_recordings_in_a_manifest_are_learnt_from(base: Path, tmp_path: Path) -> None:
    parts = [clip(label, number) for number in range(6) for label in LEVELS]
    soundfile.write(tmp_path / "talk.wav", np.concatenate(parts), RATE_HZ)
    rows = [
        {
            "path": "talk.wav",
            "start_s": 0.5 * place,
            "end_s": 0.5 * place + 0.5,
            "speaker": "",
            "emotion": [*LEVELS][place % 3],
        }
        for place in range(len(parts))
    ]
    rows.append({"path": "talk.wav", "start_s": 60, "end_s": 61, "speaker": "", "emotion": "laut"})
    rows += [row | {"path": "talk2.wav"} for row in rows[:-1]]
    soundfile.write(tmp_path / "talk2.wav", np.concatenate(parts)[:] * 0.9, RATE_HZ)
    learned = learn(write_table(tmp_path / "m.csv", rows), tmp_path / "mine", base, speaker_pattern=None)
    assert learned.n == 2 * len(parts)
    assert [one.where for one in learned.refused] == [f"{tmp_path / 'talk.wav'} from 60 s"]
    assert "2 folds of recordings" in learned.folds  # parts of one recording stay together


def test_parts_that_end_after_their_recording_are_told(base: Path, tmp_path: Path) -> None:
    rows = []
    for number in range(4):
        parts = [clip(label, 30 + 3 * number + place) for place, label in enumerate(LEVELS)]
        soundfile.write(tmp_path / f"{number}.wav", np.concatenate(parts), RATE_HZ)
        ends_s = (0.6, 1.2, 1.9 if number else 1_900)
        times = zip(LEVELS, (0, 0.6, 1.2), ends_s, strict=True)
        rows += [{"path": f"{number}.wav", "label": label, "start": start, "end": end} for label, start, end in times]
    table = write_table(tmp_path / "parts.csv", rows)
    learned = learn(table, tmp_path / "mine", base, speaker_pattern=None)
    assert learned.n == len(rows)
    (told,) = [words for words in learned.warnings if "end after their recording" in words]
    assert told.endswith("heard as theirs: 1 (the first: 0.wav from 1.2 s). Are the times in seconds?")


def test_channels_of_recordings_are_learnt_from_and_those_of_one_stay_together(base: Path, tmp_path: Path) -> None:
    rows = []
    for number in range(9):
        pair = [*LEVELS][number % 3], [*LEVELS][(number + 1) % 3]
        sides = [clip(label, 20 * number + side) for side, label in enumerate(pair)]
        soundfile.write(tmp_path / f"{number}.wav", np.stack(sides, axis=1), RATE_HZ)
        rows += [{"path": f"{number}.wav#{side}", "label": label} for side, label in enumerate(pair, 1)]
    table = write_table(tmp_path / "sides.csv", rows)
    learned = learn(table, tmp_path / "mine", base, speaker_pattern=None)
    assert learned.n == len(rows) and not learned.refused
    answers = read_predictions(learned.path / "predictions.csv")
    fold = dict(zip(answers.utterance_id.tolist(), answers.fold.tolist(), strict=True))
    assert all(fold[f"{number}.wav#1"] == fold[f"{number}.wav#2"] for number in range(9))


def test_the_card_says_what_was_asked_and_what_the_base_has_heard(clips: Path, base: Path, tmp_path: Path) -> None:
    learned = learn(
        clips, tmp_path / "mine", base, name="Our calls", licence="CC0-1.0", data_licence="ours", attribution="We"
    )
    info = load_bundle(learned.path).info
    assert (info.name, info.licence, info.adaptation) == ("Our calls", "CC0-1.0", None)
    assert info.training_corpora[-1] == TrainingCorpus("own recordings", "ours", 60, 5, 0.01, "We")
    card = (learned.path / "card.md").read_text()
    assert "does not adapt to a speaker" in card and "| own recordings | ours |" in card
    assert "acted" not in card.lower() and "The label that fits speech best, from a waveform" in card


def test_a_base_that_knows_the_recordings_is_named(base: Path, clips: Path, tmp_path: Path) -> None:
    knowing = write_bundle(
        tmp_path / "knowing", training_corpora=[vars(TrainingCorpus("emodb", "CC0-1.0", 1, 1, 1.0))], origin="emodb"
    )
    folder = tmp_path / "clips"
    for number, path in enumerate(sorted(clips.rglob("*.wav"))):
        speaker = ("03", "08", "09", "10", "11")[int(path.name[1])]
        copy = folder / path.parent.name / f"{speaker}a{number % 10:02d}F{'abcdefgh'[number // 10]}.wav"
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    learned = learn(folder, tmp_path / "mine", knowing, speaker_pattern=r"(\d\d)a\d")
    assert learned.known_corpora == ("emodb",)
    assert "knows these recordings: its encoder was trained on the labels of emodb" in learned.warnings[0]
    assert learn(clips, tmp_path / "mine2", knowing).known_corpora == ()


@pytest.mark.parametrize(
    ("more", "typed"), [({"augment": True, "seed": 3}, "--seed 3 --augment"), ({"balance": False}, "--as-frequent")]
)
def test_copies_and_frequencies_are_learnt_from(
    clips: Path, base: Path, tmp_path: Path, more: dict, typed: str
) -> None:
    learned = learn(clips, tmp_path / "mine", base, **more)
    assert learned.n == 60 and learned.wa > 0.6
    name = load_bundle(base).info.name
    assert learned.command == rf"earnest learn clips --from {name} --speaker-pattern '(s\d+)-' {typed}"
    assert load_bundle(learned.path).info.results[0].command == learned.command


def test_what_is_there_is_not_overwritten_and_too_little_is_told(
    model: Path, clips: Path, base: Path, tmp_path: Path
) -> None:
    with pytest.raises(EarnestError, match="Replace it with overwrite=True, or choose another output"):
        learn(clips, model, base)
    one = tmp_path / "one" / "laut"
    one.mkdir(parents=True)
    soundfile.write(one / "a.wav", clip("laut", 1), RATE_HZ)
    talk = np.concatenate([clip(label, number) for label in ("laut", "leise") for number in range(4)])
    soundfile.write(tmp_path / "talk.wav", talk, RATE_HZ)
    length_s = len(talk) / RATE_HZ / 8
    rows = [
        f"talk.wav,{part * length_s},{(part + 1) * length_s},{'laut' if part < 4 else 'leise'}" for part in range(8)
    ]
    (tmp_path / "parts.csv").write_text("\n".join(["path,start_s,end_s,emotion", *rows]))
    with pytest.raises(CorpusError, match=r"all of it is one recording, so that no other is left to test on"):
        learn(tmp_path / "parts.csv", tmp_path / "mine", base)
    with pytest.raises(CorpusError, match=r"usable classes: none \(labels: folder 1\)"):
        learn(tmp_path / "one", tmp_path / "x", base, speaker_pattern=None)
    assert not (tmp_path / "x").exists()
    with pytest.raises(EarnestError, match="letters that can be printed"):
        learn(clips, tmp_path / "y", base, name="\x1b")
    with pytest.raises(EarnestError, match="attribution: "):
        learn(clips, tmp_path / "y", base, attribution="We\nand you")


def test_a_model_is_not_written_among_the_recordings_it_is_learnt_from(base: Path, tmp_path: Path) -> None:
    clips = write_clips(tmp_path / "clips")
    (clips / "manifest.csv").write_text("mine")
    (tmp_path / "link").symlink_to(clips, target_is_directory=True)
    for output in (clips, clips / "laut", tmp_path, tmp_path / "link"):
        with pytest.raises(EarnestError, match="holds recordings to learn from"):
            learn(clips, output, base, overwrite=True)
    assert sorted(path.name for path in clips.iterdir()) == ["laut", "leise", "manifest.csv", "好的"]
    learn(clips, clips / "model", base)  # beside them it may be, and again
    assert learn(clips, clips / "model", base, overwrite=True).n == 60


def learn_until_killed(step: str, clips: Path, output: Path, base: Path, overwrite: bool = False) -> None:
    """Learn, and be killed where a step begins."""
    setattr(card if hasattr(card, step) else own, step, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    learn(clips, output, base, overwrite=overwrite)


def files_in(folder: Path) -> dict[str, bytes]:
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: data for name, data in found.items() if not name.startswith((".begun", ".lock"))}


@pytest.mark.parametrize("step", ["write_predictions", "write_kept", "write_json", "write_sums", "put_in_place"])
def test_learning_anew_that_was_killed_leaves_the_old_model_or_none(
    step: str, model: Path, clips: Path, base: Path, tmp_path: Path
) -> None:
    shutil.copytree(model, tmp_path / "mine")
    before, few = files_in(model), write_clips(tmp_path / "few", range(3))
    child = get_context("spawn").Process(target=learn_until_killed, args=(step, few, tmp_path / "mine", base, True))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    if step == "put_in_place":  # the very first of them
        with pytest.raises(BundleError, match="was stopped: then give the command that makes it again"):
            earnest.load(tmp_path / "mine")
        with pytest.raises(EarnestError, match="can be continued"):
            learn(clips, tmp_path / "x", base, continued=tmp_path / "mine")
    else:
        assert files_in(tmp_path / "mine") == before
    again = learn(few, tmp_path / "mine", base, overwrite=True)
    assert again.n == 36
    refuse_changed(again.path)
    refuse_changed(again.path / "learned")
    assert not (again.path / ".begun").exists()


def test_learning_anew_that_was_stopped_leaves_the_old_model(
    model: Path, clips: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    shutil.copytree(model, tmp_path / "mine")
    monkeypatch.setattr(own, "write_kept", full)
    with pytest.raises(EarnestError, match="the disk is full"):
        learn(clips, tmp_path / "mine", base, overwrite=True)
    assert files_in(tmp_path / "mine") == files_in(model)
    assert not (tmp_path / "mine" / ".begun").exists()


@pytest.mark.parametrize("step", ["write_predictions", "write_json", "write_sums"])
def test_learning_that_was_killed_is_done_again_by_the_same_call(
    step: str, model: Path, clips: Path, base: Path, tmp_path: Path
) -> None:
    child = get_context("spawn").Process(target=learn_until_killed, args=(step, clips, tmp_path / "mine", base))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    again = learn(clips, tmp_path / "mine", base).path
    refuse_changed(again)
    assert (again / "model.onnx").read_bytes() == (model / "model.onnx").read_bytes()
    assert {path.name for path in again.iterdir()} == {path.name for path in model.iterdir()}


@pytest.mark.parametrize("step", ["_page", "write_sums"])
def test_learning_that_was_stopped_while_it_wrote_is_done_again_by_the_same_call(
    step: str, clips: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(own, step, stopped)
        learn(clips, tmp_path / "mine", base, report=True)
    refuse_changed(learn(clips, tmp_path / "mine", base).path)
    with pytest.raises(EarnestError, match="overwrite=True"):
        learn(clips, tmp_path / "mine", base)


def test_the_same_seed_gives_the_same_model(model: Path, clips: Path, base: Path, tmp_path: Path) -> None:
    again = learn(clips, tmp_path / "mine", base).path
    assert (again / "model.onnx").read_bytes() == (model / "model.onnx").read_bytes()
    assert (again / "predictions.csv").read_bytes() == (model / "predictions.csv").read_bytes()


def test_in_a_notebook_it_shows_its_table_and_no_markup_of_labels(clips: Path, base: Path, tmp_path: Path) -> None:
    rows = [
        {"path": str(path), "label": f"<b>{path.parent.name}", "speaker": path.name[:2]}
        for path in clips.rglob("*.wav")
    ]
    shown = learn(write_table(tmp_path / "t.csv", rows), tmp_path / "mine", base, speaker_pattern=None)._repr_html_()
    assert "&lt;b&gt;laut" in shown and "<b>laut" not in shown


def test_a_base_for_non_commercial_use_is_said_and_no_local_path_is_in_the_bundle(clips: Path, tmp_path: Path) -> None:
    line = vars(TrainingCorpus("ravdess", "CC-BY-NC-SA-4.0", 1, 1, 1.0))
    base = write_bundle(tmp_path / "base", training_corpora=[line])
    learned = learn(clips, tmp_path / "mine", base, licence="CC0-1.0")
    assert any("non-commercial" in one for one in learned.warnings)
    assert "Licence of the base: non-commercial use only: " in (learned.path / "card.md").read_text()
    for name in ("bundle.json", "card.md"):
        assert str(clips.parent) not in (learned.path / name).read_text()


def test_an_archive_of_embeddings_that_was_cut_is_told(clips: Path, base: Path, tmp_path: Path) -> None:
    kept = learn(clips, tmp_path / "kept", base).path / "learned" / "embeddings.npz"
    kept.write_bytes(kept.read_bytes()[:200])
    with pytest.raises(EarnestError, match="don't fit together"):
        learn(clips, tmp_path / "x", base, continued=tmp_path / "kept")


def test_the_command_on_the_page_says_where_paths_of_the_table_start(clips: Path, base: Path, tmp_path: Path) -> None:
    rows = [f"{path.relative_to(clips)},{path.parent.name}" for path in sorted(clips.rglob("*.wav"))]
    (tmp_path / "mine.csv").write_text("\n".join(["file,label", *rows]), encoding="utf-8")
    learned = learn(tmp_path / "mine.csv", tmp_path / "mine", base, root=clips)
    assert " --root clips " in learned.command and str(tmp_path) not in learned.command


@pytest.mark.parametrize(("n", "title"), [(3, "Each"), (60, "The first 50")])
def test_the_page_says_how_many_of_the_refused_it_names(n: int, title: str) -> None:
    learned = cast(Learned, SimpleNamespace(refused=[Refused(f"{number}.wav", "too short") for number in range(n)]))
    tables = _refused(learned).tables
    assert [*tables] == ["Reasons", title] and len(tables[title].rows) == min(n, 50)
