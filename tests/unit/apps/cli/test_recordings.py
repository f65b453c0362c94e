"""Recordings of a command line: lists, their columns and their speakers."""

import json
from pathlib import Path
from unittest.mock import Mock

import pytest
from click.testing import CliRunner

from earnest.apps.batch.inputs import inputs_of
from earnest.apps.cli._lists import Listed, read_list
from earnest.apps.cli._recordings import NamedRecordings, in_channels
from earnest.apps.cli.main import cli
from earnest.audio.source import Channel, Part, path_of
from earnest.corpora.own.read import LONGEST_PATH
from earnest.errors import EarnestError


def test_a_speaker_is_named_by_list_pattern_sub_folder_and_folder_in_this_order(tmp_path: Path) -> None:
    for name in ("talks/anna/monday/1.wav", "talks/anna/2.wav", "talks/bob/3.wav", "talks/4.wav", "alone/5.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "list.csv").write_text("path,speaker\ntalks/4.wav,carl\ntalks/anna/2.wav,\n")

    def groups(*words: str, pattern: str | None = None) -> list[set[str]]:
        names = ("talks/anna/monday/1", "talks/anna/2", "talks/bob/3", "talks/4", "alone/5")
        speakers = NamedRecordings([str(tmp_path / word) for word in words]).speakers(pattern)
        found: dict[str, set[str]] = {}
        for name in names:
            found.setdefault(speakers.of(str(tmp_path / f"{name}.wav")), set()).add(name[-1])
        return list(found.values())

    assert groups("talks") == [{"1", "2"}, {"3"}, {"4"}, {"5"}]
    assert groups("talks/anna", "talks/bob") == [{"1"}, {"2"}, {"3"}, {"4"}, {"5"}]
    assert groups("talks", "list.csv") == [{"1", "2"}, {"3"}, {"4"}, {"5"}]
    assert groups("talks", pattern="[0-9]") == [{"1"}, {"2"}, {"3"}, {"4"}, {"5"}]
    assert groups("talks", pattern="(anna|bob)") == [{"1", "2"}, {"3"}, {"4"}, {"5"}]
    assert groups("talks", pattern="(.)(?P<speaker>[nb]).*/.*wav") == [{"1", "2"}, {"3"}, {"4"}, {"5"}]
    assert groups("talks/anna/monday/1.wav", "talks/anna/2.wav", "talks/4.wav")[-2:] == [{"4"}, {"5"}]


def test_a_pattern_is_not_tried_on_endless_names() -> None:
    speakers = NamedRecordings([]).speakers("a")
    assert speakers.of("a" * LONGEST_PATH) == speakers.of("ba")
    assert speakers.of("a" * (LONGEST_PATH + 1)) != speakers.of("ba")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "needs the column 'path'"),
        ("what,who\na.wav,anna\n", "needs the column 'path', named in its first line. There are 'what', 'who'"),
        ("what;who\na.wav;anna\n", "There are 'what', 'who'"),
        ("file,file\na.wav,b.wav\n", "needs the column 'path', named in its first line. There are 'file', 'file'"),
        ("path\n", "lists no recordings"),
        ("path,speaker\na.wav\n", "row 2: 1 cell, but the header has 2"),
        ("path,start_s\na.wav,soon\n", "row 2: expected a number, got 'soon'"),
        ("path,start_s,end_s\na.wav,2,1\n", "a.wav@2-1: a part must end after it begins"),
        ("path,speaker\n,anna\n", "the path is missing"),
        ('path\n"a.wav\n', "not a readable list"),
        ("path,channel\na.wav,left\n", "row 2: channel 'left', expected 1 for the left one"),
        ("path,channel\na.wav,0\n", "row 2: channel '0', expected 1"),
        ("path,channel\n,\n\na.wav,left\n", "row 4: channel 'left'"),  # as a spreadsheet counts
        ("path,path\na.wav,b.wav\n", "the column 'path' is there 2 times"),
        ("path,Speaker\na.wav,anna\n", "the column 'Speaker' is written 'speaker'"),
        ("path, Channel\na.wav,1\n", "the column 'Channel' is written 'channel'"),
        ("path,speaker\na.wav,anna\na.wav,bob\n", "row 3: another row says that a.wav is spoken by someone else"),
        ("path,user\na.wav,r1\na.wav,r2\n", "spoken by someone else.* call who listened 'rater'"),
    ],
)
def test_what_is_no_list_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(EarnestError, match=message):
        read_list(tmp_path / "list.csv")


