"""Own recordings in every layout that people come with."""

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earnest.apps.cli._lists import read_list
from earnest.apps.cli._recordings import NamedRecordings
from earnest.audio.source import path_of
from earnest.corpora.load import refused_sentences
from earnest.corpora.manifest import doubts_about, read_manifest, write_manifest
from earnest.corpora.own import OwnData, read_own
from earnest.corpora.own.data import kinds_of
from earnest.errors import CorpusError


def record(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.zeros(800), 16_000)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def labels(found: OwnData) -> dict[str, str]:
    return {row.path.stem: row.native_emotion for row in found.utterances}


def speakers(found: OwnData) -> dict[str, str]:
    return {row.path.stem: row.speaker for row in found.utterances}


def test_a_folder_for_each_class_keeps_the_users_words(tmp_path):
    record(tmp_path / "fröhlich/a.wav", tmp_path / "wütender Kunde/b.wav", tmp_path / "angry/c.wav")
    found = read_own(tmp_path)
    assert labels(found) == {"a": "fröhlich", "b": "wütender Kunde", "c": "angry"}
    assert found.labels == ("angry", "fröhlich", "wütender Kunde")
    assert found.speaker_from == "" and not found.speakers
    assert [row.emotion for row in found.utterances] == ["angry", "other", "other"]


def test_the_same_word_in_two_forms_of_unicode_is_one_class(tmp_path):
    record(tmp_path / "fr\u00f6h/a.wav", tmp_path / "fro\u0308h/b.wav")  # as Linux and as macOS write it
    assert read_own(tmp_path).labels == ("fröh",)


def test_train_valid_and_test_above_the_classes_are_a_split(tmp_path):
    record(tmp_path / "train/yes/a.wav", tmp_path / "dev/no/b.wav", tmp_path / "test/yes/c.wav")
    found = read_own(tmp_path)
    assert labels(found) == {"a": "yes", "b": "no", "c": "yes"}
    assert found.splits == {"own/train/yes/a.wav": "train", "own/dev/no/b.wav": "valid", "own/test/yes/c.wav": "test"}
    record(tmp_path / "example.wav")  # beside them, in no folder
    assert read_own(tmp_path).labels == ("no", "yes")


def test_folders_of_speakers_are_speakers_only_when_told(tmp_path):
    record(tmp_path / "ann/happy/a.wav", tmp_path / "bob/sad/b.wav", tmp_path / "bob/happy/c.wav")
    found = read_own(tmp_path)
    assert labels(found) == {"a": "happy", "b": "sad", "c": "happy"}  # the level whose names are emotions
    assert not found.speakers and "level 2" in found.notes[0]
    told = read_own(tmp_path, label_column="folder 2", speaker_column="folder 1")
    assert speakers(told) == {"a": "own-ann", "b": "own-bob", "c": "own-bob"} and not told.notes


def test_emotions_in_names_of_files_below_folders_of_speakers_are_hinted_at(tmp_path):
    record(
        *(
            tmp_path / f"{who}/{who}_{word}_{take}.wav"
            for who in ("ann", "bob")
            for word in ("happy", "sad")
            for take in (0, 1)
        )
    )
    found = read_own(tmp_path)
    assert found.labels == ("ann", "bob") and "(ann_happy_0.wav)" in found.notes[0]
    assert found.notes[0].endswith("--label-pattern 'happy|sad'.")
    told = read_own(tmp_path, label_pattern="happy|sad", speaker_column="folder 1")
    assert told.labels == ("happy", "sad") and told.speakers == ("own-ann", "own-bob") and not told.notes
    record(tmp_path / "angry/x.wav")  # a folder with an emotion's name: these are the classes
    assert not read_own(tmp_path).notes


@pytest.mark.parametrize("asked", [{"label_column": "folder 3"}, {"speaker_column": "folder 3"}])
def test_a_level_of_folders_that_is_not_there_is_told_with_those_that_are(tmp_path, asked):
    record(tmp_path / "ann/happy/a.wav", tmp_path / "bob/sad/b.wav")
    there = r"there is no 'folder 3'\. There is 'folder 1' \(ann, bob\); 'folder 2' \(happy, sad\)\."
    with pytest.raises(CorpusError, match=there):
        read_own(tmp_path, **asked)


