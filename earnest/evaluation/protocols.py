"""Protocols by name: which recordings, which folds, which speakers apart. A new one is an entry of `PROTOCOL_TABLE`."""

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from earnest.corpora.load import scheme_of_rows, usable
from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError, RecipeError, SharedGroupError, SplitError, counted, named, shown, suggestion
from earnest.evaluation.splits import Split
from earnest.evaluation.splitters import (
    ApartFromGroups,
    BatchHalves,
    CorpusMatrix,
    CrossCorpus,
    Divide,
    InPublishedOrder,
    KeyFolds,
    LeaveOneOut,
    NamedFolds,
    PartHoldOut,
    PartnerRotation,
    SpeakerFolds,
    SpeakerHoldOut,
    StratifiedFolds,
    StratifiedHoldOut,
    emocatcher_order,
    group_named,
    in_order,
    partners_of,
    session_of,
)
from earnest.labels import count_labels


@dataclass(frozen=True)
class Protocol:
    """One way to divide one set of corpora.

    Attributes
    ----------
    divide : makes the sets
    corpora : what it is defined on; empty for any manifest
    scheme : label scheme that chooses (and for stratified draws, groups) the utterances
    speaker_independent : no speaker in two sets
    n_utterances : usable utterances on complete corpora, 0 if that isn't fixed
    speakers : the speakers it has on complete corpora, empty if that isn't fixed; each of them must be there
    exact : refuse an incomplete corpus instead of warning
    optional_corpora : any of ``corpora`` may be absent, as long as one is there
    belongs : which utterances of the corpora are part of it, None for all
    training_seeds : seeds with which the published protocol repeats each fold
    dialogue_partners : see `Split`
    is_matrix : each fold trains on one corpus and tests on several, see `earnest.evaluation.report`
    class_subset : a label scheme of fewer classes; the same answers are scored a second time, on the utterances of its
        classes and with the probabilities of these alone, renormalised
    stamp : words that must stand beside every result, where test data chose something
    """

    name: str
    description: str
    divide: Divide
    corpora: tuple[str, ...] = ()
    scheme: str = "native"
    speaker_independent: bool = True
    n_utterances: int = 0
    speakers: tuple[str, ...] = ()
    exact: bool = False
    optional_corpora: bool = False
    belongs: Callable[[Utterance], bool] | None = None
    training_seeds: tuple[int, ...] = ()
    dialogue_partners: bool = False
    is_matrix: bool = False
    class_subset: str = ""
    stamp: str = ""

    @property
    def kind(self) -> str:
        """The words that belong into the title of every result."""
        return "; ".join(filter(None, [kind_words(self.speaker_independent), self.stamp]))


def kind_words(speaker_independent: bool) -> str:
    """Return "speaker-independent" or "speaker-dependent"."""
    return "speaker-independent" if speaker_independent else "speaker-dependent"


@dataclass(frozen=True)
class Coverage:
    """Coverage of a protocol: the part of its utterances and speakers that is there."""

    protocol: str
    found: int
    expected: int
    missing_speakers: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether all utterances are there, or their number isn't fixed."""
        return not self.missing_speakers and self.expected in (0, self.found)

    def sentence(self) -> str:
        """Return one line for logs and tables."""
        here = counted(self.found, "utterance")
        of_all = f"{self.found} of {counted(self.expected, 'utterance')}" if self.expected else here
        missing = f"; without {', '.join(self.missing_speakers)}" if self.missing_speakers else ""
        return f"{self.protocol}: {of_all}{missing}"


FEWEST_FOLDS = 3  # one to test, one to validate, one to train
_NUMBER = re.compile(r"(?<=-)([1-9]\d{0,3})(?=fold$)")


def _speaker_folds(k: int) -> Protocol:
    return Protocol(
        name=f"speaker-{k}fold", description=f"any manifest, the k-th speaker in fold k mod {k}", divide=SpeakerFolds(k)
    )


