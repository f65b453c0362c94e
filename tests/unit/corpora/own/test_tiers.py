"""Annotations of ELAN, Praat and Audacity beside recordings are labels of their parts."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from earnest.corpora.own import OwnData, read_own
from earnest.errors import CorpusError
from earnest.runtime.prediction import Prediction, Span
from earnest.runtime.timeline import Timeline

PARTS = [("happy", 0.5, 1.25), ("sad", 2.0, 3.5)]
SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
4
<exists>
2
"IntervalTier"
"words"
0
4
1
0
4
"so ""nice"" ! 12"
"IntervalTier"
"Émotion"
0
4
3
0
1.5
"happy"
1.5
2
""
2
4
"sad"
"""
ELAN = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT>
 <HEADER TIME_UNITS="milliseconds">
  <MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/study/the%20talk.wav" RELATIVE_MEDIA_URL="./the%20talk.wav"/>
 </HEADER>
 <TIME_ORDER>
  <TIME_SLOT TIME_SLOT_ID="t1" TIME_VALUE="500"/><TIME_SLOT TIME_SLOT_ID="t2" TIME_VALUE="1250"/>
  <TIME_SLOT TIME_SLOT_ID="t3" TIME_VALUE="2000"/><TIME_SLOT TIME_SLOT_ID="t4" TIME_VALUE="3500"/>
  <TIME_SLOT TIME_SLOT_ID="t5"/>
 </TIME_ORDER>
 <TIER TIER_ID="utterance@Anna"><ANNOTATION>
  <ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="t1" TIME_SLOT_REF2="t2">
   <ANNOTATION_VALUE>so nice</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
 <TIER TIER_ID="emotion@Anna"><ANNOTATION>
  <REF_ANNOTATION ANNOTATION_ID="a2" ANNOTATION_REF="a1">
   <ANNOTATION_VALUE> happy </ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION></TIER>
 <TIER TIER_ID="emotion@Ben" PARTICIPANT="Benjamin"><ANNOTATION>
  <ALIGNABLE_ANNOTATION ANNOTATION_ID="a3" TIME_SLOT_REF1="t3" TIME_SLOT_REF2="t4">
   <ANNOTATION_VALUE>sad</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION><ANNOTATION>
  <ALIGNABLE_ANNOTATION ANNOTATION_ID="a4" TIME_SLOT_REF1="t4" TIME_SLOT_REF2="t5">
   <ANNOTATION_VALUE>angry</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION><ANNOTATION>
  <REF_ANNOTATION ANNOTATION_ID="a5" ANNOTATION_REF="a6">
   <ANNOTATION_VALUE>fearful</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION><ANNOTATION>
  <REF_ANNOTATION ANNOTATION_ID="a6" ANNOTATION_REF="a5">
   <ANNOTATION_VALUE>fearful</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION></TIER>
</ANNOTATION_DOCUMENT>
"""


def record(path: Path, seconds: float = 4) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(round(16_000 * seconds)), 16_000)
    return path


def parts_of(found: OwnData) -> list[tuple[str, float, float | None]]:
    return [(row.native_emotion, row.start_s, row.end_s) for row in found.utterances]


def timeline(path: Path) -> Timeline:
    spans = [Span(start, end, name, 0.9) for name, start, end in [*PARTS, ("unsure", 3.5, 4.0)]]
    answer = Prediction(str(path), "mixed", 4.0, 4.0)
    return Timeline(answer, spans=tuple(spans), speakers=("Anna", "Ben", "Ben"))


@pytest.mark.parametrize(
    ("form", "name"), [("eaf", "talk.eaf"), ("textgrid", "talk.TextGrid"), ("audacity", "talk.txt")]
)
def test_what_a_timeline_writes_is_read_back_as_labels(tmp_path: Path, form: str, name: str) -> None:
    said = timeline(record(tmp_path / "talk.wav"))
    (tmp_path / name).write_text(said.to(form), encoding="utf-8")
    found = read_own(tmp_path / name)
    assert parts_of(found) == PARTS
    assert {row.path for row in found.utterances} == {tmp_path / "talk.wav"}
    assert found.notes[0] == "1 part without an emotion left out (unsure, vocal bursts)."
    if form == "audacity":
        assert (found.label_from, found.speaker_from) == ("tier 'label'", "")
    else:
        assert (found.label_from, found.speaker_from) == ("tier 'emotion'", "tier 'speaker'")
        assert found.speakers == ("own-Anna", "own-Ben")


def test_a_tier_of_a_speaker_and_entries_that_refer_to_others_are_read(tmp_path: Path) -> None:
    record(tmp_path / "the talk.wav")
    (tmp_path / "coded.eaf").write_text(ELAN, encoding="utf-8")
    found = read_own(tmp_path)
    assert parts_of(found) == PARTS  # what nothing says the time of is no part: a4, and a5 and a6, which go in a circle
    assert (found.layout, found.label_from) == ("annotations beside recordings", "tier 'emotion'")
    assert (found.speakers, found.speaker_from) == (("own-Anna", "own-Benjamin"), "whose tier it is")


def test_praats_short_format_in_utf16_is_read_and_a_tier_named(tmp_path: Path) -> None:
    record(tmp_path / "a" / "talk.flac")
    (tmp_path / "a" / "talk.TextGrid").write_bytes(SHORT.encode("utf-16"))
    with pytest.raises(CorpusError, match=r"which tier is the label\? .* There are words, Émotion\."):
        read_own(tmp_path / "a")
    with pytest.raises(CorpusError, match="no tier 'emotion'"):
        read_own(tmp_path / "a", label_column="emotion")
    found = read_own(tmp_path / "a", label_column="Émotion")
    assert parts_of(found) == [("happy", 0.0, 1.5), ("sad", 2.0, 4.0)]
    assert {row.utterance_id for row in found.utterances} == {"talk.flac@0", "talk.flac@2"}
    # Words beside recordings in folders of classes: the folders are meant.
    record(tmp_path / "b" / "calm.wav")
    assert read_own(tmp_path).labels == ("a", "b")


def test_what_is_missing_or_damaged_is_told_and_the_rest_taken(tmp_path: Path) -> None:
    said = timeline(record(tmp_path / "talk.wav"))
    (tmp_path / "talk.eaf").write_text(said.to("eaf"), encoding="utf-8")
    (tmp_path / "gone.TextGrid").write_text(said.to("textgrid"), encoding="utf-8")
    for number, text in enumerate((said.to("textgrid")[:300], "<!DOCTYPE a>", "<a>", 'File type = "ooBinaryFile"')):
        (tmp_path / f"{number}.{'TextGrid' if number in (0, 3) else 'eaf'}").write_text(text, encoding="utf-8")
    found = read_own(tmp_path)
    assert parts_of(found) == PARTS
    assert ["no such file" in one.reason for one in found.refused] == [True] * 2
    told = "\n".join(found.notes)
    for why in ("it ends too early", "declares no entities", "no element found", "save it in Praat as a text file"):
        assert why in told
    with pytest.raises(CorpusError, match="damaged"):
        read_own(tmp_path / "1.eaf")
    (tmp_path / "talk.TextGrid").write_text(said.to("textgrid"), encoding="utf-8")
    twice = "1 recording annotated in several files, such as talk.wav in talk.TextGrid, talk.eaf: the parts of all are"
    assert f"{twice} taken." in read_own(tmp_path).notes