def test_patterns_read_labels_and_speakers_from_names(tmp_path):
    record(tmp_path / "AA_anger_01.wav", tmp_path / "BB_joy_02.wav", tmp_path / "noise.wav")
    found = read_own(tmp_path, label_pattern="_([a-z]+)_", speaker_pattern="(?P<speaker>[A-Z]+)_")
    assert labels(found) == {"AA_anger_01": "anger", "BB_joy_02": "joy"}
    assert found.speakers == ("own-AA", "own-BB")
    assert (found.layout, found.label_from) == ("a folder of recordings", "a pattern on the path")
    assert len(found.refused) == 1 and "no label" in found.refused[0].reason


def test_what_is_left_out_is_told_beside_a_label_pattern_too(tmp_path):
    record(tmp_path / "AA_anger_01.wav", tmp_path / ".hidden" / "BB_joy_02.wav")
    (told,) = read_own(tmp_path, label_pattern="_([a-z]+)_").notes
    assert told.startswith("1 recording left out, hidden")
    write(tmp_path / "parts.csv", "path,label\nAA_anger_01.wav,x\nAA_anger_01.wav,y\n")
    (told,) = read_own(tmp_path / "parts.csv", label_pattern="_([a-z]+)_").notes
    assert "is in 2 rows" in told


def test_german_names_of_columns_are_known(tmp_path):
    record(tmp_path / "a.wav", tmp_path / "b.wav")
    path = write(tmp_path / "tabelle.csv", "Datei;Gefühl;Sprecher\na.wav;froh;Anna\nb.wav;traurig;Bernd\n")
    found = read_own(path)
    assert labels(found) == {"a": "froh", "b": "traurig"} and found.speakers == ("own-Anna", "own-Bernd")


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_patterns_find_what_macos_wrote(tmp_path, form):
    folder = unicodedata.normalize(form, "Jürgen")
    record(tmp_path / folder / "wütend_1.wav")
    pattern = unicodedata.normalize({"NFC": "NFD", "NFD": "NFC"}[form], "wütend|Jürgen")
    found = read_own(tmp_path, label_pattern=pattern.split("|")[0], speaker_pattern=f"({pattern})")
    assert (found.labels, found.speakers) == (("wütend",), ("own-Jürgen",))
    speakers = NamedRecordings([str(tmp_path)]).speakers(f"({pattern})")
    assert speakers.of(str(tmp_path / folder / "a.wav")) == f"pattern {tmp_path} Jürgen"


def test_a_speaker_pattern_that_is_in_no_path_is_told_with_a_path(tmp_path):
    record(tmp_path / "happy/ann_1.wav", tmp_path / "sad/bob_1.wav")
    found = read_own(tmp_path, speaker_pattern="^([a-z]+)_")
    assert not found.speakers
    assert "The speaker pattern '^([a-z]+)_' is in no path; it is looked for in all of a path" in found.notes[-1]
    assert "such as 'happy/ann_1.wav'" in found.notes[-1]


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl", "metadata.parquet"])
def test_an_audiofolder_has_its_speakers_and_tells_what_is_not_named(tmp_path, name):
    record(tmp_path / "a.wav", tmp_path / "wav/b.wav", tmp_path / "stranger.wav")
    rows = [
        {"file_name": "a.wav", "label": "yes", "speaker_id": 1},
        {"file_name": "wav/b.wav", "label": "no", "speaker_id": 2},
    ]
    write_rows(tmp_path / name, rows)
    found = read_own(tmp_path)
    assert labels(found) == {"a": "yes", "b": "no"} and found.speakers == ("own-1", "own-2")
    assert found.speaker_from == "column 'speaker_id'"
    assert [one.where for one in found.refused] == [str(tmp_path / "stranger.wav")]
    (tmp_path / "itself.wav").symlink_to("itself.wav")
    assert str(tmp_path / "itself.wav") in [one.where for one in read_own(tmp_path).refused]


def write_rows(path: Path, rows: list[dict]) -> Path:
    if path.suffix == ".parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        import pyarrow

        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        return path
    if path.suffix == ".jsonl":
        return write(path, "\n".join(map(json.dumps, rows)))
    lines = [rows[0].keys(), *(map(str, row.values()) for row in rows)]
    return write(path, "\n".join(",".join(line) for line in lines))