def _group_folds(k: int) -> Protocol:
    return Protocol(
        name=f"group-{k}fold",
        description=f"any manifest whose utterances name a group, the k-th group in fold k mod {k}; speakers may be "
        "shared",
        divide=KeyFolds(k, group_named, "groups"),
        speaker_independent=False,
    )


def _stratified_folds(k: int) -> Protocol:
    return Protocol(
        name=f"stratified-{k}fold",
        description=f"any manifest, {k} stratified random folds over utterances; speakers are shared",
        divide=StratifiedFolds(k, seed=0),
        speaker_independent=False,
    )


FAMILIES: Mapping[str, Callable[[int], Protocol]] = {
    "speaker-{k}fold": _speaker_folds,
    "group-{k}fold": _group_folds,
    "stratified-{k}fold": _stratified_folds,
}
"""Protocols that differ in their number of folds alone: name with {k} for the number → what makes one."""


def family_member(name: str) -> Protocol | None:
    """Return the protocol of a name that ends in a number of folds; None for another name."""
    number = _NUMBER.search(name)
    if number is None:
        return None
    make = FAMILIES.get(f"{name[: number.start()]}{{k}}fold")
    if make is None:
        return None
    k = int(number.group())
    if k < FEWEST_FOLDS:
        raise RecipeError(f"{name}: needs {FEWEST_FOLDS} folds or more: to train on, to validate on and to test.")
    return make(k)


def similar_names(name: str) -> list[str]:
    """Return one name a family with the number of a wrong name, so that the nearest can be suggested."""
    number = re.search(r"\d{1,4}", name)
    k = max(FEWEST_FOLDS, int(number.group())) if number else 5
    return [pattern.format(k=k) for pattern in FAMILIES]


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
_RAVDESS_SPEECH = partial(
    Protocol, corpora=("ravdess",), scheme="ravdess8", n_utterances=1440, speakers=_RAVDESS_SPEAKERS
)
_NTU_SEEDS = (111, 211, 411, 711, 1111)


def _is_improvised(utterance: Utterance) -> bool:
    return utterance.style == "improvised"


def _is_studio(utterance: Utterance) -> bool:
    return utterance.session.startswith("studio")


def _is_zoom(utterance: Utterance) -> bool:
    return utterance.session.startswith("zoom")


def _is_improvised_once(utterance: Utterance) -> bool:
    """Whether a turn of THAI SER is improvised, and from the microphone that the label file names.

    NTU's code keeps one of a studio's microphones, the one that a listing of folders ends with. All three would test
    each turn three times.
    """
    return _is_improvised(utterance) and utterance.channel in ("con", "mic")


def _thai_batch(utterance: Utterance) -> str:
    """Return the batch of ten studio recordings: recordings 1 to 10 are batch 1."""
    digits = "".join(letter for letter in utterance.session if letter.isdigit())
    if not digits:
        raise CorpusError(f"{utterance.path}: thai-ser needs numbered sessions, got '{utterance.session}'.")
    return f"batch{(int(digits) - 1) // 10 + 1}"


def _in_emocatchers_order(divide: Divide) -> InPublishedOrder:
    return InPublishedOrder(emocatcher_order, "EmoCatcher's meta.csv", divide)


