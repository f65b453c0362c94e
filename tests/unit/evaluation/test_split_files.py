import json
import unicodedata
from pathlib import Path

import pytest

from earnest.corpora.manifest import Utterance
from earnest.errors import SplitError
from earnest.evaluation.protocols import splits_of
from earnest.evaluation.split_files import Lookup, SplitEntry, checked, protocol_of_files, read_plans, split_document
from earnest.evaluation.splits import Split

ROWS = [
    Utterance(name, Path(f"/data/{folder}/{name}.wav"), corpus="made", speaker=speaker)
    for name, folder, speaker in (("a", "x", "ann"), ("b", "x", "ben"), ("c", "y", "cat"), ("d", "y", "dan"))
]
A, B, C, D = ROWS
SPLIT = Split([A, D], [B], [C], fold="f1", protocol="loso")


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def sets_of(path: Path) -> dict[str, list[str]]:
    (plan,) = read_plans([path])
    return {name: [row.utterance_id for row in rows] for name, rows in plan.found(Lookup(ROWS)).items()}


def test_a_published_file_gives_the_same_split_and_names_no_path(tmp_path):
    document = split_document(SPLIT, {row.key: "0" * 64 for row in ROWS})
    path = write(tmp_path / "f1.json", json.dumps(document))
    assert "/data" not in path.read_text()
    (split,) = splits_of(protocol_of_files([path]), ROWS)
    assert (split.train, split.valid, split.test) == (SPLIT.train, SPLIT.valid, SPLIT.test)
    assert split.speaker_independent
    (plan,) = read_plans([path])
    assert plan.clips[0] == SplitEntry("made/a", "", "ann", "0" * 64)


def test_the_split_file_of_a_run_folder_is_one_too(tmp_path):
    assert sets_of(write(tmp_path / "split.json", SPLIT.to_json())) == {
        "train": ["a", "d"],
        "valid": ["b"],
        "test": ["c"],
    }


def test_a_changed_split_file_that_leaks_is_refused(tmp_path):
    path = write(tmp_path / "split.json", SPLIT.to_json().replace('"made/c"', '"made/a"'))
    with pytest.raises(SplitError, match="train and test share the utterance made/a"):
        splits_of(protocol_of_files([path]), ROWS)


def test_a_split_file_whose_clips_are_absent_is_refused_by_name(tmp_path):
    path = write(tmp_path / "split.json", SPLIT.to_json())
    with pytest.raises(SplitError, match=r"split\.json: 1 recording not in the data: made/c"):
        splits_of(protocol_of_files([path]), [A, B, D])


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("utterance_id,set", ("a", "b", "c")),
        ("utterance_id,set", ("made/a", "made/b", "made/c")),
        ("path,set", ("x/a.wav", "./b.mp3", "/data/y/c.wav")),
        ("path,set", ("x\\a.wav", "b", "/somewhere/else/y/c.flac")),
    ],
)
def test_clips_are_found_by_id_and_by_the_end_of_their_path(tmp_path, header, names):
    lines = [header, *(f"{name},{word}" for name, word in zip(names, ("train", "dev", "TEST"), strict=True))]
    assert sets_of(write(tmp_path / "folds.csv", "\n".join(lines))) == {"train": ["a"], "valid": ["b"], "test": ["c"]}


@pytest.mark.parametrize(("here", "there"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_that_macos_wrote_are_those_that_were_typed(tmp_path, here, there):
    rows = [
        Utterance(name, Path(f"/data/{name}/{name}.wav"), corpus="made", speaker=name)
        for name in (unicodedata.normalize(here, name) for name in ("ä", "ö", "ü"))
    ]
    digests = {row.key: str(number) for number, row in enumerate(rows)}
    published = json.dumps(split_document(Split(*([row] for row in rows)), digests), ensure_ascii=False)
    for name, text in {
        "published.json": published,
        "id.csv": "utterance_id,corpus,set\nä,made,train\nö,made,valid\nü,made,test\n",
        "path.csv": "path,set\nä/ä.wav,train\nö\\ö.wav,valid\nü,test\n",
    }.items():
        (plan,) = read_plans([write(tmp_path / name, unicodedata.normalize(there, text))])
        assert [*plan.found(Lookup(rows)).values()] == [[row] for row in rows]
        assert not checked(plan, Lookup(rows), True, digests).problems


@pytest.mark.parametrize("name", ["z/c.wav", "/data/z/c.wav", "y/e.wav", "."])
def test_clips_in_another_folder_or_of_another_name_are_not_in_the_data(tmp_path, name):
    with pytest.raises(SplitError, match="1 recording not in the data"):
        sets_of(write(tmp_path / "folds.csv", f"path,set\n{name},train\n"))


def test_of_clips_with_one_name_the_one_whose_path_agrees_furthest_is_meant():
    twin = Utterance("twin", Path("/other/x/a.wav"), corpus="made", speaker="eve")
    lookup = Lookup([*ROWS, twin])
    assert lookup.candidates(SplitEntry(path="data/x/a.wav")) == [A]
    assert lookup.candidates(SplitEntry(path="other/x/a.wav")) == [twin]
    assert lookup.candidates(SplitEntry(path="x/a.wav")) == [A, twin]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffutterance_id;set;fold\r\na;train;1\r\nb;dev;1\r\nc;test;1\r\n",
        "sep=;\r\nutterance_id;set\r\na;train\r\nb;dev\r\nc;test\r\n;\r\n\r\n",
        "utterance_id\tset\na\ttrain\nb\tdev\nc\ttest\n",
    ],
)
def test_a_split_file_is_read_as_spreadsheets_write_it(tmp_path, text):
    assert sets_of(write(tmp_path / "folds.csv", text)) == {"train": ["a"], "valid": ["b"], "test": ["c"]}