def test_metadata_in_train_and_test_without_labels_takes_those_of_the_folders(tmp_path):
    record(tmp_path / "train/yes/a.wav", tmp_path / "test/no/b.wav")
    write(tmp_path / "train/metadata.csv", "file_name,speaker\nyes/a.wav,ann\n")
    write(tmp_path / "test/metadata.csv", "file_name,speaker\nno/b.wav,bob\n")
    found = read_own(tmp_path)
    assert labels(found) == {"a": "yes", "b": "no"} and found.speakers == ("own-ann", "own-bob")
    assert sorted(found.splits.values()) == ["test", "train"]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_table_with_declared_columns(tmp_path, suffix):
    record(tmp_path / "a.wav", tmp_path / "b.wav")
    rows = [
        {"Audio File": "a.wav", "annotation": "yes", "who": "x"},
        {"Audio File": "b.wav", "annotation": "no", "who": "y"},
    ]
    table = write_rows(tmp_path / f"mine{suffix}", rows)
    with pytest.raises(CorpusError, match=r"--label-column NAME\. There are Audio File, annotation, who"):
        read_own(table)
    found = read_own(table, label_column="annotation", speaker_column="who")
    assert labels(found) == {"a": "yes", "b": "no"} and found.speakers == ("own-x", "own-y")
    with pytest.raises(CorpusError, match="Did you mean 'annotation'"):
        read_own(table, label_column="anotation")


def test_ratings_are_read_under_the_names_that_msp_podcast_gives_them(tmp_path):
    record(tmp_path / "a.wav")
    text = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender\na.wav,N,3.5,4,4.25,7,Male\n"
    (row,) = read_own(write(tmp_path / "labels_consensus.csv", text)).utterances
    assert (row.native_emotion, row.native_speaker, row.gender) == ("N", "7", "male")
    assert (row.valence, row.arousal, row.dominance) == (4, 3.5, 4.25)


def test_a_table_with_german_names_of_columns_is_read(tmp_path):
    record(tmp_path / "a.wav")
    text = "Datei;Sprecher;Stimmung;Valenz;Arousal;Dominanz\na.wav;Anna;froh;5,5;3;4\n"
    (row,) = read_own(write(tmp_path / "liste.csv", text)).utterances
    assert (row.native_emotion, row.native_speaker) == ("froh", "Anna")
    assert (row.valence, row.arousal, row.dominance) == (5.5, 3, 4)


def test_ratings_in_words_are_none_and_one_wrong_number_is_refused(tmp_path):
    record(tmp_path / "a.wav", tmp_path / "b.wav")
    text = "path;label;Valence;Arousal\na.wav;yes;positive;3,5\nb.wav;no;negative;high\n"
    found = read_own(write(tmp_path / "mine.csv", text))
    assert [(row.native_emotion, row.valence, row.arousal) for row in found.utterances] == [("yes", None, 3.5)]
    assert [one.reason for one in found.refused] == ["arousal: expected a number, got 'high'."]


def test_a_folder_with_one_table_is_that_table(tmp_path):
    record(tmp_path / "wav/a.wav", tmp_path / "wav/b.wav")
    write(tmp_path / "labels.csv", "filename;emotion;speaker\nwav/a.wav;yes;1\nwav/b.wav;no;2\n")
    assert labels(read_own(tmp_path)) == {"a": "yes", "b": "no"}


def test_the_column_of_recordings_is_known_by_its_cells(tmp_path):
    record(tmp_path / "a.wav", tmp_path / "b.wav")
    liste = write(tmp_path / "liste.csv", "Datei;Stimmung\na.wav;ruhig\nb.wav;laut\n")
    assert labels(read_own(liste, label_column="Stimmung")) == {"a": "ruhig", "b": "laut"}
    two = write(tmp_path / "two.csv", "left;right;label\na.wav;b.wav;ruhig\nb.wav;a.wav;laut\n")
    with pytest.raises(CorpusError, match="which column names the recordings"):
        read_own(two)