PROTOCOL_TABLE = (
    Protocol(
        name="leave-one-corpus-out",
        description="RAVDESS speech, CREMA-D, EmoDB and nEMO as far as present, each tested once, trained on the "
        "others; six classes, and four of them",
        corpora=("ravdess", "crema-d", "emodb", "nemo"),
        scheme="six",
        divide=CrossCorpus(shared_classes=False),
        optional_corpora=True,
        class_subset="four",
    ),
    _RAVDESS_SPEECH(
        name="ravdess-6fold",
        description="RAVDESS speech, the six folds of four actors of EmoBox",
        divide=NamedFolds(
            {fold: [f"ravdess-{number}" for number in actors.split()] for fold, actors in _RAVDESS_FOLDS.items()}
        ),
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
        description="CREMA-D, intended labels, usable utterances, the k-th speaker in fold k mod 5",
        corpora=("crema-d",),
        scheme="six",
        divide=SpeakerFolds(5),
        n_utterances=7435,
        speakers=_CREMA_D_SPEAKERS,
    ),
    _RAVDESS_SPEECH(
        name="emocatcher-5fold",
        description="RAVDESS speech, EmoCatcher's own five stratified random folds over utterances",
        divide=_in_emocatchers_order(StratifiedFolds(5, seed=999)),
        speaker_independent=False,
    ),
    _RAVDESS_SPEECH(
        name="emocatcher-holdout",
        description="RAVDESS speech, EmoCatcher's own stratified random 80:20 over utterances",
        divide=_in_emocatchers_order(StratifiedHoldOut(0.2, seed=999)),
        speaker_independent=False,
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
        name="thai-ser-ntu",
        description="THAI SER, improvised turns in studios, one microphone, NTU's batches of ten: the first five of "
        "one are tested, its others validate",
        corpora=("thai-ser",),
        scheme="iemocap4",
        divide=BatchHalves(_thai_batch),
        belongs=lambda utterance: _is_studio(utterance) and _is_improvised_once(utterance),
        training_seeds=_NTU_SEEDS,
    ),
    Protocol(
        name="thai-ser-zoom",
        description="THAI SER, improvised turns, trained on studios, validated on the last ten of them, tested on Zoom",
        corpora=("thai-ser",),
        scheme="iemocap4",
        divide=PartHoldOut("zoom", _is_zoom, _thai_batch),
        belongs=_is_improvised_once,
    ),
    Protocol(
        name="vino-random",
        description="RAVDESS speech and song, stratified random 80:10:10 over utterances",
        corpora=("ravdess", "ravdess-song"),
        scheme="ravdess8",
        divide=StratifiedHoldOut(0.1, seed=0, valid_share=1 / 9),
        speaker_independent=False,
        n_utterances=2452,
        speakers=_RAVDESS_SPEAKERS,
    ),
    Protocol(
        name="vino-random5",
        description="RAVDESS speech and song, five classes, stratified random over utterances, 735 for test; where the "
        "published ones lay is not stated",
        corpora=("ravdess", "ravdess-song"),
        scheme="vino5",
        divide=StratifiedHoldOut(735 / 2452, seed=0, valid_share=1 / 7),
        speaker_independent=False,
        n_utterances=2452,
        speakers=_RAVDESS_SPEAKERS,
    ),
    Protocol(
        name="moody-random",
        description="Moody's corpora as far as present, stratified random 70:30 over utterances",
        corpora=("ravdess", "emodb", "tess", "jl-corpus"),
        scheme="moody7",
        divide=StratifiedHoldOut(0.3, seed=0),
        speaker_independent=False,
        optional_corpora=True,
    ),
    Protocol(
        name="multitask-random",
        description="IEMOCAP, stratified random 80:10:10 over turns of eight emotions; the authors' shares are not "
        "stated",
        corpora=("iemocap",),
        scheme="multitask8",
        divide=ApartFromGroups(StratifiedHoldOut(0.1, seed=0, valid_share=1 / 9)),
        speaker_independent=False,
    ),
    Protocol(
        name="cross-corpus",
        description="each corpus tested once, trained on the others, on the classes they share",
        divide=CrossCorpus(),
    ),
    Protocol(
        name="cross-corpus-matrix",
        description="trained on each corpus, tested on every other and on its own held-out speakers, on shared classes",
        divide=CorpusMatrix(),
        is_matrix=True,
    ),
    Protocol(name="loso", description="any manifest, leave one speaker out", divide=LeaveOneOut()),
    Protocol(
        name="session-loso",
        description="any manifest whose utterances name a session, leave one session out",
        divide=LeaveOneOut(session_of, n_valid=1),
    ),
    *(make(5) for make in FAMILIES.values()),
    Protocol(
        name="speaker-holdout",
        description="any manifest, one split: every fifth speaker for test, as many for validation",
        divide=SpeakerHoldOut(),
    ),
)


_log = logging.getLogger(__name__)
PROTOCOLS: Mapping[str, Protocol] = {protocol.name: protocol for protocol in PROTOCOL_TABLE}


