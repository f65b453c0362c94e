"""Published results to print beside ours. None was measured here; each says who reports it and how it was chosen."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One result of somebody else, in per cent.

    Attributes
    ----------
    protocol : the protocol of ours whose results it may stand beside
    system : model, or who answered
    wa_sd : over folds, where it is reported
    how : how it was chosen or what differs from the protocol; "" for nothing
    fold : the fold it belongs to, "" for the whole protocol
    """

    protocol: str
    system: str
    source: str
    wa: float | None = None
    ua: float | None = None
    wa_sd: float | None = None
    how: str = ""
    fold: str = ""


_EMOCATCHER = "EmoCatcher's repository"
_RE_MEASURED = "re-measured from EmoCatcher's checkpoints"
_EMOBOX = "EmoBox, table 4"
_HOW_TO = "audEERING's how-to"
_SER_TESTS = "audEERING ser-tests"
_EMOTION2VEC = "emotion2vec"
_NTU = "NTU's repository"
_ONE_SPEAKER = "improvised; its 5-fold tests one speaker a session"
_FOUR_CLASSES = "4 classes"

PUBLISHED = (
    Published("ravdess-6fold", "Whisper-large-v3, frozen", _EMOBOX, wa=75.9, ua=75.3),
    Published("ravdess-6fold", "WavLM-large, frozen", _EMOBOX, wa=72.2),
    Published("ravdess-6fold", "HuBERT-large, frozen", _EMOBOX, wa=70.3),
    Published("ravdess-6fold", "HuBERT-base, frozen", _EMOBOX, wa=66.2),
    Published("ravdess-6fold", "WavLM-base, frozen", _EMOBOX, wa=62.1),
    Published("ravdess-6fold", "wav2vec2-base, frozen", _EMOBOX, wa=55.4),
    Published(
        "ravdess-6fold",
        "EmoCatcher's recipe, re-trained",
        "re-trained from EmoCatcher's code",
        wa=57.0,
        how="other folds: 5 by actor; last epoch",
    ),
    Published("emocatcher-5fold", "EmoCatcher", _EMOCATCHER, wa=84.17, wa_sd=2.36, how="best epoch on test"),
    Published("emocatcher-5fold", "EmoCatcher", _RE_MEASURED, wa=81.88, how="last epoch"),
    Published("emocatcher-holdout", "EmoCatcher", _EMOCATCHER, wa=87.15, how="best epoch on test"),
    Published("emocatcher-holdout", "EmoCatcher", _RE_MEASURED, wa=85.42, how="last epoch"),
    Published("emodb-loso", "wav2vec2-large (12 layers) + SVC", _HOW_TO, ua=93.4),
    Published("emodb-loso", "ComParE features + SVC", _HOW_TO, ua=77.1),
    Published("emodb-loso", "listeners", _HOW_TO, ua=86.0, how="the corpus keeps what at least 80 % recognise"),
    Published("crema-d-5fold", "listeners, audio only", "the corpus' own votes", wa=40.9),
    Published("iemocap-5session", "emotion2vec", _EMOTION2VEC, wa=71.8),
    Published("iemocap-5session", "WavLM-large", _EMOTION2VEC, wa=70.0),
    Published("iemocap-5session", "HuBERT-base", _EMOTION2VEC, wa=64.9),
    Published("iemocap-5session", "wav2vec2-base", _EMOTION2VEC, wa=63.4),
    Published("iemocap-10speaker", "AlexNet + stability", _NTU, wa=74.0, ua=64.4, how=_ONE_SPEAKER),
    Published("iemocap-10speaker", "FCN+GAP", _NTU, wa=73.2, ua=62.6, how=_ONE_SPEAKER),
    Published("iemocap-10speaker", "ResNet18", _NTU, wa=71.6, ua=59.8, how=_ONE_SPEAKER),
    Published("thai-ser", "listeners", "the corpus' authors", wa=77.2, how="at most"),
    Published("cross-corpus", "WavLM", _SER_TESTS, ua=70.0, how=_FOUR_CLASSES, fold="to-ravdess"),
    Published("cross-corpus", "WavLM", _SER_TESTS, ua=91.0, how=_FOUR_CLASSES, fold="to-emodb"),
    Published("cross-corpus", "WavLM", _SER_TESTS, ua=64.0, how=_FOUR_CLASSES, fold="to-crema-d"),
    Published("cross-corpus", "WavLM", _SER_TESTS, ua=64.0, how=_FOUR_CLASSES, fold="to-iemocap"),
    Published("cross-corpus", "CNN14, not pre-trained", _SER_TESTS, ua=41.0, how=_FOUR_CLASSES, fold="to-ravdess"),
    Published("cross-corpus", "CNN14, not pre-trained", _SER_TESTS, ua=52.0, how=_FOUR_CLASSES, fold="to-emodb"),
    Published("cross-corpus", "CNN14, not pre-trained", _SER_TESTS, ua=45.0, how=_FOUR_CLASSES, fold="to-crema-d"),
    Published("cross-corpus", "CNN14, not pre-trained", _SER_TESTS, ua=44.0, how=_FOUR_CLASSES, fold="to-iemocap"),
)


def published_for(protocol: str) -> list[Published]:
    """Return the published results that may stand beside those of a protocol."""
    return [result for result in PUBLISHED if result.protocol == protocol]