def test_labels_of_other_raters_are_told(tmp_path):
    rows = ("a.wav,ann,sad,sad,happy,slow", "b.wav,bob,happy,,happy,fast", "c.wav,ann,sad,happy,sad,fast")
    for row in rows:
        (tmp_path / row[:5]).touch()
    (tmp_path / "raters.csv").write_text("\n".join(("file,speaker,one,two,three,tempo", *rows)))
    found = read_own(tmp_path / "raters.csv", label_column="one")
    assert [note for note in found.notes if "labels too" in note] == [
        "two, three hold such labels too, and say another one than 'one' in 2 of 3 rows: 'one' alone is taken. Of "
        "labels by several people make a column, such as with those of most."
    ]
    assert [row.native_emotion for row in found.utterances] == ["sad", "happy", "sad"]
    assert not any("labels too" in note for note in read_own(tmp_path / "raters.csv", label_column="tempo").notes)
    write_manifest(found.utterances, tmp_path / "manifest.csv")  # which has each label as native_emotion, too
    assert read_own(tmp_path / "manifest.csv").notes == ()


def test_parts_of_a_recording_and_the_columns_of_a_manifest(tmp_path):
    record(tmp_path / "talk.wav")
    table = write(
        tmp_path / "corrections.csv",
        "path,start_s,end_s,speaker,emotion\ntalk.wav,0,0.02,ann,angry\ntalk.wav,0.02,0.04,ann,bored\n",
    )
    found = read_own(table)
    assert [(row.start_s, row.end_s, row.native_emotion) for row in found.utterances] == [
        (0.0, 0.02, "angry"),
        (0.02, 0.04, "bored"),
    ]
    assert len({row.key for row in found.utterances}) == 2
    write_manifest(found.utterances, tmp_path / "manifest.csv")
    again = read_own(tmp_path / "manifest.csv")
    assert again.utterances == tuple(read_manifest(tmp_path / "manifest.csv")) == found.utterances


def test_times_and_ratings_have_decimal_commas_where_no_commas_part_the_cells(tmp_path):
    record(tmp_path / "talk.wav")
    text = "utterance_id;path;start_s;end_s;valence;emotion;native_emotion\na;talk.wav;0,01;0,04;-0,5;other;1,5\n"
    table = write(tmp_path / "saved.csv", text)
    for rows in (read_own(table).utterances, read_manifest(table)):
        assert [(row.start_s, row.end_s, row.valence, row.native_emotion) for row in rows] == [
            (0.01, 0.04, -0.5, "1,5")
        ]
    parted = write(tmp_path / "parted.csv", 'path,start_s,label\ntalk.wav,"1,500",sad\n')
    with pytest.raises(CorpusError, match=r"start_s: expected a number, got '1,500'\.$"):
        read_own(parted)


def test_parts_by_start_and_length_end_also_where_they_begin_at_zero_and_stay_together(tmp_path):
    record(tmp_path / "talk.wav")
    table = write(
        tmp_path / "nemo.csv", "path,offset,duration,emotion\ntalk.wav,0,0.02,angry\ntalk.wav,0.02,0.03,sad\n"
    )
    parts = read_own(table).utterances
    assert [(row.utterance_id, row.start_s, row.end_s) for row in parts] == [
        ("talk.wav@0", 0.0, 0.02), ("talk.wav@0.02", 0.02, pytest.approx(0.05))
    ]  # fmt: skip
    assert {row.group for row in parts} == {"talk.wav"}
    told = write(tmp_path / "whole.csv", "path,duration,emotion\ntalk.wav,0.02,angry\n")
    assert [(row.end_s, row.group) for row in read_own(told).utterances] == [(None, "")]


@pytest.mark.parametrize("names", ["start,end", "Onset,Offset", "begin_time,end_time", "tmin,tmax", "xmin,xmax"])
def test_parts_have_the_times_that_other_programs_call_otherwise(tmp_path, names):
    record(tmp_path / "talk.wav")
    table = write(tmp_path / "parts.csv", f"file,label,{names}\ntalk.wav,yes,0.01,0.02\ntalk.wav,no,0.03,0.05\n")
    assert [(row.start_s, row.end_s) for row in read_own(table).utterances] == [(0.01, 0.02), (0.03, 0.05)]
    assert read_own(table).notes == ()