def protocol_called(name: str) -> Protocol:
    """Return a protocol by name; the number of folds in names such as "speaker-5fold" is free.

    Raises `RecipeError` for an unknown name, with the nearest right one.
    """
    protocol = PROTOCOLS.get(name) or family_member(name)
    if protocol is None:
        raise RecipeError(f"There is no protocol '{name}'.{suggestion(name, {*PROTOCOLS, *similar_names(name)})}")
    return protocol


def splits_of(protocol: str | Protocol, utterances: Sequence[Utterance]) -> list[Split]:
    """Divide ``utterances`` by a protocol, one `Split` a fold; their order doesn't matter.

    Raises `CorpusError` when speakers that the protocol names are missing, or utterances belong to no corpus of the
    protocol; `SplitError` when the data can't be divided so, for example because it has too few speakers.
    """
    chosen = protocol_called(protocol) if isinstance(protocol, str) else protocol
    rows = rows_of(chosen, utterances)
    _check_coverage(chosen, rows)
    try:
        return _divided(chosen, rows)
    except SharedGroupError as error:
        raise SplitError(f"{error} {_what_keeps_groups_together(rows)}") from None


def _what_keeps_groups_together(rows: Sequence[Utterance]) -> str:
    """Name the first protocol for any manifest that can split these utterances, for the refusal's message."""
    for name in ("session-loso", "speaker-holdout", f"group-{FEWEST_FOLDS}fold"):
        try:
            _divided(protocol_called(name), rows)
        except SplitError:
            continue
        return f"Say --protocol {name}: it keeps them together."
    return f"No protocol keeps them together: there are fewer than {FEWEST_FOLDS} such groups. Add recordings."


def _divided(chosen: Protocol, rows: Sequence[Utterance]) -> list[Split]:
    """Divide rows that are all of a protocol."""
    scheme = scheme_of_rows(chosen.scheme, rows)
    classes = [scheme.class_of(*row.labels) or "" for row in rows]
    return [
        Split(
            parts.train,
            parts.valid,
            parts.test,
            fold=parts.fold,
            speaker_independent=chosen.speaker_independent,
            protocol=chosen.name,
            dialogue_partners=chosen.dialogue_partners,
        )
        for parts in chosen.divide(rows, classes)
    ]


def rows_of(protocol: Protocol, utterances: Iterable[Utterance]) -> list[Utterance]:
    """Return the utterances that a protocol uses, sorted by file name; what it drops is logged, never silent.

    It drops what the corpus' reader calls unusable, what isn't part of the protocol, and what its scheme drops.
    """
    rows = in_order(utterances)
    _check_corpora(protocol, Counter(row.corpus for row in rows))
    kept = [row for row in usable(rows).utterances if protocol.belongs is None or protocol.belongs(row)]
    if len(kept) < len(rows):
        _log.warning("%s: %d of %d utterances are not part of it", protocol.name, len(rows) - len(kept), len(rows))
    scheme = scheme_of_rows(protocol.scheme, kept)
    counts = count_labels(scheme, (row.labels for row in kept))
    if counts.dropped or counts.merged:
        _log.info("%s: %s", protocol.name, counts.sentence())
    return [row for row in kept if scheme.class_of(*row.labels)]


def coverage_of(protocol: Protocol, rows: Sequence[Utterance]) -> Coverage:
    """Count how many of a protocol's utterances and speakers are among ``rows``, which all belong to it."""
    speakers = {row.speaker for row in rows}
    missing = tuple(speaker for speaker in protocol.speakers if speaker not in speakers)
    return Coverage(protocol.name, len(rows), protocol.n_utterances, missing)


def _check_corpora(protocol: Protocol, present: Mapping[str, int]) -> None:
    if not present:
        raise CorpusError(f"{protocol.name}: there are no utterances.")
    if not protocol.corpora:
        return
    for corpus, count in present.items():
        if corpus not in protocol.corpora:
            needed = ", ".join(protocol.corpora)
            raise CorpusError(
                f"{protocol.name} is defined on {needed}; got {counted(count, 'utterance')} of '{corpus}'."
            )
    absent = [corpus for corpus in protocol.corpora if corpus not in present]
    if absent and not protocol.optional_corpora:
        raise CorpusError(f"{protocol.name} needs the corpus {', '.join(absent)}. Say where it is with --data.")