def test_rows_with_times_are_parts(tmp_path: Path) -> None:
    rows = ("a.wav,1.5,,1", "a.wav,0,2.25,", "a.wav,00:00:03,4,", "a.wav,,,", "b.wav,0.0,,2")
    (tmp_path / "list.csv").write_text("\n".join(("path,start_s,end_s,channel", *rows)))
    a, b = (str(tmp_path / name) for name in ("a.wav", "b.wav"))
    parts = (Part(Channel(a, 1), 1.5), Part(a, 0.0, 2.25), Part(a, 3.0, 4.0), a, Channel(b, 2))
    assert read_list(tmp_path / "list.csv").sources == parts
    (tmp_path / "other.csv").write_text("path,Start,end\na.wav,0,1.5\na.wav,soon,later\n")  # the last are no times
    assert read_list(tmp_path / "other.csv").sources == (Part(a, 0.0, 1.5), a)
    (tmp_path / "onsets.csv").write_text("path,onset,offset\na.wav,0.5,1.5\n")
    assert read_list(tmp_path / "onsets.csv").sources == (Part(a, 0.5, 1.5),)
    assert in_channels([Part(a, 1.0)], [2]) == [Part(Channel(a, 2), 1.0)]


@pytest.mark.parametrize(
    ("text", "seconds"), [("0:00.5", 0.5), ("1:02", 62.0), ("75:00.25", 4500.25), ("1:00:02.5", 3602.5)]
)
def test_times_are_written_as_players_show_them_too(tmp_path: Path, text: str, seconds: float) -> None:
    (tmp_path / "list.csv").write_text(f"path,start_s\na.wav,{text}\n")
    assert read_list(tmp_path / "list.csv").sources == (Part(str(tmp_path / "a.wav"), seconds),)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("00:00:05,00:00:20", "'start' (00:00:05) and 'end' (00:00:20) are not read, and recordings are answered"),
        ("12.5,", "'start' (12.5) is not read"),
        ("5,20", ""),
        ("soon,later", ""),
        (",", ""),
    ],
)
def test_times_of_other_columns_that_are_not_read_are_told(
    tmp_path: Path, row: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    """They may be times of the day, such as when a call began."""
    (tmp_path / "list.csv").write_text(f"path,start,end\na.wav,{row}\n")
    NamedRecordings([str(tmp_path / "list.csv")]).sources()
    messages = [record.getMessage() for record in caplog.records]
    assert (len(messages) == 1 and told in messages[0]) if told else not messages


def test_a_named_file_that_may_be_a_list_is_told_how_lists_are_saved(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = {
        "list.txt": b"a.wav\nb.wav\n",
        "list.xlsx": b"PK\x03\x04" + bytes(99),
        "notes.wav": b"text",
        "x.raw": bytes(99),
    }
    for name, data in names.items():
        (tmp_path / name).write_bytes(data)
    NamedRecordings([*(str(tmp_path / name) for name in names), str(tmp_path / "none.txt"), "x" * 300]).sources()
    told = "no recording. If it is a list of recordings, save it as .csv, with a column 'path'."
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / name}: {told}" for name in ("list.txt", "list.xlsx")
    ]