@pytest.mark.parametrize(
    ("names", "note"),
    [
        ("from,to", "'talk.wav' is in 2 rows, each about the whole recording"),
        ("annotator,day", "If several people labelled it, keep one row of each recording"),
        ("start,finish", "No column says where parts end"),
    ],
)
def test_times_in_columns_that_are_not_known_are_told(tmp_path, names, note):
    record(tmp_path / "talk.wav")
    table = write(tmp_path / "parts.csv", f"file,label,{names}\ntalk.wav,yes,0.01,0.02\ntalk.wav,no,0.03,0.05\n")
    assert note in " ".join(read_own(table).notes)


def test_labels_that_pandas_wrote_with_a_gap_are_the_same_numbers(tmp_path):
    record(*(tmp_path / f"{name}.wav" for name in "abc"))
    found = read_own(write(tmp_path / "t.csv", "file,label,participant\na.wav,1.0,7.0\nb.wav,,8.0\nc.wav,2.0,\n"))
    assert labels(found) == {"a": "1", "c": "2"}
    assert speakers(found)["a"] == "own-7"


def test_channels_in_a_column_are_told_to_be_heard_together(tmp_path):
    record(tmp_path / "call.wav", tmp_path / "other.wav")
    rows = ("call.wav,{},yes,0.01,0.02", "{},1,no,0.03,0.05")
    table = write(tmp_path / "t.csv", "\n".join(["file,channel,label,start,end", *rows]).format(0, "call.wav"))
    assert read_own(table).notes == (
        "The channels of 'call.wav' are heard together. For one alone number them from 1 (2: the right one).",
    )
    write(table, "\n".join(["file,channel,label,start,end", *rows]).format(0, "other.wav"))
    assert not read_own(table).notes


@pytest.mark.parametrize("name", ["channel", "Channel"])
def test_a_column_channel_says_which_channel_is_heard(tmp_path, name):
    record(tmp_path / "call.wav", tmp_path / "other.wav")
    rows = ("call.wav,1,yes,0.01,0.02", "call.wav,2.0,no,0.03,0.05", "other.wav,,no,0.03,0.05")
    table = write(tmp_path / "metadata.csv", "\n".join([f"file,{name},label,start,end", *rows]))
    for found in (read_own(table), read_own(tmp_path)):
        assert [row.path.name for row in found.utterances] == ["call.wav#1", "call.wav#2", "other.wav"]
        assert [row.channel for row in found.utterances] == [""] * 3  # that of a manifest is a microphone
        assert not found.notes
        assert not found.refused
    write_manifest(found.utterances, tmp_path / "truth.csv")
    assert [path_of(one) for one in read_list(tmp_path / "truth.csv").sources] == [
        *(str(tmp_path / name) for name in ("call.wav#1@0.01-0.02", "call.wav#2@0.03-0.05", "other.wav@0.03-0.05"))
    ]


def test_a_channel_that_is_no_number_is_a_microphone_in_manifests_too(tmp_path):
    record(tmp_path / "a.wav", tmp_path / "b.wav")
    table = write(tmp_path / "t.csv", "file,channel,label\na.wav,telephone,yes\nb.wav,2,no\n")
    found = read_own(table)
    assert [(row.path.name, row.channel) for row in found.utterances] == [("a.wav", "telephone"), ("b.wav", "2")]
    write_manifest(found.utterances, tmp_path / "truth.csv")
    assert read_list(tmp_path / "truth.csv").sources == (str(tmp_path / "a.wav"), str(tmp_path / "b.wav"))
    again = read_own(tmp_path / "truth.csv")
    assert [(row.path.name, row.channel) for row in again.utterances] == [("a.wav", "telephone"), ("b.wav", "2")]


def test_where_parts_end_without_where_they_begin_is_an_error(tmp_path):
    record(tmp_path / "talk.wav")
    table = write(tmp_path / "parts.csv", "file,label,from,end\ntalk.wav,yes,0.01,0.02\ntalk.wav,no,0.03,0.05\n")
    with pytest.raises(CorpusError, match=r"'end' says where a part ends.*Call it 'start_s'.*file, label, from, end"):
        read_own(table)