def refuse_other_corpora(protocol: Protocol, named: Iterable[str]) -> None:
    """Raise `CorpusError` where somebody named a corpus that the protocol doesn't read: it would be left out."""
    for corpus in named:
        if protocol.corpora and corpus not in protocol.corpora:
            raise CorpusError(
                f"{protocol.name} is defined on {', '.join(protocol.corpora)}, so it can't divide {shown(corpus)}. Say "
                "--protocol speaker-5fold, which divides any recordings whose speakers are named, or, for several "
                "corpora, cross-corpus: each is tested, and the others are trained on."
            )


def _check_coverage(protocol: Protocol, rows: Sequence[Utterance]) -> None:
    coverage = coverage_of(protocol, rows)
    strange = sorted({row.speaker for row in rows} - set(protocol.speakers)) if protocol.speakers else []
    if strange:
        raise CorpusError(f"{protocol.name} has no speaker '{strange[0]}'; its speakers are {protocol.speakers[0]} …")
    if coverage.missing_speakers or (protocol.exact and not coverage.complete):
        checks = ", ".join(f"earnest corpus check {name} FOLDER" for name in protocol.corpora)
        raise CorpusError(
            f"{coverage.sentence()}; all are needed. What is missing: {checks}. For a part take a protocol over any "
            "manifest, such as --protocol session-loso or speaker-5fold."
        )
    if not coverage.complete:
        _log.warning("%s. The corpus is incomplete; the result says so.", coverage.sentence())


FEW_SPEAKERS, FOLDS = 10, 5
SPEAKER_DEPENDENT = "stratified-5fold"
_WITHOUT = (
    f"Without speakers a result says nothing about new speakers; --protocol {SPEAKER_DEPENDENT} splits single "
    "recordings, and its titles say speaker-dependent"
)


def suitable_protocol(rows: Sequence[Utterance], one_split: bool = False) -> str:
    """Name the protocol that keeps speakers apart: leave one out of up to ten, five folds of more.

    Speakers whom a dialogue or another group ties count as one.

    Raises `SplitError` when there are no speakers, or fewer than three; it says what to do and what to type.

    Parameters
    ----------
    one_split : for one training: every fifth speaker is tested
    """
    silent = [row.key for row in rows if not row.speaker]
    if len(silent) == len(rows):
        raise SplitError(
            f"{counted(len(rows), 'recording')}, no speaker named. Name speakers: earnest corpus manifest PATH "
            "-o mine.csv --speaker-column NAME (of a table; of folders 'folder 1', 'folder 2') or --speaker-pattern "
            f"REGEX, then --corpus mine.csv. {_WITHOUT}."
        )
    if silent:
        raise SplitError(
            f"{len(silent)} of {len(rows)} recordings name no speaker: {named(silent)}. Name theirs too, or leave "
            f"these recordings out. {_WITHOUT}."
        )
    n_speakers = len({row.speaker for row in rows})
    partners = partners_of(rows)
    n_apart = len(set(partners.values()))
    if n_apart < FEWEST_FOLDS:
        tied = " of different groups" if n_apart < n_speakers else ""
        raise SplitError(
            f"Three speakers{tied} are needed: for training, validation and test. There are {n_apart}. Record "
            f"more, or say --protocol {SPEAKER_DEPENDENT}, whose titles say speaker-dependent."
        )
    if one_split:
        return "speaker-holdout"
    if n_apart < FOLDS:
        return f"speaker-{FEWEST_FOLDS}fold"
    is_few = n_apart == n_speakers <= FEW_SPEAKERS and all(Path(one).name == one for one in partners)
    return "loso" if is_few else f"speaker-{FOLDS}fold"  # folds of "loso" are folders with speakers' names
