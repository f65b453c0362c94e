"""What single readers promise beyond the contract: the fields that their corpus states."""

from pathlib import Path

import pytest

from earnest.corpora.load import corpus_called
from earnest.errors import CorpusError
from earnest.testing.corpora import build_example


def row_of(name: str, root: Path, stem: str):
    build_example(name, root)
    return next(row for row in corpus_called(name).read(root) if row.path.stem == stem)


def parse(name: str, path: str, root: Path):
    return corpus_called(name).parser(root)(Path(path))


def test_ravdess_reads_all_seven_fields(tmp_path):
    row = parse("ravdess", "Actor_12/03-01-06-02-01-02-12.wav", tmp_path)
    assert (row.emotion, row.intensity, row.text_id, row.repetition) == ("fearful", "strong", "kids", "2")
    assert (row.speaker, row.gender, row.style) == ("ravdess-12", "female", "speech")


def test_ravdess_song_shares_its_singers_with_the_speech_part(tmp_path):
    row = parse("ravdess-song", "Actor_07/03-02-02-01-02-01-07.wav", tmp_path)
    assert (row.speaker, row.gender, row.style, row.corpus) == ("ravdess-07", "male", "song", "ravdess-song")


def test_speech_songs_and_videos_in_one_folder_are_told_apart(tmp_path):
    build_example("ravdess", tmp_path)
    build_example("ravdess-song", tmp_path)
    (tmp_path / "Actor_02/01-01-05-01-01-01-02.mp4").write_bytes(b"video")
    assert {row.style for row in corpus_called("ravdess").read(tmp_path)} == {"speech"}
    assert {row.style for row in corpus_called("ravdess-song").read(tmp_path)} == {"song"}


def test_the_two_takes_with_the_same_audio_are_one_group(tmp_path):
    groups = [parse("ravdess", f"03-01-03-01-02-0{take}-07.wav", tmp_path).group for take in (1, 2)]
    assert groups[0] == groups[1] != ""


@pytest.mark.parametrize("stem", ["03-01-05-01-01-01-25", "03-01-01-02-01-01-1", "03-01-09-01-01-01-02", "a"])
def test_ravdess_refuses_fields_outside_their_tables(stem, tmp_path):
    with pytest.raises(CorpusError, match=stem):
        parse("ravdess", f"{stem}.wav", tmp_path)


def test_emodb_reads_speaker_text_letter_and_version(tmp_path):
    row = parse("emodb", "wav/16b10Ad.wav", tmp_path)
    assert (row.emotion, row.native_emotion, row.repetition) == ("fearful", "anxiety", "d")
    assert (row.speaker, row.gender, row.text_id) == ("emodb-16", "female", "b10")


def test_crema_d_takes_the_sex_from_the_demographics_and_leaves_it_open_without_them(tmp_path):
    path = "AudioWAV/1001_IEO_HAP_HI.wav"
    assert parse("crema-d", path, tmp_path).gender is None
    build_example("crema-d", tmp_path)
    row = parse("crema-d", path, tmp_path)
    assert (row.gender, row.intensity, row.text_id, row.speaker) == ("male", "high", "IEO", "crema-d-1001")


def test_the_mp3_copies_of_crema_d_are_not_read_beside_the_recordings(tmp_path):
    build_example("crema-d", tmp_path)
    (tmp_path / "AudioMP3").mkdir()
    (tmp_path / "AudioMP3/1001_IEO_HAP_HI.mp3").write_bytes(b"the same in MP3")
    assert len(list(corpus_called("crema-d").read(tmp_path))) == 2


def test_crema_ds_one_misspelt_file_gets_the_name_of_the_tables(tmp_path):
    assert parse("crema-d", "1040_ITH_SAD_X.wav", tmp_path).utterance_id == "1040_ITH_SAD_XX"


def test_iemocap_reads_majority_label_ratings_session_dialogue_and_style(tmp_path):
    row = row_of("iemocap", tmp_path, "Ses05M_script01_1b_F003")
    assert (row.emotion, row.native_emotion, row.style) == ("excited", "exc", "scripted")
    assert (row.valence, row.arousal, row.dominance) == (4.5, 3.5, 3.0)
    assert (row.speaker, row.gender, row.session) == ("iemocap-5F", "female", "5")
    assert row.group == "iemocap-Ses05M_script01_1b"


def test_iemocap_without_a_majority_is_other_and_keeps_the_word(tmp_path):
    row = row_of("iemocap", tmp_path, "Ses01F_impro01_M013")
    assert (row.emotion, row.native_emotion, row.speaker) == ("other", "xxx", "iemocap-1M")


def test_the_8_khz_copies_share_speakers_and_dialogues(tmp_path):
    wide, narrow = (row_of(name, tmp_path, "Ses01F_impro01_F000") for name in ("iemocap", "iemocap-8k"))
    assert (narrow.channel, narrow.speaker, narrow.group) == ("8 kHz", wide.speaker, wide.group)


def test_an_iemocap_recording_without_a_label_line_is_an_error_that_names_it(tmp_path):
    build_example("iemocap", tmp_path)
    with pytest.raises(CorpusError, match="Ses01F_impro01_F099"):
        parse("iemocap", "Ses01F_impro01_F099.wav", tmp_path)


