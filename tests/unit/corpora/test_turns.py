"""Files of speaker turns: subtitles, Whisper's JSON, RTTM; what is none is an error with its place."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from earnest.corpora.folders import RecordingFinder
from earnest.corpora.turns import SpeakerTurn, are_turns, read_turns, recording_of, turns_by_recording
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
    ],
    ids=["Whisper", "whisper.cpp", "AssemblyAI", "Deepgram", "Amazon Transcribe"],
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
        ("a.wav", "", "these end in .srt, .vtt, .json, .rttm"),
    ],
)
def test_what_is_no_file_of_turns_is_an_error_that_says_why(name: str, text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(EarnestError, match=message):
        read_turns(written(tmp_path, name, text))
