"""Protocols by name, and the splits they make of a list of utterances."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from earnest.corpora.load import usable
from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError, RecipeError
from earnest.evaluation.dividing import in_order
from earnest.evaluation.protocol import Coverage, Protocol
from earnest.evaluation.protocol_families import family_member, similar_names
from earnest.evaluation.protocol_table import PROTOCOL_TABLE
from earnest.evaluation.splits import Split
from earnest.labels import count_labels, scheme_called
from earnest.suggest import suggestion

_log = logging.getLogger(__name__)
PROTOCOLS: Mapping[str, Protocol] = {protocol.name: protocol for protocol in PROTOCOL_TABLE}


def protocol_called(name: str) -> Protocol:
    """Return a protocol by name; the number of folds in names such as "speaker-5fold" is free.

    Raises
    ------
    RecipeError
        For an unknown name, with the nearest right one.
    """
    protocol = PROTOCOLS.get(name) or family_member(name)
    if protocol is None:
        raise RecipeError(f"There is no protocol '{name}'.{suggestion(name, {*PROTOCOLS, *similar_names(name)})}")
    return protocol


def splits_of(protocol: str | Protocol, utterances: Sequence[Utterance]) -> list[Split]:
    """Divide ``utterances`` by a protocol, one `Split` a fold; their order doesn't matter.

    Raises
    ------
    CorpusError
        When speakers that the protocol names are missing, or utterances belong to no corpus of the protocol.
    SplitError
        When the data can't be divided so, for example because it has too few speakers.
    """
    chosen = protocol_called(protocol) if isinstance(protocol, str) else protocol
    rows = rows_of(chosen, utterances)
    _check_coverage(chosen, rows)
    scheme = scheme_called(chosen.scheme, (row.emotion for row in rows))
    classes = [scheme.class_of(row.emotion, row.corpus, row.native_emotion) or "" for row in rows]
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
        _log.warning("%s: %d of %d clips are not part of it", protocol.name, len(rows) - len(kept), len(rows))
    scheme = scheme_called(protocol.scheme, (row.emotion for row in kept))
    counts = count_labels(scheme, ((row.emotion, row.corpus, row.native_emotion) for row in kept))
    if counts.dropped or counts.merged:
        _log.info("%s: %s", protocol.name, counts.sentence())
    return [row for row in kept if scheme.class_of(row.emotion, row.corpus, row.native_emotion)]


def coverage_of(protocol: Protocol, rows: Sequence[Utterance]) -> Coverage:
    """Count how many of a protocol's clips and speakers are among ``rows``, which all belong to it."""
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
            raise CorpusError(f"{protocol.name} is defined on {needed}; got {count} utterances of '{corpus}'.")
    absent = [corpus for corpus in protocol.corpora if corpus not in present]
    if absent and not protocol.optional_corpora:
        raise CorpusError(f"{protocol.name} needs the corpus {', '.join(absent)}. Say where it is with --data.")


def _check_coverage(protocol: Protocol, rows: Sequence[Utterance]) -> None:
    coverage = coverage_of(protocol, rows)
    strange = sorted({row.speaker for row in rows} - set(protocol.speakers)) if protocol.speakers else []
    if strange:
        raise CorpusError(f"{protocol.name} knows no speaker '{strange[0]}'; its speakers are {protocol.speakers[0]} …")
    if coverage.missing_speakers or (protocol.exact and not coverage.complete):
        raise CorpusError(f"{coverage.sentence()}. Run: earnest corpus check")
    if not coverage.complete:
        _log.warning("%s. The corpus is incomplete; the result says so.", coverage.sentence())