def test_two_label_lines_of_iemocap_that_contradict_each_other_are_refused(tmp_path):
    build_example("iemocap", tmp_path)
    labels = tmp_path / "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
    copied = labels.with_name("copy_of.txt")
    copied.write_text(labels.read_text())
    assert parse("iemocap", "Ses01F_impro01_F000.wav", tmp_path).emotion == "neutral"
    copied.write_text(labels.read_text().replace("neu", "sad"))
    with pytest.raises(CorpusError, match=r"copy_of.txt: labels Ses01F_impro01_F000 otherwise than an earlier line"):
        parse("iemocap", "Ses01F_impro01_F000.wav", tmp_path)
    copied.write_text(labels.read_text().replace("neu", "Neu"))
    with pytest.raises(CorpusError, match="has the unknown label 'Neu'"):
        parse("iemocap", "Ses01F_impro01_F000.wav", tmp_path)


def test_thai_ser_groups_the_microphones_of_one_turn_under_the_assigned_label(tmp_path):
    build_example("thai-ser", tmp_path)
    rows = [row for row in corpus_called("thai-ser").read(tmp_path) if row.path.stem.endswith("actor001_impro1_1")]
    assert {row.channel for row in rows} == {"con", "clip"}
    assert {(row.emotion, row.native_emotion, row.gender) for row in rows} == {("happy", "Happy", "female")}
    assert len({row.group for row in rows}) == 1
    assert {row.session for row in rows} == {"studio001"}


def test_thai_ser_takes_an_unlisted_scripted_turns_emotion_from_its_name(tmp_path):
    row = row_of("thai-ser", tmp_path, "s001_clip_actor002_script2_2_2b")
    assert (row.native_emotion, row.style, row.gender) == ("Angry", "scripted", "male")


def test_savee_is_read_from_folders_and_flat(tmp_path):
    rows = [parse("savee", path, tmp_path) for path in ("AudioData/KL/su03.wav", "KL_su03.wav")]
    assert [(row.utterance_id, row.speaker, row.emotion) for row in rows] == [("KL_su03", "savee-KL", "surprised")] * 2


def test_tess_knows_the_misspelt_speaker(tmp_path):
    row = parse("tess", "OAF_neutral/OA_bite_neutral.wav", tmp_path)
    assert (row.utterance_id, row.speaker, row.text_id) == ("OAF_bite_neutral", "tess-OAF", "bite")


def test_jl_corpus_keeps_secondary_emotions_under_their_own_word(tmp_path):
    row = parse("jl-corpus", "female2_anxious_4b_1.wav", tmp_path)
    assert (row.emotion, row.native_emotion, row.speaker, row.gender) == (
        "other",
        "anxious",
        "jl-corpus-female2",
        "female",
    )


def test_nemo_reads_speaker_emotion_and_sentence(tmp_path):
    row = row_of("nemo", tmp_path, "WR0_surprised_6")
    assert (row.speaker, row.gender, row.text_id, row.emotion) == ("nemo-WR0", "male", "6", "surprised")


def test_emogator_reads_contributor_category_and_instance(tmp_path):
    row = row_of("emogator", tmp_path, "000357-28-3")
    assert (row.speaker, row.native_emotion, row.repetition) == ("emogator-000357", "surprise-positive", "3")
    assert (row.style, row.gender, row.emotion) == ("vocal-burst", None, "surprised")


def test_emogator_keeps_emotions_without_a_canonical_name_as_other(tmp_path):
    named = {
        row.native_emotion: row.emotion
        for number in range(1, 31)
        for row in [parse("emogator", f"000001-{number:02d}-1.mp3", tmp_path)]
    }
    assert len(named) == 30 and {named[word] for word in ("amusement", "elation", "ecstasy", "serenity")} == {"other"}
    assert named["anger"] == "angry" and named["surprise-negative"] == "surprised"


@pytest.mark.parametrize("stem", ["000358-01-1", "000000-01-1", "000001-31-1", "000001-00-1", "000001-01-4"])
def test_a_number_that_emogator_does_not_have_is_refused(stem, tmp_path):
    with pytest.raises(CorpusError, match=stem):
        parse("emogator", f"{stem}.mp3", tmp_path)


def test_the_same_name_in_two_folders_is_an_error_that_names_both(tmp_path):
    build_example("emodb", tmp_path)
    copy = tmp_path / "again/03a01Fa.wav"
    copy.parent.mkdir()
    copy.write_bytes((tmp_path / "wav/03a01Fa.wav").read_bytes())
    with pytest.raises(CorpusError, match=r"again.*wav.*Keep one"):
        list(corpus_called("emodb").read(tmp_path))


def test_hidden_files_and_folders_named_like_recordings_are_not_recordings(tmp_path):
    build_example("emodb", tmp_path)
    (tmp_path / "wav/._03a01Fa.wav").write_bytes(b"Mac OS X")
    (tmp_path / "x.wav").mkdir()
    assert len(list(corpus_called("emodb").read(tmp_path))) == 3