def test_an_audformat_database_has_its_speakers_from_another_table(tmp_path):
    record(tmp_path / "wav/a.wav", tmp_path / "wav/b.wav")
    write(
        tmp_path / "db.emotion.csv",
        "file,start,end,emotion\nwav/a.wav,0 days,0 days 00:00:00.04,yes\nwav/b.wav,0 days,NaT,no\n",
    )
    write(tmp_path / "db.files.csv", "file,duration,speaker\nwav/a.wav,1,3\nwav/b.wav,1,8\n")
    found = read_own(tmp_path)
    assert labels(found) == {"a": "yes", "b": "no"} and found.speakers == ("own-3", "own-8")
    assert [row.end_s for row in found.utterances] == [0.04, None]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b.wav yes\nc.wav no", {"a b": "yes", "c": "no"}),
        ("a b.wav\tyes\tann\nc.wav\tno\tbob", {"a b": "yes", "c": "no"}),
        ("a b.wav|yes\n# a remark\n\nc.wav|no", {"a b": "yes", "c": "no"}),
        ("path,label\na b.wav,yes\nc.wav,no", {"a b": "yes", "c": "no"}),
    ],
)
def test_a_list_of_files(tmp_path, text, expected):
    record(tmp_path / "a b.wav", tmp_path / "c.wav")
    assert labels(read_own(write(tmp_path / "files.txt", text))) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("files.txt", "yes, or so/a; b.wav\nno/c,d.wav"),
        ("wav.scp", "utt-1 yes, or so/a; b.wav\nutt-2 no/c,d.wav"),
        ("wav.scp", "utt-1\tyes, or so/a; b.wav\nutt-2\tno/c,d.wav"),
        ("htk.scp", "no/c,d.wav\nno/c,d.wav"),
        ("labels.scp", "no/c,d.wav\tno\nno/c,d.wav\tno"),
    ],
)
def test_a_list_of_paths_with_marks_in_them_or_of_kaldi_is_read(tmp_path, name, text):
    record(tmp_path / "yes, or so/a; b.wav", tmp_path / "no/c,d.wav")
    found = read_own(write(tmp_path / name, text))
    assert {row.path.name for row in found.utterances} >= {"c,d.wav"} and not found.refused
    assert {row.native_emotion for row in found.utterances} <= {"yes, or so", "no"}
    assert len(found.utterances) == 2


def test_a_list_of_paths_alone_has_the_labels_of_their_folders(tmp_path):
    record(tmp_path / "yes/a.wav", tmp_path / "no/b.wav")
    found = read_own(write(tmp_path / "files.txt", "yes/a.wav\nno/b.wav\n"))
    assert labels(found) == {"a": "yes", "b": "no"} and found.label_from == "the files' folders"


def test_a_list_with_a_header_is_a_table_whichever_column_names_the_files(tmp_path):
    record(tmp_path / "in/a.wav", tmp_path / "in/b.wav")
    rows = "Tier\tStart\tEnd\tLaune\tFile Path\nemo\t0\t0.02\tfroh\tin/a.wav\nemo\t0\t0.03\tmüde\tin/b.wav\n"
    found = read_own(path := write(tmp_path / "elan.txt", rows))
    assert [row.end_s for row in found.utterances] == [0.02, 0.03]
    assert found.label_from == "the files' folders"
    assert "label in one of Tier, Laune? Then say --label-column" in " ".join(found.notes)
    found = read_own(path, label_column="Laune")
    assert labels(found) == {"a": "froh", "b": "müde"} and not any("--label-column" in note for note in found.notes)


def test_one_wrong_row_is_refused_with_its_place_and_the_others_stay(tmp_path):
    record(tmp_path / "a.wav", tmp_path / "b.wav", tmp_path / "c.wav")
    table = write(
        tmp_path / "mine.csv",
        "path,label,start_s,end_s\na.wav,yes,,\nmissing.wav,no,,\nb.wav,,,\nc.wav,no,soon,\nc.wav,no,2,1\n,no,,\n\x00.wav,no,,\n",
    )
    found = read_own(table)
    assert labels(found) == {"a": "yes"}
    reasons = [one.reason for one in found.refused]
    assert [one.where for one in found.refused] == [f"{table}, row {number}" for number in range(3, 9)]
    for reason, words in zip(
        reasons, ("no such file", "no label", "a number", "empty", "names no", "no such"), strict=True
    ):
        assert words in reason


