import json
import shlex
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from earnest.apps.cli._options import named_corpus
from earnest.apps.cli.main import cli
from earnest.corpora.manifest import Utterance, write_manifest
from earnest.errors import CorpusError, RecipeError
from earnest.evaluation.texts import SCORES_IN_WORDS
from earnest.files.writing import refuse_changed, write_sums

LINES = [
    "utterance_id,speaker,emotion,predicted",
    "a,ann,happy,happy",
    "b,ben,sad,",
    "c,ann,sad,happy",
    "d,ben,sad,sad",
]


@pytest.fixture
def predictions(tmp_path):
    path = tmp_path / "predictions.csv"
    path.write_text("\n".join(LINES) + "\n")
    return str(path)


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, ["score", *words])


def test_json_holds_the_metrics(predictions):
    result = run(predictions, "--json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert (document["wa"], document["ua"], document["coverage"]) == (0.5, pytest.approx(2 / 3), 0.75)
    assert document["confusion"] == [[1, 0], [1, 1]]
    assert document["speaker_independent"] is None


def test_the_table_names_the_protocol_and_that_it_is_speaker_dependent(predictions):
    assert "emocatcher-5fold (speaker-dependent)" in run(predictions, "--protocol", "emocatcher-5fold").stdout


def test_without_a_protocol_the_open_question_is_said_on_standard_error(predictions):
    assert "doesn't say whether training saw these speakers" in run(predictions).stderr
    assert run(predictions, "-q").stderr == ""


def test_a_model_that_learnt_from_what_it_is_scored_on_is_told(tmp_path):
    def told(corpus: str, model: str) -> tuple[list[str], str]:
        write_manifest(
            [Utterance("a", tmp_path / "a.wav", corpus=corpus, speaker="ann", emotion="sad")], tmp_path / "truth.csv"
        )
        (tmp_path / "p.csv").write_text(f"path,status,emotion,model\na.wav,ok,sad,{model}\n")
        words = (str(tmp_path / "p.csv"), "--manifest", str(tmp_path / "truth.csv"))
        document = json.loads(run(*words, "--json").stdout)
        assert document["models"] == [model]
        return document["notes"], run(*words).stderr

    unknown = "doesn't say whether training saw these speakers"
    notes, hints = told("emodb", "base")
    assert any("'base' learnt from emodb" in note for note in notes) and unknown not in hints
    notes, hints = told("ravdess", "base")
    assert not any("learnt from" in note for note in notes) and unknown in hints
    assert "If 'mine' learnt from these recordings" in told("ravdess", "mine")[1]


def test_labels_that_pandas_wrote_with_a_gap_are_the_same_numbers(tmp_path):
    (tmp_path / "p.csv").write_text("utterance_id,truth,predicted,speaker\na,1,1.0,7.0\nb,2,,\nc,2,2.0,8.0\n")
    document = json.loads(run(str(tmp_path / "p.csv"), "--json").stdout)
    assert (document["classes"], document["wa"]) == (["1", "2"], pytest.approx(2 / 3))
    assert {part["value"] for part in document["slices"]["speaker"]} == {"7", "8"}


def test_a_folder_means_the_predictions_in_it(predictions, tmp_path):
    assert run(str(tmp_path), "--json").stdout == run(predictions, "--json").stdout
    (tmp_path / "empty").mkdir()
    told = str(run(str(tmp_path / "empty")).exception)
    assert "empty: holds no predictions.csv. Give a predictions file, or a finished folder of" in told


@pytest.mark.parametrize("command", ["score", "report"])
def test_a_run_that_tested_nothing_is_told_with_what_tests_its_recipe(command, tmp_path):
    shipped = tmp_path / "the best"
    shipped.mkdir()
    (shipped / "run.json").write_text('{"n_test": 0}', "utf-8")
    told = str(CliRunner().invoke(cli, [command, str(shipped)]).exception)
    assert (
        "a run of `earnest train --all-data` or `earnest import`, for shipping: it kept no recordings to test" in told
    )
    assert told.endswith(f"earnest evaluate '{shipped}'")
    (shipped / "run.json").write_text('{"n_test": 9}', "utf-8")
    assert "all-data" not in str(CliRunner().invoke(cli, [command, str(shipped)]).exception)


def test_what_a_run_says_of_its_predictions_is_kept_and_not_contradicted(predictions, tmp_path):
    told = {
        "protocol": "stratified-3fold",
        "speaker_independent": False,
        "title": "stratified-3fold (speaker-dependent)",
    }
    (tmp_path / "metrics.json").write_text(json.dumps({**told, "selected_on": "test", "recipe": {}}))
    scored = run(predictions, "-o", str(tmp_path / "scored"))
    assert "predictions.csv: stratified-3fold (speaker-dependent): author's protocol: epoch" in scored.stdout
    assert "doesn't say" not in scored.stderr
    document = json.loads((tmp_path / "scored" / "metrics.json").read_text())
    assert {**told, "selected_on": "test"}.items() <= document.items()
    refused = run(str(tmp_path), "--protocol", "speaker-3fold").exception
    assert "was made under stratified-3fold (speaker-dependent)" in str(refused)
    named = run(str(tmp_path), "--protocol", "stratified-3fold", "--json").stdout
    assert {**told, "selected_on": "test"}.items() <= json.loads(named).items()
    again = run(str(tmp_path / "scored"), "--json").stdout
    assert {**told, "selected_on": "test"}.items() <= json.loads(again).items()


def test_a_folder_that_was_scored_without_a_protocol_says_none(predictions, tmp_path):
    run(predictions, "-o", str(tmp_path / "scored"))
    assert "doesn't say" in run(str(tmp_path / "scored")).stderr
    named = run(str(tmp_path / "scored"), "--protocol", "stratified-3fold", "--json").stdout
    assert json.loads(named)["speaker_independent"] is False


def test_of_a_folder_of_batch_it_is_said_how_one_table_comes_of_it(tmp_path):
    (tmp_path / "answers" / "shards").mkdir(parents=True)
    (tmp_path / "answers" / "shards" / "00000.parquet").touch()
    told = str(run(str(tmp_path / "answers")).exception)
    assert """pandas.read_parquet("shards").to_parquet("answers.parquet")'`""" in told


def test_scores_are_spelled_out_once_at_the_end(predictions):
    output = run(predictions, "-q").stdout
    assert output.count(SCORES_IN_WORDS) == 1 and output.endswith(f"\n\n{SCORES_IN_WORDS}\n")


def test_unanswered_rows_are_shown(predictions):
    output = run(predictions).stdout
    assert "4 utterances, 75.0 % answered" in output
    assert "none" in output


def test_repeated_trainings_are_no_recordings_and_no_folds_of_their_own(tmp_path):
    rows = [
        f"{fold}-{number},ann,{fold}{mark},happy,{'happy' if number < right else 'sad'}"
        for mark in ("", "#2")
        for fold, right in (("f1", 1), ("f2", 3))
        for number in range(4)
    ]
    path = tmp_path / "predictions.csv"
    path.write_text("\n".join(["utterance_id,speaker,fold,emotion,predicted", *rows]) + "\n")
    output = run(str(path)).stdout
    assert "8 utterances, 16 answers, 100.0 % answered" in output
    assert "over 2 folds" in output
    assert "50.0 ± 35.4" in output  # of 25 and 75 %, not of each twice


def test_wrong_names_and_files_are_deliberate_errors(predictions, tmp_path):
    assert isinstance(run(predictions, "--protocol", "loos").exception, RecipeError)
    assert isinstance(run(str(tmp_path / "absent.csv")).exception, CorpusError)


@pytest.fixture
def manifest(tmp_path):
    rows = [
        Utterance(name, Path(f"{name}.wav"), corpus="mine", speaker=speaker, gender=gender, emotion=emotion,
                  style=style, valence=valence)
        for name, speaker, gender, emotion, style, valence in (
            ("a", "ann", "female", "happy", "song", 1.0), ("b", "ben", "male", "sad", "speech", 5.0),
            ("c", "ann", "female", "sad", "speech", 3.0), ("d", "ben", "male", "calm", "speech", None))
    ]  # fmt: skip
    path = tmp_path / "mine.csv"
    write_manifest(rows, path)
    return str(path)


def answers(tmp_path, *lines: str) -> str:
    path = tmp_path / "answers"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


PIPELINE = ['{"file": "/far/a.wav", "label": "hap", "score": 0.9}', '{"file": "b", "label": "sadness", "score": 1}']


def test_a_pipelines_output_is_scored_against_a_manifest(tmp_path, manifest):
    words = [answers(tmp_path, *PIPELINE), "--manifest", manifest, "--map", "hap=happy"]
    document = json.loads(run(*words, "--json").stdout)
    assert (document["n"], document["wa"], document["coverage"]) == (4, 0.5, 0.5)
    assert document["notes"] == [
        "Utterances of the manifest without an answer, counted as wrong: 2.",
        "Found by the name of the file alone, in another folder than the answers say: 1.",
    ]
    assert [(part["value"], part["n"], part["wa"]) for part in document["slices"]["style"]] == [
        ("song", 1, 1.0),
        ("speech", 3, pytest.approx(1 / 3)),
    ]
    table = run(*words)
    assert "Utterances of the manifest without an answer, counted as wrong: 2." in table.stdout
    assert "4 utterances, 50.0 % answered" in table.stdout
    assert [line.split() for line in table.stdout.splitlines() if line.startswith("style")][1][:4] == [
        "style",
        "speech",
        "3",
        "33.3",
    ]


def test_a_corpus_is_named_by_data_or_by_its_name(tmp_path, manifest, monkeypatch):
    words = [answers(tmp_path, *PIPELINE), "--map", "hap=happy", "--json"]
    expected = run(*words, "--manifest", manifest).stdout
    assert run(*words, "--data", f"mine={manifest}").stdout == expected
    monkeypatch.setenv("EARNEST_DATA", str(tmp_path / "none"))
    assert "no such folder" in str(run(*words, "--corpus", "ravdess").exception)
    with pytest.raises(CorpusError) as told:
        named_corpus("emodbb")
    assert str(run(*words, "--corpus", "emodbb").exception) == str(told.value)


def test_own_recordings_are_named_by_path_in_place_of_a_manifest(tmp_path, manifest):
    words = [answers(tmp_path, *PIPELINE), "--map", "hap=happy", "--json"]
    assert run(*words, "--corpus", manifest).stdout == run(*words, "--manifest", manifest).stdout
    (tmp_path / "mine.csv").write_text("file,label,who\na.wav,sad,anna\nb.wav,happy,bob\n")
    for name in ("a", "b"):
        (tmp_path / f"{name}.wav").touch()
    table = tmp_path / "answers.csv"
    table.write_text("utterance_id,predicted\na.wav,sad\nb.wav,sad\n")
    found = run(str(table), "--corpus", str(tmp_path / "mine.csv"), "--json")
    assert found.exception is None, found.exception
    document = json.loads(found.stdout)
    assert (document["n"], document["wa"]) == (2, 0.5)


def test_a_scheme_leaves_out_clips_and_says_so(tmp_path, manifest):
    words = [answers(tmp_path, *PIPELINE), "--manifest", manifest, "--map", "hap=happy", "--scheme", "iemocap4"]
    document = json.loads(run(*words, "--json").stdout)
    assert document["n"] == 3
    assert document["notes"][0] == "Utterances of the manifest left out, unusable or their label not in the scheme: 1."
    assert isinstance(run(*words[:-1], "iemocap5").exception, RecipeError)


def test_a_files_own_truth_may_be_folded_too(tmp_path):
    path = answers(tmp_path, "utterance_id,emotion,predicted", "a,excitement,happy", "b,calm,sad", "c,sad,calm")
    document = json.loads(run(path, "--scheme", "iemocap4-excited", "--json").stdout)
    assert (document["n"], document["wa"], document["coverage"]) == (2, 0.5, 0.5)
    assert document["notes"] == [
        "Left out, their true label not being in the scheme: 1.",
        "Answers that are not in the scheme (calm), counted as none: 1.",
    ]


def test_answers_in_other_words_than_the_manifest_are_named_with_what_to_say(tmp_path):
    words = {"a": "Freude", "b": "neutral", "c": "Trauer"}
    rows = [
        Utterance(name, Path(f"{name}.wav"), corpus="mine", speaker="ann", emotion="other", native_emotion=word)
        for name, word in words.items()
    ]
    write_manifest(rows, tmp_path / "own.csv")
    path = answers(tmp_path, "utterance_id,predicted", "a,happy", "b,neutral", "c,sad")
    asked = [path, "--manifest", str(tmp_path / "own.csv")]
    told = "no label of the manifest (happy, sad; say --map ANSWER=TRUTH for what they mean), counted as none: 2."
    assert f"Answers that are {told}" in json.loads(run(*asked, "--json").stdout)["notes"]
    assert json.loads(run(*asked, "--map", "happy=Freude", "--map", "sad=Trauer", "--json").stdout)["wa"] == 1.0


def test_what_is_true_and_no_answer_can_be_is_wrong(tmp_path):
    header = "path,status,emotion,truth,p_happy,p_sad"
    path = answers(tmp_path, header, "a.wav,ok,happy,happy,.9,.1", "b.wav,ok,sad,surprised,.2,.8", "c.wav,error,,sad,,")
    document = json.loads(run(path, "--json").stdout)
    assert (document["classes"], document["n"]) == (["happy", "sad", "surprised"], 3)
    assert document["wa"] == pytest.approx(1 / 3)


def test_unknown_clips_are_an_error_unless_ignored(tmp_path, manifest):
    words = [answers(tmp_path, "path,predicted", "a.wav,happy", "z.wav,sad"), "--manifest", manifest]
    error = run(*words).exception
    assert isinstance(error, CorpusError)
    assert "'z.wav'" in str(error)
    assert "Left out, their utterance is not in the manifest: 1." in run(*words, "--ignore-unknown").stdout


def test_gender_and_affect_are_scored_where_they_are_answered(tmp_path, manifest):
    corpus = tmp_path / "manifest.csv"
    corpus.write_text(Path(manifest).read_text().replace(",mine,", ",iemocap,"))
    header = "utterance_id,predicted,predicted_gender,predicted_valence"
    path = answers(tmp_path, header, "a,happy,female,0.0", "b,sad,female,1.0", "c,sad,female,0.5", "d,calm,male,")
    words = [path, "--manifest", str(corpus)]
    document = json.loads(run(*words, "--json").stdout)
    gender = document["gender"]
    assert (gender["wa"], gender["ua"], gender["n"]) == (0.75, 0.75, 4)
    assert {name: (one["n"], one["recall"]) for name, one in gender["recalls"].items()} == {
        "female": (2, 1.0),
        "male": (2, 0.5),
    }
    assert document["affect"] == {
        "valence": {"ccc": pytest.approx(1), "rmse": pytest.approx(0), "n": 3, "scale": [1.0, 5.0]}
    }
    output = run(*words).stdout
    assert "Gender right: 75.0 % of 4 utterances (" in output
    assert "affect, 1 to 5" in output
    assert ["valence", "3", "1.000", "0.000"] in [line.split() for line in output.splitlines()]


def test_gender_of_a_table_of_predict_is_scored_as_an_evaluations(tmp_path, manifest):
    header = "path,status,emotion,gender_female,gender_male"
    rows = ("a.wav,ok,happy,.9,.1", "b.wav,ok,sad,0.6,0.4", "c.wav,ok,sad,.7,.3", "d.wav,error,,,")
    gender = json.loads(run(answers(tmp_path, header, *rows), "--manifest", manifest, "--json").stdout)["gender"]
    assert (gender["wa"], gender["ua"], gender["n"]) == (0.5, 0.5, 4)  # without an answer it is wrong
    nothing = answers(tmp_path, header, "a.wav,ok,happy,,", "b.wav,ok,sad,,")  # the model doesn't answer it
    assert json.loads(run(nothing, "--manifest", manifest, "--json").stdout)["gender"] is None
    wrong = run(answers(tmp_path, header, "a.wav,ok,happy,female,male"), "--manifest", manifest).exception
    assert str(wrong).endswith(":2, column 'gender_female': expected a number, got 'female'.")


def test_the_output_folder_holds_metrics_and_a_picture(predictions, tmp_path):
    pytest.importorskip("matplotlib", reason="draws the picture")
    result = run(predictions, "--json", "--output", str(tmp_path / "new" / "out"))
    assert json.loads((tmp_path / "new" / "out" / "metrics.json").read_text()) == json.loads(result.stdout)
    assert (tmp_path / "new" / "out" / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_picture_is_left_out_with_a_word(predictions, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = run(predictions, "--output", str(tmp_path))
    assert result.exit_code == 0
    assert "No confusion.png: " in result.stderr
    assert (tmp_path / "metrics.json").exists()
    assert not (tmp_path / "confusion.png").exists()
    refuse_changed(tmp_path)


def test_results_of_two_models_on_own_recordings_are_compared(tmp_path):
    header, rows = "path;status;emotion;truth;p_glad;p_sad", ["a;ok;{};glad;0,9;0,1", "b;ok;sad;sad;0,2;0,8"]
    for name, answer in (("A", "glad"), ("B", "sad")):
        (tmp_path / f"{name}.csv").write_text("\n".join([header, *rows]).format(answer))
    both = [str(tmp_path / "A.csv"), str(tmp_path / "B.csv")]
    said = str(CliRunner().invoke(cli, ["compare", *both]).exception)
    assert f"{both[0]}: answers of `earnest predict`, no predictions file." in said
    assert f"earnest score {both[0]} -o {tmp_path / 'A-scored'}" in said
    for path in both:
        assert run(path, "-o", path.replace(".csv", "-scored"), "-q").exit_code == 0
        refuse_changed(Path(path.replace(".csv", "-scored")))
    words = [path.replace(".csv", "-scored") for path in both]
    document = json.loads(CliRunner().invoke(cli, ["compare", *words, "--json"]).stdout)
    found = [(row["result"], row["wa_percent"]["mean"]) for row in document["headline"]]
    assert found == [("A-scored", 100), ("B-scored", 50)]
    assert document["pairs"][0]["n"] == 2


def test_results_are_overwritten_when_asked_and_those_of_something_else_never(predictions, tmp_path):
    folder = tmp_path / "out"
    assert run(predictions, "-o", str(folder), "-q").exit_code == 0
    first = (folder / "predictions.csv").read_bytes()
    assert "already exists" in str(run(predictions, "-o", str(folder)).exception)
    other = answers(tmp_path, *LINES[:3])
    assert run(other, "-o", str(folder), "-q", "--overwrite").exit_code == 0
    assert (folder / "predictions.csv").read_bytes() != first
    refuse_changed(folder)
    (folder / "weights.pt").write_bytes(b"")
    write_sums(folder, ["metrics.json", "weights.pt"])
    said = str(run(other, "-o", str(folder), "--overwrite").exception)
    assert "holds weights.pt of something else. Choose another --output." in said
    evaluated = tmp_path / "evaluated"
    evaluated.mkdir()
    (evaluated / "metrics.json").write_text('{"protocol": "loso", "recipe": {}}')
    said = str(run(other, "-o", str(evaluated), "--overwrite").exception)
    assert "holds results of `earnest evaluate`. Choose another --output." in said


@pytest.mark.parametrize("name", ["predictions.csv", "confusion.png"])
def test_no_file_of_another_is_overwritten_unasked(predictions, tmp_path, name):
    (lone := tmp_path / "lone").mkdir()
    (lone / name).write_text("mine")
    assert f"{name}: already exists" in str(run(predictions, "-o", str(lone)).exception)
    assert [(file.name, file.read_text()) for file in lone.iterdir() if file.suffix != ".lock"] == [(name, "mine")]


@pytest.mark.parametrize("word", ["hap", "=happy", "hap="])
def test_a_map_without_two_words_is_wrong_usage(predictions, word):
    result = run(predictions, "--map", word)
    assert result.exit_code == 2
    assert "--map expects two names" in result.stderr


def test_a_file_in_place_of_the_folder_is_wrong_usage(predictions, tmp_path):
    result = run(predictions, "--output", str(tmp_path / "score.html"))
    assert result.exit_code == 2
    assert "is a folder here" in result.stderr
    assert not (tmp_path / "score.html").exists()


def test_the_title_of_the_confusions_stands_below_an_empty_line(predictions):
    assert "\n\nTrue class in rows, predicted in columns\n" in run(predictions).stdout


@pytest.mark.parametrize(("told", "true"), [("Happy", "happy"), ("0.0", "0")])
def test_a_label_that_is_spelt_otherwise_is_no_wrong_answer(tmp_path, told, true):
    path = tmp_path / "theirs.csv"
    path.write_text(f"utterance_id,emotion,predicted\na,{true},{told}\nb,other,other\n")
    error = run(str(path)).exception
    assert isinstance(error, CorpusError)
    assert f"answers say '{told}' where the truth says '{true}'. Say --map {told}={true} to earnest score" in str(error)
    assert json.loads(run(str(path), "--map", f"{told}={true}", "--json", "-q").stdout)["wa"] == 1.0


def test_all_labels_that_are_spelt_otherwise_are_told_at_once_ready_to_type(tmp_path):
    rows = ["a;fröhlich;Fröhlich ", "b;sehr traurig;Sehr Traurig", "c; wütend;wütend "]
    path = answers(tmp_path, "utterance_id;emotion;predicted", *rows)
    said = str(run(path).exception)
    words = "--map 'Fröhlich=fröhlich' --map 'Sehr Traurig=sehr traurig'"
    assert f" Say {words} to earnest score (" in said
    assert json.loads(run(path, *shlex.split(words), "--json", "-q").stdout)["wa"] == 1.0
    spaced = ["--map", " Fröhlich = fröhlich ", *shlex.split(words)[2:]]
    assert json.loads(run(path, *spaced, "--json", "-q").stdout)["wa"] == 1.0


def own_manifest(tmp_path: Path, *words: str) -> str:
    rows = [
        Utterance(f"u{place}", Path(f"u{place}.wav"), corpus="mine", emotion="other", native_emotion=word)
        for place, word in enumerate(words)
    ]
    write_manifest(rows, tmp_path / "own.csv")
    return str(tmp_path / "own.csv")


def test_answers_in_other_words_than_those_of_a_manifest_are_doubted(tmp_path):
    manifest = own_manifest(tmp_path, "fröhlich ", "traurig")
    path = answers(tmp_path, "utterance_id,predicted", "u0,happy", "u1,sad")
    output = run(path, "--manifest", manifest).output
    assert "No answer is a true label: happy, sad against fröhlich, traurig. Say --map ANSWER=TRUTH" in output
    said = str(run(path, "--manifest", manifest, "--map", "fröhlich=happy").exception)
    assert "--map takes the file's word first. Say --map 'happy=fröhlich'." in said
    words = ["--map", "happy=fröhlich", "--map", "sad=traurig"]
    assert json.loads(run(path, "--manifest", manifest, *words, "--json").stdout)["wa"] == 1.0


def test_answers_without_a_true_label_are_doubted(tmp_path):
    path = tmp_path / "theirs.csv"
    path.write_text("utterance_id,emotion,predicted\na,happy,joy\nb,sad,grief\n")
    assert "No answer is a true label: grief, joy against happy, sad." in run(str(path)).output


def test_an_answer_that_is_never_true_is_told_to_count_as_a_class(tmp_path):
    lines = ["utterance_id,emotion,predicted", "a,happy,none", "b,sad,sad", "c,sad,none"]
    told = "Counted as a class and never true: 'none' (2 answers). Say --map ANSWER=TRUTH"
    assert told in run(answers(tmp_path, *lines)).output
    assert "never true" not in run(answers(tmp_path, *lines[:1], *lines[2:3])).output
    with_probabilities = [f"{line},0.5,0.5,0" for line in lines[1:]]
    path = answers(tmp_path, f"{lines[0]},p_happy,p_sad,p_none", *with_probabilities)
    assert "never true" not in run(path).output


def test_columns_that_are_not_read_are_told(tmp_path):
    path = answers(tmp_path, ",utterance_id,emotion,predicted,session", "0,a,sad,sad,1")
    assert "Columns that are not read: one without a name, session." in run(path).output
    assert "not read" not in run(answers(tmp_path, *LINES)).output


def test_probabilities_that_contradict_the_answers_are_told(tmp_path):
    path = tmp_path / "theirs.csv"
    rows = ["utterance_id,emotion,predicted,p_happy,p_sad", "a,happy,sad,0.9,0.1", "b,sad,sad,0.2,0.8"]
    path.write_text("\n".join([*rows, "c,sad,sad,0.5,0.5"]) + "\n")
    assert "In 1 row another class is likelier than the one answered" in run(str(path)).output