def test_a_mark_before_a_name_that_looks_like_a_formula_is_no_part_of_it(tmp_path):
    (plan,) = read_plans([write(tmp_path / "f.csv", "utterance_id,set\n'=a,train\n")])
    assert plan.clips == [SplitEntry("=a")]


def test_a_column_says_the_fold_and_every_fold_is_one_split(tmp_path):
    path = write(tmp_path / "all.csv", "utterance_id,fold,set\na,1,train\nb, 1 ,test\nb,2,train\na,2,test\n")
    first, second = splits_of(protocol_of_files([path]), ROWS)
    assert (first.fold, first.train, first.test) == ("1", (A,), (B,))
    assert (second.fold, second.train, second.test) == ("2", (B,), (A,))


def test_clips_in_no_set_are_counted(tmp_path, caplog):
    splits_of(protocol_of_files([write(tmp_path / "all.csv", "utterance_id,set\na,train\nb,test\n")]), ROWS)
    assert "split-files: 2 of 4 utterances are in no set" in caplog.text


@pytest.mark.parametrize(
    ("names", "fold"),
    [
        (("fold1_train", "fold1_test"), "fold1"),
        (("train-2", "test-2"), "2"),
        (("Train", "Test"), "FOLDER"),
        (("a.train.b", "a.test.b"), "a-b"),
    ],
)
def test_the_names_of_files_say_set_and_fold(tmp_path, names, fold):
    write(tmp_path / f"{names[0]}.csv", "utterance_id\na\nd\n")
    write(tmp_path / f"{names[1]}.csv", "utterance_id\nc\n")
    (plan,) = read_plans([tmp_path])
    assert plan.fold == fold.replace("FOLDER", tmp_path.name)
    assert [clip.key for clip in plan.sets["train"]] == ["a", "d"]
    assert [clip.key for clip in plan.sets["test"]] == ["c"]


def test_a_name_that_fits_several_clips_is_refused(tmp_path):
    twin = Utterance("other/a", Path("/data/y/a.wav"), corpus="made", speaker="eve")
    (plan,) = read_plans([write(tmp_path / "f.csv", "path,set\na.wav,train\n")])
    with pytest.raises(SplitError, match=r"'a\.wav' fits several files: /data/x/a\.wav, /data/y/a\.wav\. Write more"):
        plan.found(Lookup([*ROWS, twin]))


def test_a_speaker_that_the_data_does_not_confirm_is_refused(tmp_path):
    document = split_document(SPLIT)
    document["clips"]["made/c"]["speaker"] = "ann"
    (plan,) = read_plans([write(tmp_path / "f1.json", json.dumps(document))])
    with pytest.raises(SplitError, match="made/c has the speaker ann, but cat in the data"):
        plan.found(Lookup(ROWS))


def test_a_leak_of_every_kind_is_named(tmp_path):
    (plan,) = read_plans([write(tmp_path / "f.csv", "utterance_id,set\na,train\nb,test\nc,dev\na,test\n")])
    found = checked(plan, Lookup(ROWS), True, {"made/a": "1", "made/b": "2", "made/c": "1"})
    assert list(found.problems) == [
        "train and valid share identical audio: made/a = made/c",
        "train and test share the utterance made/a",
        "train and test share the speaker ann",
        "valid and test share identical audio: made/c = made/a",
    ]
    assert dict(found.n) == {"train": 1, "valid": 1, "test": 2}