def test_the_same_fault_of_several_rows_is_one_kind_and_says_what_to_do(tmp_path):
    record(tmp_path / "a.wav", tmp_path / "b.wav")
    rows = ("a.wav,yes", "gone: 1.wav,no", "b.wav,", "gone 2.wav,no", f"{tmp_path / 'gone 3.wav'},no")
    table = write(tmp_path / "mine.csv", "\n".join(["path,label", *rows]))
    found = read_own(table)
    missing, unlabelled, absolute = kinds_of(found.refused)
    assert missing.startswith("2 × no such file. ") and missing.endswith(f" ({table}, row 3)")
    for words in (f"start at {tmp_path};", "--root (earnest learn)", "--audio (earnest corpus manifest)"):
        assert words in missing
    assert unlabelled == f"1 × b.wav: no label ({table}, row 4)"
    assert absolute == f"1 × {tmp_path / 'gone 3.wav'}: no such file ({table}, row 6)"
    told = f"4 of 5 recordings left out: {missing}; {unlabelled}; {absolute}. `earnest corpus check` names all."
    assert refused_sentences(found) == [told]


def test_links_to_files_that_are_not_there_are_left_out_with_the_reason(tmp_path):
    record(tmp_path / "mine/sad/a.wav", tmp_path / "elsewhere/b.wav")
    (tmp_path / "mine/sad/b.wav").symlink_to(tmp_path / "elsewhere/b.wav")
    for name in ("c", "d"):  # as git-annex leaves what was not fetched
        (tmp_path / f"mine/sad/{name}.wav").symlink_to(tmp_path / f"elsewhere/{name}.wav")
    found = read_own(tmp_path / "mine")
    assert sorted(labels(found)) == ["a", "b"]
    assert {Path(one.where).name for one in found.refused} == {"c.wav", "d.wav"}
    assert {one.reason for one in found.refused} == {"a link to a file that is not there"}
    for name in ("a", "b"):
        (tmp_path / f"mine/sad/{name}.wav").unlink()
    with pytest.raises(CorpusError, match="2 rows refused, none is left"):
        read_own(tmp_path / "mine")


def test_rows_are_counted_as_an_editor_counts_them(tmp_path):
    record(tmp_path / "a.wav", tmp_path / "b.wav")
    found = read_own(write(tmp_path / "mine.csv", "path,label\na.wav,yes\n\n,\nnone.wav,no\nb.wav,no\n"))
    assert [one.where for one in found.refused] == [f"{tmp_path / 'mine.csv'}, row 5"]


def test_what_r_and_pandas_write_for_nothing_is_no_speaker_and_no_label(tmp_path):
    record(tmp_path / "a.wav", tmp_path / "b.wav", tmp_path / "c.wav", tmp_path / "d.wav")
    rows = "a.wav,yes,ann\nb.wav,no,NA\nc.wav,NA,ann\nd.wav,no,nan\n"
    found = read_own(write(tmp_path / "mine.csv", f"path,label,speaker\n{rows}"))
    assert found.labels == ("no", "yes") and len(found.speakers) == 1 and not found.knows_speakers
    assert ["no label" in one.reason for one in found.refused] == [True]


def test_unsure_stands_for_no_answer_and_is_no_class(tmp_path):
    record(tmp_path / "talk.wav")
    rows = "talk.wav,0,0.05,sad\ntalk.wav,0.01,0.05,unsure\ntalk.wav,0.02,0.05,happy\n"
    found = read_own(write(tmp_path / "spans.csv", f"path,start_s,end_s,emotion\n{rows}"))
    assert found.labels == ("happy", "sad")
    assert ["'unsure' stands for no answer" in one.reason for one in found.refused] == [True]


def test_labels_that_are_spelt_with_a_joiner_are_kept(tmp_path):
    neutral = "بی\u200cطرف"  # Persian
    record(tmp_path / neutral / "a.wav", tmp_path / "क्\u200dष" / "b.wav")
    found = read_own(tmp_path)
    assert found.labels == (neutral, "क्\u200dष") and not found.refused


