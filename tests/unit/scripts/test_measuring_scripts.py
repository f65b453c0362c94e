"""What the scripts that compare faces reckon with: answers beside each other, shares of time, sounds of no speech."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from made_up_corpus import MANNERS, spoken
from stand_in import write_adapting, write_bundle

from earnest.corpora.emogator import CATEGORIES
from earnest.corpora.manifest import Utterance
from earnest.runtime.prediction import Prediction, Span
from earnest.runtime.timeline import Timeline
from earnest.testing.sounds import voice, write_voice

pytestmark = pytest.mark.long

HAPPY = Prediction("a.wav", "ok", emotion="happy", probabilities={"happy": 0.7, "sad": 0.3})


def test_answers_are_the_same_when_status_and_emotion_are() -> None:
    from faces import apart, same_answer

    surer = replace(HAPPY, probabilities={"happy": 0.8, "sad": 0.2})
    assert same_answer(HAPPY, surer) and apart(HAPPY, surer) == pytest.approx(0.1)
    assert not same_answer(HAPPY, replace(HAPPY, status="unsure"))
    assert apart(HAPPY, Prediction("a.wav", "no-speech")) == pytest.approx(0.7)


def test_each_kind_of_burst_is_of_a_category_of_the_corpus() -> None:
    from no_emotion import KINDS, burst_kind

    assert {word for word in CATEGORIES if burst_kind(word) != "other"} == set(KINDS) <= set(CATEGORIES)
    assert burst_kind("relief") == "sigh"


def test_the_longest_emotion_is_the_one_of_most_time_not_of_most_spans() -> None:
    from faces import longest

    spans = (Span(0, 1, "sad", 0.9), Span(1, 4, "happy", 0.6), Span(4, 5, "sad", 0.9))
    assert longest(Timeline(Prediction("a.wav", "mixed"), spans)).emotion == "happy"
    assert longest(Timeline(HAPPY, (Span(0, 1, "unsure", 0.3),))).emotion is None
    assert longest(Timeline(Prediction("a.wav", "no-speech"))).status == "no-speech"


def test_an_answer_without_an_emotion_is_wrong() -> None:
    from one_answer import scores

    wa, ua = scores(["sad", "sad", "sad", "happy"], ["sad", "sad", None, "sad"])
    assert (wa, ua) == pytest.approx((1 / 2, 1 / 3))


def test_shares_are_of_the_time_between_two_moments() -> None:
    from two_speaker_hour import shares_of

    spans = [{"start_s": at, "end_s": at + 10, "emotion": name} for at, name in ((0, "sad"), (10, "happy"))]
    assert shares_of(spans) == {"sad": 0.5, "happy": 0.5}
    assert shares_of(spans, 8, 18) == {"happy": 0.8, "sad": 0.2}


def test_as_many_turns_are_neutral_as_was_said() -> None:
    from two_speaker_hour import ANGRY_SHARE, NEUTRAL_ELSEWHERE, NEUTRAL_SHARE, STRETCH

    in_stretches = 2 * STRETCH + 2 * STRETCH * (1 - ANGRY_SHARE)
    assert in_stretches + (1 - 4 * STRETCH) * NEUTRAL_ELSEWHERE == pytest.approx(NEUTRAL_SHARE)


def test_the_loudest_part_is_found() -> None:
    from no_emotion import loudest

    waveform = np.zeros(100, np.float32)
    waveform[60:70] = 1
    assert loudest(waveform, 10).min() == 1
    assert len(loudest(waveform, 200)) == 100


def test_sounds_of_no_speech_follow_from_their_number() -> None:
    import unheard_sounds

    for name in (name for name in unheard_sounds.makers() if not name.startswith("music")):
        sound = unheard_sounds.make(name, 3)
        assert np.isfinite(sound).all() and 0 < np.abs(sound).max() <= 1
        np.testing.assert_array_equal(sound, unheard_sounds.make(name, 3))
    room = unheard_sounds.make("room noise, −60 dBFS", 0)
    assert 10 * np.log10(np.mean(room.astype(np.float64) ** 2)) == pytest.approx(-60, abs=0.01)


def test_speech_gets_voices_behind_it_at_the_ratio_asked(tmp_path: Path) -> None:
    from hard_speech import drawn_voices, with_voices

    paths = [str(write_voice(tmp_path / f"{number}.wav", seed=number)) for number in range(3)]
    rng = np.random.default_rng(0)
    speech = voice(1.0, 16_000)
    for snr_db in (0.0, 10.0):
        behind = with_voices(speech, drawn_voices(paths, rng), snr_db, rng) - speech
        ratio = np.mean(speech.astype(np.float64) ** 2) / np.mean(behind.astype(np.float64) ** 2)
        assert 10 * np.log10(ratio) == pytest.approx(snr_db, abs=0.01)


def test_every_hard_condition_leaves_speech_in_range_and_as_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hard_speech
    import odd_sound
    from hard_speech import CONDITIONS, in_range

    paths = [str(write_voice(tmp_path / f"{number}.wav", seed=number)) for number in range(3)]
    monkeypatch.setattr(hard_speech, "noises", lambda: [*map(Path, paths)])
    monkeypatch.setattr(odd_sound, "laughs", lambda: [voice(0.5, 16_000)])
    speech = voice(1.0, 16_000)
    hard = (partial(change, speech, paths) for change in CONDITIONS.values())
    odd = (partial(change, speech) for change in odd_sound.CONDITIONS.values())
    for change in (*hard, *odd):
        first, again = (in_range(change(np.random.default_rng(1))) for _ in range(2))
        assert first.dtype == np.float32 and 0 < np.abs(first).max() <= 1
        np.testing.assert_array_equal(first, again)


def test_speech_that_a_sound_head_learns_from_has_pauses_and_is_what_predict_hears_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hear_sounds
    from hear_sounds import HARD, RATE_HZ, VOICES_SNR_DB, Item, sound_of

    paths = [str(write_voice(tmp_path / f"{number}.wav", seconds=4.5, seed=number)) for number in range(3)]
    monkeypatch.setattr(hear_sounds, "behind_speech", lambda: paths)
    for change in dict.fromkeys((*HARD, *VOICES_SNR_DB)):
        item = Item(paths[0], "speech", "made-up", "speaker", "happy", change, tuple(paths[1:]))
        waveform = sound_of(item, 0)
        assert waveform is not None and len(waveform) == 4 * RATE_HZ and np.abs(waveform).max() <= 1


def test_a_word_said_alone_has_silence_around_it_and_a_microphone_its_noise() -> None:
    from hear_sounds import ALONE_S, RATE_HZ, over_microphone, said_alone

    speech = voice(2.0, RATE_HZ)
    for seed in range(8):
        word = said_alone(speech, ALONE_S["alone"], np.random.default_rng(seed))
        assert word is not None and 0.24 * RATE_HZ < np.count_nonzero(word) < 1.6 * RATE_HZ
        heard = over_microphone(word, np.random.default_rng(seed))
        assert len(heard) == len(word) and heard.dtype == np.float32 and np.isfinite(heard).all()
        assert -46 < 10 * np.log10(np.mean(heard.astype(np.float64) ** 2)) < -10
        np.testing.assert_array_equal(heard, over_microphone(word, np.random.default_rng(seed)))
        syllable = said_alone(speech[: RATE_HZ // 20 * (seed + 1)], ALONE_S["syllable"], np.random.default_rng(seed))
        assert syllable is not None and np.count_nonzero(syllable) <= 0.5 * RATE_HZ
    assert said_alone(np.zeros(RATE_HZ, np.float32), ALONE_S["syllable"], np.random.default_rng(0)) is None


def test_strangers_are_counted_by_what_they_say(tmp_path: Path) -> None:
    from strangers import WORD_BYTES, recordings, rows

    names = {
        "usr/share/ktuberling/sounds/da": ("hat.ogg", "tux-laugh.ogg"),
        "usr/share/ktuberling/sounds/sr@latin": ("nos.wav",),
        "usr/share/games/fillets-ng/sound/city/cs": ("vit-m-jak.ogg", "vit-x-music.ogg"),
        "usr/share/games/hedgewars/Data/Sounds/voices/Pirate": ("Laugh.ogg", "Traitor.ogg"),
        "usr/share/tuxpaint/stamps/food/fruit": ("pear_desc_be.ogg", "bite.ogg"),
        "usr/share/asterisk/sounds/fr_CA_f_June/digits": ("7.wav",),
        "usr/share/asterisk/sounds/fr_CA_f_June/silence": ("1.wav",),
        "usr/share/asterisk/moh": ("cold_day.wav",),
        "usr/share/klettres/de/alpha": ("a.ogg",),
    }
    for folder, files in names.items():
        (tmp_path / folder).mkdir(parents=True)
        for name in files:
            (tmp_path / folder / name).touch()
    (tmp_path / "usr/share/asterisk/sounds/fr_CA_f_June/goodbye.wav").write_bytes(bytes(WORD_BYTES))
    every = list(recordings(tmp_path))
    assert [(one.path.name, one.group) for one in every] == [
        ("hat.ogg", "words"),
        ("vit-m-jak.ogg", "dialogues, cs"),
        ("Laugh.ogg", "bursts"),
        ("Traitor.ogg", "battle cries"),
        ("pear_desc_be.ogg", "descriptions"),
        ("goodbye.wav", "announcements"),
        ("7.wav", "announced words"),
        ("cold_day.wav", "music on hold"),
        ("a.ogg", "letters"),
    ]

    class Model:
        info = SimpleNamespace(name="made")

        def predict(self, path: Path) -> Prediction:
            return replace(HAPPY if path.name == "hat.ogg" else Prediction("", "vocal-burst"), duration_s=1.0)

    assert [line.split(" | ")[4:] for line in rows(Model(), every)][:2] == [
        ["100.0", "0.0", "0.0", "100.0", "happy 100 |\n"],
        ["0.0", "100.0", "0.0", "0.0", " |\n"],
    ]


@pytest.mark.parametrize("adapts", [True, False])
def test_left_out_speakers_are_answered_again_with_another_temperature(adapts: bool, tmp_path: Path) -> None:
    from left_out_table import WAYS, Told, fitted, heard, scores

    rows = []
    for number, emotion in enumerate(list(MANNERS) * 3):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, np.tile(spoken(emotion, 1, number), 3), 16_000)
        rows.append(Utterance(path.stem, path, corpus="made", speaker="ann", emotion=emotion, native_emotion=emotion))
    folder = (write_adapting if adapts else write_bundle)(tmp_path / "bundle")
    told = Told(heard((folder, "left out: made", "ann", rows)))
    found = {way: told.rows("left out: made", way, 2.0, 0.0) for way in WAYS}
    assert {way for way in WAYS if not found[way]} == (set() if adapts else {way for way in WAYS if "adapted" in way})
    assert len(found["clip"]) == len(rows)
    assert 0 <= scores(found["clip"])["ece"] <= 1
    surer = told.rows("left out: made", "clip", 1.0, 0.0)
    assert np.mean([row.confidence for row in surer]) > np.mean([row.confidence for row in found["clip"]])
    assert fitted(told, ["made"]).keys() == {"ratio", "abstain_below"}
    if adapts:
        assert len(found["folder adapted"]) == len(rows)
        apart = [
            abs(one.confidence - other.confidence)
            for one, other in zip(found["clip"], found["folder adapted"], strict=True)
        ]
        assert min(apart) > 1e-3


def test_mismatched_speech_is_known_by_its_kind_and_each_kind_has_its_factor() -> None:
    import fit_mismatch

    assert list(fit_mismatch.SOFTER) == list(fit_mismatch.MISMATCHED)
    assert all(factor > 1 for factor in fit_mismatch.SOFTER.values())
    rng, n_kinds = np.random.default_rng(0), len(fit_mismatch.MISMATCHED)
    kinds = np.repeat(np.arange(n_kinds + 1), 30)
    embedding = rng.normal(0, 0.1, (len(kinds), 8)) + np.eye(8)[kinds]
    head = fit_mismatch.head_of(embedding, kinds)
    np.testing.assert_array_equal(fit_mismatch.called(head, 2.8, embedding), kinds > 0)


def test_a_whisper_has_the_spectrum_and_length_of_the_voice_but_not_its_pitch() -> None:
    import fit_mismatch
    import odd_sound

    speech = voice()

    def periodic(sound: np.ndarray) -> float:
        spectrum = np.abs(np.fft.rfft(sound, 2 * len(sound))) ** 2
        likeness = np.fft.irfft(spectrum)
        return float(likeness[40:270].max() / likeness[0])

    for whisper in (odd_sound.whispered, fit_mismatch.rephased):
        sound = whisper(speech, np.random.default_rng(0))
        assert sound.shape == speech.shape
        assert periodic(sound) < 0.7 * periodic(speech)


def test_recordings_count_so_much_that_neutral_is_as_frequent_as_is_asked() -> None:
    from conversations import ASKED, NEUTRAL, acted

    rows = [Utterance(f"{at}", Path(f"{at}.wav"), emotion=name) for at, name in enumerate(("sad", "sad", "neutral"))]
    sure = [replace(HAPPY, emotion="sad", probabilities={"sad": 0.9, "neutral": 0.1})] * 2
    wrong = replace(HAPPY, emotion=None, probabilities={"sad": 0.55, "neutral": 0.45})
    model = SimpleNamespace(info=SimpleNamespace(name="m"), predict_many=lambda paths, classes: [*sure, wrong])
    lines = [*acted("c", model, rows)]
    assert len(lines) == len(ASKED) * len(NEUTRAL)
    # 40 % of the weight is sad, right and told; 60 % is neutral, taken for sad and not told.
    assert lines[3] == "| c | m | 60 % | – | 40 | 40 | 100 | 10 | 40 | 100 |\n"
