"""The page about a corpus."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from made_up_corpus import RATE_HZ, spoken

from earnest.corpora.load import load_corpus
from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError
from earnest.report import corpus
from earnest.report.corpus import CorpusPage, build_page, length_s, speech_extent, write_page
from earnest.runtime.predictor import Predictor
from earnest.testing.corpora import build_example

pytest.importorskip("matplotlib", reason="drawing needs the extra 'report'")
pytest.importorskip("jinja2", reason="a page needs the extra 'report'")
DEMO = Path(__file__).parents[3] / "earnest" / "demo"


def nothing(done: int, total: int) -> None:
    """Show no progress."""


def rows_of(folder: Path) -> list[Utterance]:
    rows = []
    for number, emotion in enumerate(("sad", "happy", "sad", "sad")):
        path = folder / f"{number}.wav"
        soundfile.write(path, np.tile(spoken(emotion, number, 0), number + 1), RATE_HZ)
        gender = "female" if number % 2 else "male"
        rows.append(Utterance(path.stem, path, corpus="mine", speaker=f"s{number}", gender=gender, emotion=emotion))
    return rows


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> CorpusPage:
    return build_page("mine", rows_of(tmp_path_factory.mktemp("mine")), True, nothing)


def section(page: CorpusPage, name: str):
    (found,) = [part for part in page.parts if part.section.name == name]
    return found


def test_classes_stand_in_canonical_order_with_their_speakers(mine: CorpusPage) -> None:
    table = section(mine, "counts").section.pictures[0].table
    assert table.rows == [("happy", "1", "25.0", "1", "0", "1"), ("sad", "3", "75.0", "1", "2", "3")]
    assert mine.facts["recordings"] == "4"


def test_words_of_own_recordings_are_their_classes(tmp_path: Path) -> None:
    happy, *others = rows_of(tmp_path)[1:]
    rows = [happy, *(replace(row, emotion="other", native_emotion="müde", speaker="") for row in others)]
    page = build_page("mine", rows, True, nothing)
    assert [row[::5] for row in section(page, "counts").section.pictures[0].table.rows] == [
        ("happy", "1"),
        ("müde", "0"),
    ]
    assert "of happy, müde" in section(page, "spectrograms").section.pictures[0].alt


def test_a_file_that_can_not_be_read_is_named_and_the_rest_is_shown(tmp_path: Path) -> None:
    rows = rows_of(tmp_path)
    rows[0].path.write_bytes(b"no sound")
    page = build_page("mine", rows, True, nothing)
    assert list(page.unreadable) == ["0.wav"]
    path = write_page(page, tmp_path / "shown")
    assert "1 can't be read and are left out of durations and pictures: 0.wav" in path.read_text(encoding="utf-8")


def test_what_was_cut_or_holds_no_sound_is_named_and_left_out_of_the_durations(tmp_path: Path) -> None:
    rows = rows_of(tmp_path)
    rows[0].path.write_bytes(rows[0].path.read_bytes()[:-4_000])
    soundfile.write(rows[1].path, np.zeros(0), 16_000)
    page = build_page("mine", [replace(row, speaker="") for row in rows], False, nothing)
    assert list(page.unreadable) == ["0.wav", "1.wav"]
    left_s = sum(soundfile.info(row.path).duration for row in rows[2:])
    assert (page.facts["hours"], page.facts["speakers"]) == (f"{left_s / 3600:.2f}", "unknown")


def test_where_nothing_can_be_read_there_is_no_page(tmp_path: Path) -> None:
    (row, *_) = rows_of(tmp_path)
    row.path.write_bytes(b"no sound")
    with pytest.raises(CorpusError, match=r"none of its recordings can be read \(1\).*earnest corpus check mine"):
        build_page("mine", [row], True, nothing)


def test_parts_of_a_file_that_can_not_be_read_are_named_too(tmp_path: Path) -> None:
    rows = [replace(row, end_s=0.3) for row in rows_of(tmp_path)]
    rows[0].path.write_bytes(b"RIFF garbage")
    assert list(build_page("mine", rows, True, nothing).unreadable) == ["0.wav"]
    with pytest.raises(CorpusError, match="none of its recordings can be read \\(1\\)"):
        build_page("mine", rows[:1], True, nothing)


def test_affect_is_shown_in_its_own_unit_or_its_absence_is_told(mine: CorpusPage, tmp_path: Path) -> None:
    assert "Nobody rated" in section(mine, "affect").section.missing
    rated = [replace(row, arousal=1.0 + number) for number, row in enumerate(rows_of(tmp_path))]
    shown = section(build_page("mine", rated, False, nothing), "affect").section
    assert shown.pictures[0].table.rows == [("arousal", "4", "1.00", "2.50", "4.00")]


def test_json_of_a_corpus_holds_numbers_in_named_units(mine: CorpusPage, tmp_path: Path) -> None:
    told = json.loads((write_page(mine, tmp_path / "shown").parent / "corpus.json").read_text(encoding="utf-8"))
    lengths_s = [length_s(row) for row in rows_of(tmp_path)]
    assert (told["n_recordings"], told["n_speakers"], told["licence"]) == (4, 4, None)
    assert told["hours"] == pytest.approx(sum(lengths_s) / 3600, abs=1e-6)
    parts = {part["name"]: next(iter(part["tables"].values()), []) for part in told["sections"]}
    assert sum(row["n_recordings"] for row in parts["counts"]) == 4
    assert min(row["shortest_s"] for row in parts["durations"]) == pytest.approx(min(lengths_s))


def test_a_length_is_that_of_the_part_that_the_row_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "waveform_of", lambda _: pytest.fail("decoded, where the header says it"))
    (row, *_) = rows_of(tmp_path)
    whole_s = soundfile.info(row.path).duration
    assert length_s(row) == pytest.approx(whole_s)
    assert length_s(replace(row, start_s=0.1)) == pytest.approx(whole_s - 0.1)
    assert length_s(replace(row, start_s=0.1, end_s=0.3)) == pytest.approx(0.2)
    assert np.isnan(length_s(replace(row, start_s=1_000.0, end_s=1_001.0)))  # begins after the recording's end
    assert length_s(replace(row, start_s=0.1, end_s=1_000.0)) == pytest.approx(whole_s - 0.1)  # as it is heard


def test_trimming_leaves_what_the_predictor_calls_speech() -> None:
    speech, rate_hz = soundfile.read(DEMO / "plain.flac", dtype="float32")
    waveform = np.concatenate([np.zeros(rate_hz, np.float32), speech, np.zeros(2 * rate_hz, np.float32)])
    assert rate_hz == RATE_HZ
    first_s, last_s = speech_extent(waveform)
    told = Predictor.load("small").predict((waveform, rate_hz))
    assert last_s - first_s == pytest.approx(told.speech_s, abs=0.5)
    assert 0.7 < first_s < 1.5
    assert last_s < 1.3 + len(speech) / rate_hz
    assert speech_extent(np.zeros(8_000, np.float32)) == (0.0, 0.5)


def test_players_are_there_where_the_licence_allows_it_only(mine: CorpusPage, tmp_path: Path) -> None:
    build_example("ravdess", tmp_path / "ravdess")
    free = build_page("ravdess", load_corpus("ravdess", tmp_path / "ravdess"), True, nothing)
    text = write_page(free, tmp_path / "free").read_text(encoding="utf-8")
    assert text.count("<audio") == 5 + len(section(free, "counts").section.pictures[0].table.rows)
    assert "Livingstone and Russo" in text
    text = write_page(mine, tmp_path / "mine").read_text(encoding="utf-8")
    assert "<audio" not in text
    assert "no players for mine, whose licence is not known" in text


def test_the_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    path = write_page(build_page("mine", rows_of(tmp_path), False, nothing), tmp_path / "shown")
    text = path.read_text(encoding="utf-8")
    assert "http" not in text.split("<style>")[1].replace("http://www.w3.org", "")
    names = {one.name for one in path.parent.iterdir()}
    pictures = {
        f"{name}.{kind}" for name in ("counts", "durations", "waveforms", "spectrograms") for kind in ("png", "svg")
    }
    assert names == {"index.html", "corpus.json", *pictures}