def test_times_may_have_decimal_commas_where_commas_part_no_cells(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path;start_s;end_s\na.wav;0,5;2\n")
    assert read_list(tmp_path / "list.csv").sources == (Part(str(tmp_path / "a.wav"), 0.5, 2.0),)


def test_a_part_has_the_speaker_of_its_recording(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,start_s,end_s,speaker\na.wav,0,1,anna\na.wav,1,2,bert\n")
    listed = NamedRecordings([str(tmp_path / "list.csv")]).speakers()
    names = [path_of(source) for source in read_list(tmp_path / "list.csv").sources]
    assert [listed.of(name) for name in names] == ["speaker anna", "speaker bert"]
    by_name = NamedRecordings([str(tmp_path)]).speakers("spk([0-9])")
    assert by_name.of(str(tmp_path / "spk1.wav@0-1")) == by_name.of(str(tmp_path / "spk1.wav@2-3"))


@pytest.mark.parametrize("name", ["file", "File Name", "audio_path", "recording"])
def test_a_column_that_learn_takes_for_the_recordings_is_their_path(tmp_path: Path, name: str) -> None:
    (tmp_path / "list.csv").write_text(f"label;{name};speaker\nsad;a.wav;anna\nsad;b.wav;\n")
    listed = read_list(tmp_path / "list.csv")
    assert listed.sources == (str(tmp_path / "a.wav"), str(tmp_path / "b.wav"))
    assert {path: one.speaker for path, one in listed.told.items()} == {
        str(tmp_path / "a.wav"): "anna",
        str(tmp_path / "b.wav"): "",
    }
    assert [one.key for one in inputs_of(str(tmp_path / "list.csv"))] == list(listed.sources)


@pytest.mark.parametrize("name", ["participant", "Speaker ID", "sprecherin"])
def test_a_column_that_learn_takes_for_the_speaker_says_who_speaks(tmp_path: Path, name: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f"file,{name},session\na.wav,p01,1\nb.wav,p02,1\n")
    listed, speakers = read_list(path), NamedRecordings([str(path)]).speakers()
    assert [one.speaker for one in listed.told.values()] == ["p01", "p02"]
    assert "speaker" in speakers.told
    assert len({speakers.of(path_of(one)) for one in listed.sources}) == 2
    path.write_text(f"file,speaker,{name}\na.wav,anna,p01\n")
    assert [one.speaker for one in read_list(path).told.values()] == ["anna"]


def test_a_column_path_goes_before_others_that_may_name_recordings(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("file,path\na.wav,b.wav\n")
    assert read_list(tmp_path / "list.csv").sources == (str(tmp_path / "b.wav"),)


def test_spaces_around_the_cells_of_a_list_mean_nothing_but_in_paths(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path, speaker,channel \n a.wav, anna ,2\nb.wav,anna, 1\n")
    listed = read_list(tmp_path / "list.csv")
    assert [str(one) for one in listed.told] == [str(tmp_path / " a.wav#2"), str(tmp_path / "b.wav#1")]
    assert {one.speaker for one in listed.told.values()} == {"anna"}


def test_spaces_around_a_path_count_only_where_a_file_is_called_so(tmp_path: Path) -> None:
    for name in (" a.wav", "b.wav", "c.wav", " c.wav"):
        (tmp_path / name).touch()
    (tmp_path / "list.csv").write_text("path\n a.wav\n b.wav \n c.wav\n missing.wav\n")
    found = [str(tmp_path / name) for name in (" a.wav", "b.wav", " c.wav", " missing.wav")]
    assert list(read_list(tmp_path / "list.csv").sources) == found
    assert [one.key for one in inputs_of(str(tmp_path / "list.csv"))] == found


def test_numbers_of_speakers_that_pandas_wrote_with_a_gap_are_whole(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,speaker_id\na.wav,1.0\nb.wav,\nc.wav,12.0\n")
    assert [one.speaker for one in read_list(tmp_path / "list.csv").told.values()] == ["1", "", "12"]


def test_what_macos_keeps_of_a_recording_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a.wav", "._a.wav", "__MACOSX/._a.wav", "b/._c.flac"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert NamedRecordings([str(tmp_path)]).sources() == [str(tmp_path / "a.wav")]
    assert not caplog.text


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("path,agent_channel,customer_channel", ["'agent_channel'", "'customer_channel'"]),
        ("path,speker,mood", ["'speker' is not read, 'speaker' would be. Rename it"]),
        ("path,speaker,speaker_id", []),
    ],
    ids=["sides in columns", "misspelt", "another column"],
)
def test_a_column_that_is_nearly_ours_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, header: str, told: list[str]
) -> None:
    calls = tmp_path / "calls.csv"
    calls.write_text(f"{header}\na.wav{',1' * header.count(',')}\nb.wav{',2' * header.count(',')}\n")
    NamedRecordings([str(calls)]).speakers()
    for named in (lambda: NamedRecordings([str(calls)]).sources(), lambda: [one.key for one in inputs_of(str(calls))]):
        assert named() == [str(tmp_path / "a.wav"), str(tmp_path / "b.wav")]
        said = [record.getMessage() for record in caplog.records]
        assert len(said) == len(told) and all(word in one for word, one in zip(told, said, strict=True))
        caplog.clear()


SAID = {"segments": [{"start": 0.5, "end": 1.5, "text": " Hello.", "speaker": "A"}, {"start": 2, "end": 3}]}


def test_turns_are_parts_of_the_recording_beside_them_and_names_hold_in_their_file_alone(tmp_path: Path) -> None:
    for name in ("talk", "other.en"):
        (tmp_path / f"{name}.json").write_text(json.dumps(SAID))
    for name in ("talk.mp3", "talk.wav", "other.mp4", "other.txt"):
        (tmp_path / name).touch()
    files = [str(tmp_path / name) for name in ("talk.json", "other.en.json")]
    talk, other = str(tmp_path / "talk.mp3"), str(tmp_path / "other.mp4")
    recordings = NamedRecordings(files)
    assert recordings.sources() == [Part(one, *times) for one in (talk, other) for times in ((0.5, 1.5), (2, 3))]
    speakers = recordings.speakers()
    assert speakers.told == {"speaker", "text"}
    assert speakers.told_of(f"{talk}@0.5-1.5") == speakers.told_of(f"{talk}#2@0.5-1.5") == Listed("A", "Hello.")
    assert speakers.told_of(f"{talk}@2-3") == Listed()
    first, second = (speakers.of(f"{one}@0.5-1.5") for one in (talk, other))
    assert first != second and first.startswith("A of ")


@pytest.mark.parametrize("name", ["talk.srt", "talk.TextGrid", "talk.tsv"])
def test_a_timeline_of_turns_is_refused_with_the_command_that_answers_them(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("start\tend\ttext\n500\t900\tHello\n")
    result = CliRunner().invoke(cli, ["timeline", str(tmp_path / name)])
    assert result.exit_code == 2
    told = " ".join(result.output.split())
    assert (
        "a timeline is of a whole recording. Name the recording itself, or answer its turns with: earnest predict"
        in told
    )


def test_a_table_of_whispers_is_turns_and_another_one_a_list(tmp_path: Path) -> None:
    (tmp_path / "talk.wav").touch()
    (tmp_path / "talk.tsv").write_text("start\tend\ttext\n500\t900\tHello\n")
    (tmp_path / "list.tsv").write_text("path\tspeaker\ntalk.wav\tanna\n")
    sources = NamedRecordings([str(tmp_path / "talk.tsv"), str(tmp_path / "list.tsv")]).sources()
    assert sources == [Part(str(tmp_path / "talk.wav"), 0.5, 0.9), str(tmp_path / "talk.wav")]


def test_rttm_may_be_about_several_recordings_and_one_that_is_not_there_is_told(tmp_path: Path) -> None:
    lines = (f"SPEAKER {name} 1 0.5 1.0 <NA> <NA> anna <NA> <NA>" for name in ("my_talk", "other"))
    (tmp_path / "all.rttm").write_text("\n".join(lines))
    (tmp_path / "my talk.wav").touch()
    with pytest.raises(EarnestError, match=r"all\.rttm: there is no recording called other beside it"):
        NamedRecordings([str(tmp_path / "all.rttm")]).sources()
    (tmp_path / "other.flac").touch()
    names = [str(tmp_path / name) for name in ("my talk.wav", "other.flac")]
    assert NamedRecordings([str(tmp_path / "all.rttm")]).sources() == [Part(name, 0.5, 1.5) for name in names]


def test_each_list_is_read_once_for_its_recordings_and_its_speakers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "list.csv").write_text("path,speaker,text\na.wav,anna,Hello\n")
    read = Mock(side_effect=read_list)
    monkeypatch.setattr("earnest.apps.cli._recordings.read_list", read)
    recordings = NamedRecordings([str(tmp_path / "list.csv")])
    (source,) = recordings.sources()
    assert recordings.speakers().told_of(path_of(source)) == Listed("anna", "Hello")
    read.assert_called_once()
