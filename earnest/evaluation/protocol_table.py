"""The protocols as data. To add one, add an entry to ``PROTOCOL_TABLE``."""

from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError
from earnest.evaluation.dividing import (
    LeaveOneOut,
    NamedFolds,
    PartnerRotation,
    SpeakerHoldOut,
    StratifiedFolds,
    StratifiedHoldOut,
    session_of,
    speaker_folds,
)
from earnest.evaluation.dividing_corpora import CorpusMatrix, CrossCorpus
from earnest.evaluation.protocol import Protocol
from earnest.evaluation.protocol_families import examples

_RAVDESS_FOLDS = {  # EmoBox (Ma et al., 2024)
    "f1": "01 11 20 21",
    "f2": "04 10 12 14",
    "f3": "08 09 19 23",
    "f4": "03 05 07 24",
    "f5": "02 15 16 18",
    "f6": "06 13 17 22",
}
_RAVDESS_SPEAKERS = tuple(f"ravdess-{number:02d}" for number in range(1, 25))
_EMODB_SPEAKERS = tuple(f"emodb-{number:02d}" for number in (3, *range(8, 17)))
_CREMA_D_SPEAKERS = tuple(f"crema-d-{number}" for number in range(1001, 1092))
_NTU_SEEDS = (111, 211, 411, 711, 1111)


def _is_improvised(utterance: Utterance) -> bool:
    return utterance.style == "improvised"


def _is_studio(utterance: Utterance) -> bool:
    return utterance.session.startswith("studio")


def _thai_batch(utterance: Utterance) -> str:
    """Return the batch of ten studio recordings: recordings 1 to 10 are batch 1."""
    digits = "".join(letter for letter in utterance.session if letter.isdigit())
    if not digits:
        raise CorpusError(f"{utterance.path}: thai-ser needs numbered sessions, got '{utterance.session}'.")
    return f"batch{(int(digits) - 1) // 10 + 1}"


PROTOCOL_TABLE = (
    Protocol(
        name="ravdess-6fold",
        description="RAVDESS speech, the six folds of four actors of EmoBox",
        corpora=("ravdess",),
        scheme="ravdess8",
        divide=NamedFolds(
            {fold: [f"ravdess-{number}" for number in actors.split()] for fold, actors in _RAVDESS_FOLDS.items()}
        ),
        n_utterances=1440,
        speakers=_RAVDESS_SPEAKERS,
    ),
    Protocol(
        name="emodb-loso",
        description="Berlin EmoDB, leave one speaker out",
        corpora=("emodb",),
        scheme="emodb7",
        divide=LeaveOneOut(),
        n_utterances=535,
        speakers=_EMODB_SPEAKERS,
    ),
    Protocol(
        name="crema-d-5fold",
        description="CREMA-D, intended labels, usable clips, the k-th speaker in fold k mod 5",
        corpora=("crema-d",),
        scheme="six",
        divide=speaker_folds(5),
        n_utterances=7435,
        speakers=_CREMA_D_SPEAKERS,
    ),
    Protocol(
        name="emocatcher-5fold",
        description="RAVDESS speech, EmoCatcher's five stratified random folds over clips",
        corpora=("ravdess",),
        scheme="ravdess8",
        divide=StratifiedFolds(5, seed=999),
        speaker_independent=False,
        n_utterances=1440,
        speakers=_RAVDESS_SPEAKERS,
    ),
    Protocol(
        name="emocatcher-holdout",
        description="RAVDESS speech, EmoCatcher's stratified random 80:20 over clips",
        corpora=("ravdess",),
        scheme="ravdess8",
        divide=StratifiedHoldOut(0.2, seed=999),
        speaker_independent=False,
        n_utterances=1440,
        speakers=_RAVDESS_SPEAKERS,
    ),
    Protocol(
        name="iemocap-5session",
        description="IEMOCAP, excited merged into happy, leave one session out",
        corpora=("iemocap",),
        scheme="iemocap4-excited",
        divide=LeaveOneOut(session_of, n_valid=1),
        n_utterances=5531,
        exact=True,
    ),
    Protocol(
        name="iemocap-5session-improvised",
        description="IEMOCAP, improvised dialogues only, leave one session out",
        corpora=("iemocap",),
        scheme="iemocap4",
        divide=LeaveOneOut(session_of, n_valid=1),
        belongs=_is_improvised,
    ),
    Protocol(
        name="iemocap-10speaker",
        description="IEMOCAP, improvised dialogues, NTU's rotation of (validation, test) speaker of one session",
        corpora=("iemocap",),
        scheme="iemocap4",
        divide=PartnerRotation(),
        belongs=_is_improvised,
        training_seeds=_NTU_SEEDS,
        dialogue_partners=True,
    ),
    Protocol(
        name="thai-ser",
        description="THAI SER, studio recordings in batches of ten, leave one batch out",
        corpora=("thai-ser",),
        scheme="native",
        divide=LeaveOneOut(_thai_batch, n_valid=1),
        belongs=_is_studio,
    ),
    Protocol(
        name="vino-random",
        description="RAVDESS speech and song, stratified random 80:10:10 over clips",
        corpora=("ravdess", "ravdess-song"),
        scheme="ravdess8",
        divide=StratifiedHoldOut(0.1, seed=0, valid_share=1 / 9),
        speaker_independent=False,
        n_utterances=2452,
        speakers=_RAVDESS_SPEAKERS,
    ),
    Protocol(
        name="moody-random",
        description="Moody's corpora as far as present, stratified random 70:30 over clips",
        corpora=("ravdess", "emodb", "tess", "jl-corpus"),
        scheme="moody7",
        divide=StratifiedHoldOut(0.3, seed=0),
        speaker_independent=False,
        optional_corpora=True,
    ),
    Protocol(
        name="cross-corpus",
        description="each corpus tested once, trained on the others, on the classes they share",
        corpora=(),
        scheme="native",
        divide=CrossCorpus(),
    ),
    Protocol(
        name="cross-corpus-matrix",
        description="trained on each corpus, tested on every other and on its own held-out speakers, on shared classes",
        corpora=(),
        scheme="native",
        divide=CorpusMatrix(),
        is_matrix=True,
    ),
    Protocol(
        name="loso",
        description="any manifest, leave one speaker out",
        corpora=(),
        scheme="native",
        divide=LeaveOneOut(),
    ),
    Protocol(
        name="session-loso",
        description="any manifest whose clips name a session, leave one session out",
        corpora=(),
        scheme="native",
        divide=LeaveOneOut(session_of, n_valid=1),
    ),
    *examples(),
    Protocol(
        name="speaker-holdout",
        description="any manifest, one split: every fifth speaker for test, as many for validation",
        corpora=(),
        scheme="native",
        divide=SpeakerHoldOut(),
    ),
)