def test_labels_that_no_terminal_should_be_sent_are_refused(tmp_path):
    record(tmp_path / "a.wav", tmp_path / "b.wav", tmp_path / "c.wav")
    table = write(tmp_path / "mine.csv", f"path,label\na.wav,yes\nb.wav,\x1b[2J\nc.wav,{'x' * 65}\n")
    assert [one.reason.split(": ")[1] for one in read_own(table).refused] == [
        "a label that can't be printed",
        "a label of 65 letters; at most 64 are a name",
    ]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda root: root / "nothing", "no such file or folder"),
        (lambda root: write(root / "a.xlsx", "x"), "or a file that ends in .csv.*, .eaf, .TextGrid. .* Excel"),
        (lambda root: root, "no recordings there"),
        (lambda root: write(root / "a.csv", "label,x\nyes,1\n"), "which column names the recordings"),
        (lambda root: write(root / "a.csv", "path,label\nb.wav,yes\n"), "1 row refused, none is left. The first"),
        (lambda root: write(root / "a.csv", "path,label\n"), "holds no rows"),
        (lambda root: write(root / "a.csv", 'path,label\n"b.wav,yes\n'), "not a table"),
        (lambda root: write(root / "a.jsonl", "[1]\n"), "expected one object a line"),
        (lambda root: write(root / "a.parquet", "no"), "not a readable Parquet table"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path, make, words):
    with pytest.raises(CorpusError, match=words):
        read_own(make(tmp_path))


def test_recordings_without_labels_are_told_how_labels_are_given(tmp_path):
    write(tmp_path / "a.wav", "x")
    with pytest.raises(CorpusError) as caught:
        read_own(tmp_path)
    told = str(caught.value)
    assert f"The first: {tmp_path / 'a.wav'}: no label. Put the recordings of each class into a folder" in told


def test_a_parquet_table_that_holds_the_sound_itself_is_refused_with_what_to_do(tmp_path):
    rows = [{"audio": {"bytes": b"RIFF", "path": "a.wav"}, "label": "yes"}]
    with pytest.raises(CorpusError, match=r"holds the sound itself\. Write the recordings to files"):
        read_own(write_rows(tmp_path / "a.parquet", rows))


def test_a_wrong_pattern_is_told(tmp_path):
    with pytest.raises(CorpusError, match="not a regular expression"):
        read_own(tmp_path, label_pattern="(")


def test_labels_that_differ_by_case_alone_are_pointed_at(tmp_path):
    record(tmp_path / "Angry/a.wav", tmp_path / "angry/b.wav")
    told = "Labels that differ in capitals alone are different classes: Angry, angry. Write them alike."
    assert doubts_about(read_own(tmp_path).class_counts, ()) == [told]


def test_a_rare_label_that_is_nearly_a_frequent_one_is_asked_about():
    counts = {"ANGRY": 87, "angy": 5, "happy": 60, "unhappy": 2, "class_1": 50, "class_2": 1, "calm": 70, "sad": 9}
    assert doubts_about(counts, ()) == ["Is the label 'angy' (5) a slip of the pen for 'ANGRY' (87)?"]
    assert not doubts_about({**counts, "angy": 20}, ())


def test_speakers_that_may_be_one_are_pointed_at(tmp_path):
    names = ("S1", "s1", "Anna", "7", "07", "speaker_3", "Speaker 03", "1-1", "11")
    record(*(tmp_path / name / f"sad-{number}.wav" for number, name in enumerate(names)))
    found = read_own(tmp_path, speaker_column="folder 1", label_pattern="([a-z]+)-")
    told = "Speakers that may be one are taken for several"
    pairs = ("07, 7", "S1, s1", "Speaker 03, speaker_3")
    assert doubts_about({}, found.utterances) == [f"{told}: {pair}. Write them alike." for pair in pairs]


def test_the_scheme_has_the_labels_as_classes(tmp_path):
    record(tmp_path / "Ärger/a.wav", tmp_path / "happy/b.wav")
    found = read_own(tmp_path)
    classes = [found.scheme.class_of(*row.labels) for row in found.utterances]
    assert sorted(filter(None, classes)) == ["happy", "Ärger"] and found.scheme.classes == ("happy", "Ärger")
