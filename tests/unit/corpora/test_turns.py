"""Files of speaker turns: subtitles, transcripts, RTTM, tiers; what is none is an error with its place."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from earnest.corpora.folders import RecordingFinder
from earnest.corpora.transcripts import SpeakerTurn
from earnest.corpora.turns import are_turns, read_turns, recording_of, turns_by_recording
from earnest.errors import EarnestError

RTTM = """;; a comment
SPEAKER talk 1 4.0 2.0 <NA> <NA> ben <NA> <NA>
SPEAKER talk 1 0.5 3.5 <NA> <NA> anna <NA> <NA>
LEXEME talk 1 0.5 0.2 hello
"""
SRT = """1
00:00:00,500 --> 00:00:02,000
{\\an8}<i>Good morning,</i>
how are you?

2
01:00:02,000 --> 01:00:03,250
[SPEAKER_01]: Fine &amp; well.
"""
VTT = """WEBVTT - of a talk

STYLE
::cue { color: red }

NOTE 00:00 is the beginning

anna's
00:00.500 --> 00:02.000 align:start position:0%
<v.loud Anna Lee>Good <00:01.000><c>morning</c></v>

00:02.000 --> 00:03.000
"""


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_subtitles_are_turns_without_their_markup(tmp_path: Path) -> None:
    assert read_turns(written(tmp_path, "talk.srt", SRT)) == [
        SpeakerTurn(0.5, 2.0, "", "Good morning, how are you?"),
        SpeakerTurn(3602.0, 3603.25, "SPEAKER_01", "Fine & well."),
    ]


def test_subtitles_of_windows_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "talk.srt").write_bytes(b"\xef\xbb\xbf" + SRT.replace("\n", "\r\n").encode())
    assert [turn.text for turn in read_turns(tmp_path / "talk.srt")] == ["Good morning, how are you?", "Fine & well."]


def test_voices_of_webvtt_are_speakers_and_notes_and_styles_are_none(tmp_path: Path) -> None:
    assert read_turns(written(tmp_path, "talk.vtt", VTT)) == [
        SpeakerTurn(0.5, 2.0, "Anna Lee", "Good morning"),
        SpeakerTurn(2.0, 3.0),
    ]


def test_lines_of_spaces_begin_cues_of_youtubes_and_end_those_of_others(tmp_path: Path) -> None:
    youtubes = "WEBVTT\n\n00:00:00.160 --> 00:00:02.310 align:start\n \nhello<00:00:00.480><c> you</c>\n\n"
    others = "00:00:03.000 --> 00:00:04.000\nA --> B\n \n2\n00:00:05.000 --> 00:00:06.000\n\nNOTE no text\n"
    turns = read_turns(written(tmp_path, "talk.vtt", youtubes + others))
    assert [turn.text for turn in turns] == ["hello you", "A --> B", ""]


def test_segments_of_whisper_and_of_whisperx_are_turns(tmp_path: Path) -> None:
    segments = [
        {"id": 0, "start": 2.5, "end": 4, "text": " Fine.", "speaker": "SPEAKER_01", "words": []},
        {"id": 1, "start": 0.0, "end": 2.5, "text": " Hello\nyou."},
    ]
    path = written(tmp_path, "talk.json", json.dumps({"text": "Hello", "language": "en", "segments": segments}))
    assert read_turns(path) == [SpeakerTurn(0.0, 2.5, "", "Hello you."), SpeakerTurn(2.5, 4.0, "SPEAKER_01", "Fine.")]


ELAN = """<ANNOTATION_DOCUMENT>
<HEADER><MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/talks/interview%201.wav"/></HEADER>
<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="t1" TIME_VALUE="500"/><TIME_SLOT TIME_SLOT_ID="t2" TIME_VALUE="2000"/>
<TIME_SLOT TIME_SLOT_ID="t3" TIME_VALUE="2500"/><TIME_SLOT TIME_SLOT_ID="t4" TIME_VALUE="4000"/></TIME_ORDER>
<TIER TIER_ID="A-txt" PARTICIPANT="Anna"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="t1"
TIME_SLOT_REF2="t2"><ANNOTATION_VALUE>Guten Tag</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<TIER TIER_ID="A-en" PARENT_REF="A-txt" PARTICIPANT="Anna"><ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a2"
ANNOTATION_REF="a1"><ANNOTATION_VALUE>Hello</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION></TIER>
<TIER TIER_ID="Ben"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a3" TIME_SLOT_REF1="t3"
TIME_SLOT_REF2="t4"><ANNOTATION_VALUE>Ja.</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
<TIER TIER_ID="empty"><ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a4" TIME_SLOT_REF1="t1"
TIME_SLOT_REF2="t4"><ANNOTATION_VALUE/></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>
</ANNOTATION_DOCUMENT>"""
ANNA, BEN = SpeakerTurn(0.5, 2.0, "Anna", "Guten Tag"), SpeakerTurn(2.5, 4.0, "Ben", "Ja.")


def textgrid(**tiers: Sequence[tuple[float, float, str]]) -> str:
    """Write Praat's short format; a tier called "points" has points."""
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", "5", "<exists>", str(len(tiers))]
    for name, entries in tiers.items():
        lines += ['"TextTier"' if name == "points" else '"IntervalTier"', f'"{name}"', "0", "5", str(len(entries))]
        lines += [
            f'{start}\n"{text}"' if name == "points" else f'{start}\n{end}\n"{text}"' for start, end, text in entries
        ]
    return "\n".join(lines) + "\n"