def test_a_file_under_two_names_is_a_leak_without_its_sound(tmp_path):
    rows = [Utterance(f"a{number}", tmp_path / "a.wav", emotion="sad", speaker=f"s{number}") for number in range(2)]
    path = tmp_path / "split.csv"
    path.write_text("utterance_id,set\na0,train\na1,test\n")
    (plan,), lookup = read_plans([path]), Lookup(rows)
    assert f"train and test share the recording {tmp_path / 'a.wav'}" in checked(plan, lookup, True, None).problems
    told = checked(plan, lookup, True, dict.fromkeys((row.key for row in rows), "x")).problems
    assert not any("share the recording" in one for one in told)
    assert any("identical audio" in one for one in told)


def test_unnamed_speakers_and_clips_twice_in_a_set_are_problems_too(tmp_path):
    nobody = Utterance("n", Path("n.wav"), corpus="made")
    for text, message in (("n,train\n", "have no speaker"), ("a,train\na,train\n", "made/a is twice in train")):
        (plan,) = read_plans([write(tmp_path / "f.csv", "utterance_id,set\n" + text)])
        (problem,) = checked(plan, Lookup([*ROWS, nobody]), True, None).problems
        assert message in problem


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("f.json", "", "must be JSON"),
        ("f.json", "[1]", "not a split file"),
        ("f.json", "null", "not a split file"),
        ("f.json", "{}", "its keys must be"),
        ("f.json", '{"protocol": 1}', "its keys must be"),
        ("f.json", SPLIT.to_json().replace('"loso"', "1"), "'protocol' must be a str"),
        ("f.json", "[" * 100_000, "must be JSON"),
        ("f.json", SPLIT.to_json().replace('"made/c"', "3"), "'test' must be a list of utterance keys"),
        ("f.json", SPLIT.to_json().replace('"protocol"', '"clips": [], "protocol"'), "'clips' must be an object"),
        ("f.json", SPLIT.to_json().replace('"protocol"', '"clips": {"made/a": {"age": "9"}}, "protocol"'), "made/a"),
        ("f.csv", "", "needs a column path or utterance_id"),
        ("f.csv", "file,set\na,train\n", "needs a column path or utterance_id"),
        ("f.csv", "utterance_id,set\na,trian\n", "f.csv, row 2: 'trian' is not a set"),
        ("f.csv", "utterance_id\na\n", "f.csv, row 2: '' is not a set"),
        ("f.csv", "utterance_id,set\n,train\n", "f.csv, row 2: names no recording"),
        ("f.csv", 'utterance_id,set\n"a,train\n', "not a table"),
        ("f.csv", "utterance_id,set\na\n", "f.csv, row 2: '' is not a set"),
    ],
)
def test_what_is_no_split_file_is_refused_with_its_place(tmp_path, name, text, message):
    with pytest.raises(SplitError, match=message) as error:
        read_plans([write(tmp_path / name, text)])
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_files_that_are_not_there_or_no_text_are_refused(tmp_path):
    (tmp_path / "f.csv").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "f.csv", tmp_path / "absent.json"):
        with pytest.raises(SplitError, match=r"not a readable split file|no such file"):
            read_plans([path])
    (tmp_path / "empty").mkdir()
    with pytest.raises(SplitError, match="holds no split files"):
        read_plans([tmp_path / "empty"])


def test_files_of_both_kinds_and_one_fold_twice_are_refused(tmp_path):
    shared = Split([A], [], [C], fold="f2", speaker_independent=False)
    paths = [write(tmp_path / f"{split.fold}.json", split.to_json()) for split in (SPLIT, shared)]
    with pytest.raises(SplitError, match="some are not"):
        protocol_of_files(paths)
    again = write(tmp_path / "again.json", SPLIT.to_json())
    with pytest.raises(SplitError, match="The fold f1 is in several"):
        read_plans([paths[0], again])


def test_files_without_a_word_about_it_are_speaker_independent_unless_said(tmp_path):
    path = write(tmp_path / "f.csv", "utterance_id,set\na,train\nc,test\n")
    assert protocol_of_files([path]).kind == "speaker-independent"
    assert protocol_of_files([path], speaker_dependent=True).kind == "speaker-dependent"
    stated = write(tmp_path / "f1.json", SPLIT.to_json())
    assert protocol_of_files([stated], speaker_dependent=True).kind == "speaker-independent"


def test_files_that_name_no_recording_are_refused(tmp_path):
    with pytest.raises(SplitError, match="names no recordings"):
        read_plans([write(tmp_path / "f1.csv", "path,set\n")])


def test_a_fold_that_tests_nothing_is_checked_but_not_evaluated(tmp_path):
    path = write(tmp_path / "f1.csv", "path,set\nx/a.wav,train\n")
    assert sets_of(path)["test"] == []
    with pytest.raises(SplitError, match="nothing is tested in the fold 'f1'"):
        protocol_of_files([path])