GRID = textgrid(
    Anna=[(0, 0.5, ""), (0.5, 2, "Guten Tag"), (2, 5, "")],
    points=[(1, 1, "click")],
    Ben=[(2.5, 4, "Ja.")],
    none=[(0, 5, "")],
)
LONG_GRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 5
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "Anna"
        xmin = 0
        xmax = 5
        intervals: size = 1
        intervals [1]:
            xmin = 0.5
            xmax = 2
            text = "Guten Tag"
    item [2]:
        class = "IntervalTier"
        name = "Ben"
        xmin = 0
        xmax = 5
        intervals: size = 1
        intervals [1]:
            xmin = 2.5
            xmax = 4
            text = "Ja."
"""


@pytest.mark.parametrize("text", [GRID, LONG_GRID], ids=["short", "long"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_tiers_of_praat_are_speakers_and_intervals_with_a_text_are_turns(
    text: str, encoding: str, tmp_path: Path
) -> None:
    (tmp_path / "talk.TextGrid").write_text(text, encoding=encoding)
    assert read_turns(tmp_path / "talk.TextGrid") == [ANNA, BEN]


def test_an_interval_that_a_tier_above_has_too_is_no_turn_again_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(
        tmp_path, "a.TextGrid", textgrid(Anna=[(0.5, 2, "Guten Tag")], English=[(0.5, 2, "Hello"), (3, 4, "Yes")])
    )
    assert read_turns(path) == [ANNA, SpeakerTurn(3.0, 4.0, "English", "Yes")]
    assert "1 interval that a tier above has, too, left out" in caplog.text


def test_tiers_of_elan_are_participants_and_those_that_depend_on_others_have_no_turns(tmp_path: Path) -> None:
    path = written(tmp_path, "talk.eaf", ELAN)
    assert turns_by_recording(path) == {"interview 1.wav": [ANNA, BEN]}
    (tmp_path / "talk.mp3").touch()
    assert recording_of(path, "interview 1.wav", RecordingFinder(), is_one=True).name == "talk.mp3"
    (tmp_path / "interview 1.wav").touch()
    assert recording_of(path, "interview 1.wav", RecordingFinder(), is_one=True).name == "interview 1.wav"


def test_whispers_table_is_turns_and_other_tables_are_not(tmp_path: Path) -> None:
    path = written(tmp_path, "talk.tsv", "start\tend\ttext\n500\t2000\tHello\tyou.\n2500\t4000\t\n\n")
    assert are_turns(str(path))
    assert read_turns(path) == [SpeakerTurn(0.5, 2.0, "", "Hello you."), SpeakerTurn(2.5, 4.0)]
    assert not are_turns(str(written(tmp_path, "list.tsv", "path\tspeaker\na.wav\tanna\n")))
    assert not are_turns(str(tmp_path / "missing.tsv"))


def subtitles(*texts: str) -> str:
    cues = (f"00:00:0{second},000 --> 00:00:0{second + 1},000\n{text}\n" for second, text in enumerate(texts))
    return "\n".join(cues)


def test_names_before_what_is_said_are_speakers_where_most_cues_have_one(tmp_path: Path) -> None:
    text = subtitles("Anna Lee: Hello.", "Ben: Well: yes.", "And so on.", "Anna Lee:\nBye.", "Ben: Bye.")
    said = [(turn.speaker, turn.text) for turn in read_turns(written(tmp_path, "a.srt", text))]
    assert said == [
        ("Anna Lee", "Hello."),
        ("Ben", "Well: yes."),
        ("", "And so on."),
        ("Anna Lee", "Bye."),
        ("Ben", "Bye."),
    ]


@pytest.mark.parametrize(
    "texts",
    [
        ("Then she said: no.", "So: what now?", "He came at 10: 30 of us."),
        ("Note: a.", "Note: b.", "c", "d"),
        ("[A]: Note: a.", "Note: b.", "Note: c."),
        ("Well, Anna: yes.", "Well, Anna: no."),
    ],
    ids=["once each", "half", "named otherwise", "no name"],
)
def test_a_colon_alone_names_nobody(texts: Sequence[str], tmp_path: Path) -> None:
    turns = read_turns(written(tmp_path, "a.srt", subtitles(*texts)))
    assert {turn.speaker for turn in turns} <= {"", "A"}
    assert [turn.text for turn in turns] == [text.removeprefix("[A]: ") for text in texts]


def test_turns_of_rttm_are_read_in_order_of_time(tmp_path: Path) -> None:
    turns = read_turns(written(tmp_path, "a.rttm", RTTM))
    assert turns == [SpeakerTurn(0.5, 4.0, "anna"), SpeakerTurn(4.0, 6.0, "ben")]


def test_of_a_file_about_several_recordings_the_turns_of_one_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, "a.rttm", f"{RTTM}SPEAKER my_call 1 0.0 9.0 <NA> <NA> eve <NA> <NA>\n")
    assert read_turns(path, "calls/my call.wav#2") == [SpeakerTurn(0.0, 9.0, "eve")]
    assert [turn.speaker for turn in read_turns(path, "talk.flac")] == ["anna", "ben"]
    with pytest.raises(EarnestError, match="about 2 recordings, such as 'my_call', none called 'other'"):
        read_turns(path, "other.wav")
    assert {name: len(turns) for name, turns in turns_by_recording(path).items()} == {"talk": 2, "my_call": 1}


def test_turns_that_do_not_last_are_left_out_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path, "talk.srt", f"{SRT}\n3\n00:00:09,000 --> 00:00:09,000\nOh\n")
    assert [turn.text for turn in read_turns(path)] == ["Good morning, how are you?", "Fine & well."]
    assert "1 turn that ends where it starts left out" in caplog.text


def googles(*words: tuple[str, str, str, int | None]) -> dict[str, Any]:
    names = ("startTime", "endTime", "word", "speakerTag")
    told = [{name: cell for name, cell in zip(names, word, strict=True) if cell is not None} for word in words]
    untagged = [{name: cell for name, cell in word.items() if name != "speakerTag"} for word in told]
    return {"results": [{"alternatives": [{"words": untagged}]}, {"alternatives": [{"words": told}]}]}


def test_words_are_joined_while_one_speaks_and_pauses_are_short(tmp_path: Path) -> None:
    words = [("0s", "0.5s", "So", 1), ("1.3s", "1.5s", "it", 1), ("1.5s", "2s", "is.", 1), ("2.1s", "2.5s", "Yes.", 2)]
    path = written(tmp_path, "a.json", json.dumps(googles(*words, ("3.4s", "4s", "Oh.", 2))))
    assert read_turns(path) == [
        SpeakerTurn(0.0, 2.0, "speaker 1", "So it is."),
        SpeakerTurn(2.1, 2.5, "speaker 2", "Yes."),
        SpeakerTurn(3.4, 4.0, "speaker 2", "Oh."),
    ]


def test_words_without_times_belong_to_those_before_and_nobody_known_is_nobody(tmp_path: Path) -> None:
    timed = {"text": "So", "type": "word", "start": 1, "end": 2, "speaker_id": "a"}
    untimed = {**timed, "text": "what?", "start": None, "end": None, "speaker_id": "b"}
    assert read_turns(written(tmp_path, "a.json", json.dumps({"words": [timed, untimed]}))) == [
        SpeakerTurn(1.0, 2.0, "a", "So what?")
    ]
    signs = [
        {**timed, "text": "行"},
        {**timed, "text": " ", "type": "spacing"},
        {**timed, "text": "こ"},
        {**timed, "text": "う"},
    ]
    assert read_turns(written(tmp_path, "a.json", json.dumps({"words": signs})))[0].text == "行 こう"
    word = {"type": "word", "start_time": 1, "end_time": 2, "alternatives": [{"content": "So", "speaker": "UU"}]}
    assert read_turns(written(tmp_path, "b.json", json.dumps({"results": [word]}))) == [SpeakerTurn(1.0, 2.0, "", "So")]


@pytest.mark.parametrize(
    ("transcript", "speaker"),
    [
        ({"segments": [{"start": 0.5, "end": 2, "text": " Hello. ", "speaker": "SPEAKER_00"}]}, "SPEAKER_00"),
        ({"transcription": [{"offsets": {"from": 500, "to": 2000}, "text": " Hello."}]}, ""),
        ({"utterances": [{"start": 500, "end": 2000, "text": "Hello.", "speaker": "A"}]}, "speaker A"),
        ({"results": {"utterances": [{"start": 0.5, "end": 2.0, "transcript": "Hello.", "speaker": 0}]}}, "speaker 0"),
        (
            {"results": {"audio_segments": [
                {"start_time": "0.5", "end_time": "2.0", "transcript": "Hello.", "speaker_label": "spk_0"}
            ]}},
            "spk_0",
        ),
        (
            {"recognizedPhrases": [
                {"offsetInTicks": 5e6, "durationInTicks": 15000000, "speaker": 1, "nBest": [{"display": "Hello."}, 3]}
            ]},
            "speaker 1",
        ),
        (
            {"phrases": [{"offsetMilliseconds": 500, "durationMilliseconds": 1500, "speaker": 1, "text": "Hello."}]},
            "speaker 1",
        ),
        ({"results": googles(("0.500s", "2s", "Hello.", 1))["results"][:1], "response": 3}, ""),
        (googles(("0.5s", "2s", "Hello.", 1)), "speaker 1"),
        ({"response": googles(("0.5s", "2s", "Hello.", 1))}, "speaker 1"),
        (
            {"results": [{"alternatives": [
                {"words": [{"startOffset": "0.5s", "endOffset": "2s", "word": "Hello.", "speakerLabel": "1"}]}
            ]}]},
            "speaker 1",
        ),
        (
            {"results": [
                {"type": "word", "start_time": 0.5, "end_time": 2,
                 "alternatives": [{"content": "Hello", "speaker": "S1"}]},
                {"type": "punctuation", "start_time": 2, "end_time": 2, "attaches_to": "previous",
                 "alternatives": [{"content": ".", "speaker": "S1"}]},
            ]},
            "speaker S1",
        ),
        (
            {"words": [
                {"text": "Hello.", "start": 0.5, "end": 2, "type": "word", "speaker_id": "speaker_0"},
                {"text": " ", "start": 2, "end": 3, "type": "spacing", "speaker_id": "speaker_0"},
                {"text": "(laughs)", "start": 3, "end": 4, "type": "audio_event", "speaker_id": "speaker_0"},
            ]},
            "speaker_0",
        ),
    ],
    ids=["Whisper", "whisper.cpp", "AssemblyAI", "Deepgram", "Amazon Transcribe", "Azure", "Azure, fast", "Google",
         "Google's speakers", "Google's operation", "Google 2", "Speechmatics", "ElevenLabs"],
)  # fmt: skip
def test_transcripts_of_many_programs_say_the_same(transcript: Mapping[str, Any], speaker: str, tmp_path: Path) -> None:
    path = written(tmp_path, "talk.json", json.dumps(transcript))
    assert read_turns(path) == [SpeakerTurn(0.5, 2.0, speaker, "Hello.")]


def test_amazons_segments_without_words_are_turns(tmp_path: Path) -> None:
    segment = {"start_time": "4.87", "speaker_label": "spk_0", "end_time": "6.88", "items": []}
    path = written(tmp_path, "talk.json", json.dumps({"results": {"speaker_labels": {"segments": [segment]}}}))
    assert read_turns(path) == [SpeakerTurn(4.87, 6.88, "spk_0")]


def test_of_two_recordings_beside_subtitles_the_one_that_is_taken_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("talk.wav", "talk.mp3", "other.wav"):
        (tmp_path / name).touch()
    assert recording_of(tmp_path / "talk.wav.srt", "", RecordingFinder(), is_one=True).name == "talk.wav"
    assert not caplog.text
    assert recording_of(tmp_path / "talk.srt", "", RecordingFinder(), is_one=True).name == "talk.mp3"
    told = (
        "talk.mp3, talk.wav lie beside it, and it is read as that of talk.mp3. Call it talk.wav.srt for the other one."
    )
    assert told in caplog.text


@pytest.mark.parametrize("text", ["<", "{\\\\", "<v ", "<v.", "["])
def test_marks_that_nobody_closes_are_read_at_once(text: str, tmp_path: Path) -> None:
    """A line of them took a minute and a half where each looked for its end in all that follows."""
    path = written(tmp_path, "a.srt", f"1\n00:00:00,000 --> 00:00:02,000\n{text * 200_000}\n")
    assert read_turns(path)[0].end_s == 2


def test_files_are_known_by_their_ending_alone() -> None:
    assert all(map(are_turns, ("a.srt", "talk.en.VTT", "x/a.json", "a.rttm")))
    assert not any(map(are_turns, ("a.wav", "srt", "a.csv", "a.srt.wav")))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.rttm", "", "no line begins with SPEAKER"),
        ("a.rttm", "SPEAKER talk 1 0.5", "line 1: expected SPEAKER"),
        ("a.rttm", "SPEAKER my talk 1 4.0 2.0 <NA> <NA> ben <NA> <NA>", "line 1: expected SPEAKER .* without spaces"),
        ("a.rttm", "SPEAKER talk 1 -1 2 <NA> <NA> anna", "line 1: start and duration"),
        ("a.rttm", "SPEAKER talk 1 nan 2 <NA> <NA> anna", "line 1: start and duration"),
        ("a.rttm", "SPEAKER talk 1 1 inf <NA> <NA> anna", "line 1: start and duration"),
        ("a.srt", "", "tells no turn"),
        ("a.srt", "1\n0,5 --> 1,0\nHello", "a.srt, line 2: '0,5 --> 1,0' are no times"),
        ("a.vtt", "WEBVTT\n\n00:01.000 --> 00:01.000\n", "tells no turn of a speaker that lasts"),
        ("a.json", "[1, 2]", "no turns in it as Whisper, WhisperX, whisper.cpp"),
        ("a.json", '{"segments": [3]}', "turn 1 is 3"),
        ("a.json", '{"segments": [{"start": 0, "text": "a"}]}', "turn 1: end is None, expected a time"),
        ("a.json", '{"segments": [{"start": true, "end": 2}]}', "start is True"),
        ("a.json", '{"segments": [{"start": 0, "end": 1e400}]}', "end is inf"),
        ("a.json", f'{{"segments": [{{"start": 1{"0" * 400}}}]}}', "turn 1: start is 1"),
        ("a.json", '{"segments": [', "not valid JSON"),
        ("a.json", '{"utterances": null, "words": []}', "no turns in it"),
        ("a.json", '{"transcription": [{"offsets": 3}]}', "turn 1: offsets.from is None"),
        ("a.json", '{"results": {"audio_segments": [{"start_time": "x"}]}}', "turn 1: start_time is 'x'"),
        ("a.json", json.dumps({"words": [{"text": "a", "type": "word", "start": 1}]}), "word 1: end is None"),
        ("a.json", '{"words": [{"text": "a", "type": "word", "start": 1, "end": 2}, 3]}', "word 2 is 3"),
        ("a.json", '{"utterances": null, "words": [{"text": "a", "start": 500, "end": 900}]}', "no turns in it"),
        ("a.json", '{"phrases": [{"offsetMilliseconds": 1e13}]}', "offsetMilliseconds is 1"),
        ("a.tsv", "path\tspeaker\na.wav\tanna", "these end in .* .tsv"),
        ("a.tsv", "start\tend\ttext\n0.5", "line 2: expected start, end and text"),
        ("a.tsv", "start\tend\ttext\n0\tx\ta", "line 2: end is 'x'"),
        ("a.TextGrid", "", "a.TextGrid: damaged, or no annotation that is known"),
        ("a.TextGrid", textgrid(points=[(1, 1, "click")]), "no tier of intervals with a text"),
        ("a.TextGrid", textgrid(Anna=[(-1, 1, "a")]), "tier 'Anna': -1 to 1 are no times"),
        ("a.TextGrid", textgrid(Anna=[(0, 1e300, "a")]), "are no times"),
        ("a.eaf", '<!DOCTYPE a [<!ENTITY b "c">]><a/>', "declares no entities"),
        ("a.eaf", ELAN.replace("Guten Tag", "").replace("Ja.", ""), "that depends on no other tier"),
        ("a.wav", "", "these end in .srt, .vtt, .json, .rttm"),
    ],
)
def test_what_is_no_file_of_turns_is_an_error_that_says_why(name: str, text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(EarnestError, match=message):
        read_turns(written(tmp_path, name, text))
