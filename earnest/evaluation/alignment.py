"""Alignment of predictions with a manifest: label mapping, what was true, who spoke, what nobody answered."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from earnest.audio.source import recording_and_start
from earnest.corpora.manifest import AUDIO_SUFFIXES, Utterance
from earnest.errors import CorpusError, named, printable, suggestion
from earnest.evaluation.answers import (
    SUM_TOLERANCE,
    Probabilities,
    SystemAnswers,
    TextColumn,
    different,
    excerpt,
    map_words,
    numbered,
    same_text,
    text_column,
    twins,
)
from earnest.evaluation.predictions import Predictions, identified, rated
from earnest.files.tables import number_in
from earnest.labels import EMOTIONS, SYNONYMS, Scheme, composed, in_canonical_order


@dataclass(frozen=True)
class LabelMapping:
    """A mapping of labels to emotions.

    Attributes
    ----------
    words : their label → ours; ours is a canonical emotion or a class of the scheme
    scheme : folds emotions into classes; without one each is its own class
    canonical : labels that are no emotion's name are refused; otherwise they are classes as they are
    """

    words: Mapping[str, str] = field(default_factory=dict)
    scheme: Scheme | None = None
    canonical: bool = False

    def class_of(self, label: str) -> str | None:
        """Return the class of a label that `check_known` let pass; None when the scheme drops it."""
        name = self.words.get(label, label)
        if self._is_class(name):
            return name
        emotion = _emotion_of(name)
        return emotion if self.scheme is None else self.scheme.class_of(emotion)

    def check_known(self, labels: Iterable[str], source: object) -> None:
        """Raise `CorpusError` for labels of ``source`` that are neither a class nor an emotion: all of them at once."""
        names = {label: self.words.get(label, label) for label in labels}
        unknown = [one for one, name in names.items() if not self._is_class(name) and _emotion_of(name) not in EMOTIONS]
        if not unknown:
            return
        classes = self.scheme.classes if self.scheme else ()
        meant = dict(twins(unknown, classes))
        pairs = [(label, meant.get(label, "EMOTION")) for label in unknown]
        what = f"the label '{excerpt(unknown[0])}' is" if len(unknown) == 1 else f"{len(unknown)} labels are"
        near = suggestion(names[unknown[0]], {*EMOTIONS, *classes}) if len(unknown) == 1 and not meant else ""
        raise CorpusError(f"{source}: {what} unknown. Say {map_words(pairs)}.{near}")

    def _is_class(self, name: str) -> bool:
        """Whether a label is a class as it stands."""
        return not self.canonical if self.scheme is None else name in self.scheme.classes


def _emotion_of(name: str) -> str:
    """Return the canonical name of an emotion's common nouns and spellings, other words in small letters."""
    return name if name in EMOTIONS else SYNONYMS.get(name.lower(), name.lower())


@dataclass(frozen=True)
class Relabelled:
    """Answers whose labels are classes.

    Attributes
    ----------
    n_dropped : rows left out because the scheme drops their true label
    is_outside : whether the scheme drops the label answered, shape (rows,); it counts as none, and so as wrong
    outside : these labels, once each, sorted
    """

    answers: SystemAnswers
    n_dropped: int
    is_outside: npt.NDArray[np.bool_]
    outside: tuple[str, ...] = ()


def relabelled(answers: SystemAnswers, label_mapping: LabelMapping) -> Relabelled:
    """Turn labels into classes; probabilities of labels of the same class are added.

    A row that gives probability to what the scheme drops keeps its answer and loses its probabilities.
    """
    _check_used(answers, label_mapping)
    true = () if answers.emotion is None else answers.emotion
    label_mapping.check_known(dict.fromkeys(filter(None, (*true, *answers.predicted, *answers.labels))), answers.source)

    def class_of(label: str) -> str:
        return label_mapping.class_of(label) or ""

    emotion = None if answers.emotion is None else _mapped(answers.emotion, class_of)
    predicted = _mapped(answers.predicted, lambda label: class_of(label) if label else "")
    is_outside = (answers.predicted != "") & (predicted == "")
    outside = tuple(sorted(set(answers.predicted[is_outside])))
    labels = tuple(dict.fromkeys(filter(None, map(class_of, answers.labels))))
    if label_mapping.scheme is not None and answers.labels:
        labels = label_mapping.scheme.classes
    changed = replace(
        answers,
        emotion=emotion,
        predicted=predicted,
        labels=labels,
        probabilities=_folded(answers, list(map(class_of, answers.labels)), labels),
    )
    if emotion is None:
        return Relabelled(changed, 0, is_outside, outside)
    kept = np.flatnonzero(emotion != "")
    if not len(kept):
        raise CorpusError(
            f"{answers.source}: none of its true labels is in the scheme. Choose another --scheme, or add --map."
        )
    return Relabelled(changed.take(kept), len(answers) - len(kept), is_outside[kept], outside)


def _mapped(column: TextColumn, class_of: Callable[[str], str]) -> TextColumn:
    """Replace each text."""
    mapped = {text: class_of(text) for text in different(column)}
    return text_column(mapped[text] for text in column)


def _folded(answers: SystemAnswers, targets: Sequence[str], classes: Sequence[str]) -> Probabilities | None:
    """Return the probabilities (rows, classes), added up where several labels have one target; 0 without one."""
    if answers.probabilities is None:
        return None
    folded = np.zeros((len(answers), len(classes)), dtype=np.float32)
    lost = np.zeros(len(answers), dtype=np.float32)
    for index, target in enumerate(targets):
        column = answers.probabilities[:, index]
        if target:
            folded[:, classes.index(target)] += column
        else:
            lost += column
    folded[~(lost <= SUM_TOLERANCE)] = np.nan  # NaN stays NaN
    return folded


def _check_used(answers: SystemAnswers, label_mapping: LabelMapping) -> None:
    """Refuse a word of --map that the file doesn't hold: it is a slip of the pen."""
    true = () if answers.emotion is None else answers.emotion
    found = {*answers.predicted, *answers.labels, *true} - {""}
    absent = {word: meant for word, meant in label_mapping.words.items() if word not in found}
    turned = [(meant, word) for word, meant in absent.items() if meant in found]
    if turned:
        raise CorpusError(
            f"{answers.source}: no label '{turned[0][1]}' there, but '{turned[0][0]}': --map takes the file's word "
            f"first. Say {map_words(turned)}."
        )
    for word in absent:
        raise CorpusError(f"{answers.source}: no label '{word}' there, as --map says.{suggestion(word, found)}")


NEAR_S = 0.01  # starts of the same part, written with other digits


@dataclass(frozen=True, eq=False)
class Joined:
    """Predictions whose truth is a manifest's: the answers in their order, then the utterances without any.

    Attributes
    ----------
    utterances : the manifest's row of each prediction
    kept : which rows of the file the first predictions are
    n_unanswered : utterances of the manifest that the file doesn't name
    n_unknown : rows of the file that name no utterance of the manifest, left out
    n_dropped : utterances of the manifest that aren't scored: ``left_out``, or their label is not in the scheme
    n_by_name : rows of the file that were found by the name of the file alone, in another folder than they say
    n_repeats : utterances of the manifest that aren't scored: another row says the same of the same recording
    """

    predictions: Predictions
    utterances: Sequence[Utterance]
    kept: npt.NDArray[np.int64]
    n_unanswered: int
    n_unknown: int
    n_dropped: int
    n_by_name: int = 0
    n_repeats: int = 0


def join(
    answers: SystemAnswers,
    utterances: Sequence[Utterance],
    scheme: Scheme | None = None,
    ignore_unknown: bool = False,
    left_out: Container[str] = (),
) -> Joined:
    """Look up each answer's utterance, by corpus and utterance_id, or by the name of its file.

    Raises `CorpusError` for an utterance that is not in the manifest, in doubt which of several, or answered twice in a
    fold; and for two utterances of the manifest with one name, or with two labels for one recording.

    Parameters
    ----------
    answers : with classes for labels, see `earnest.evaluation.alignment.relabelled`
    scheme : the classes of the truth; without one all emotions that occur in truth and answers
    left_out : keys of utterances that aren't scored, answered or not, see `earnest.corpora.load.usable`
    """
    _check_names(utterances)
    places = _places(answers, utterances)
    places[_are_namesakes(answers.name, utterances, places)] = -1
    unknown = np.flatnonzero(places < 0)
    if len(unknown) and not ignore_unknown:
        strange = named([f"'{excerpt(answers.name[row])}'" for row in unknown.tolist()])
        what = f"{len(unknown)} of {len(answers)} rows name no recording of the manifest: {strange}"
        raise CorpusError(f"{answers.place(int(unknown[0]))}: {what}. Say --ignore-unknown to leave them out.")
    _check_once(answers, places)
    truth = [_class_of(row, scheme) if row.key not in left_out else "" for row in utterances]
    is_kept = np.array([bool(name) for name in truth] + [False])  # the last one stands for place −1
    kept = np.flatnonzero(is_kept[places])
    answered = np.zeros(len(utterances), dtype=np.bool_)
    answered[places[kept]] = True
    unanswered = np.flatnonzero(is_kept[:-1] & ~answered)
    missing = _without_repeats(unanswered, np.flatnonzero(answered), utterances, truth)
    if len(kept) + len(missing) == 0:
        raise CorpusError(
            f"{answers.source}: no recording of the manifest has a label of the scheme. Choose another --scheme."
        )
    order = np.concatenate([places[kept], missing]).tolist()
    rows = [utterances[place] for place in order]
    predictions = _predictions(answers.take(kept), rows, [truth[place] for place in order], scheme)
    n_by_name = sum(map(_lies_elsewhere, answers.take(kept).name, rows))  # rows without an answer stand below
    n_repeats, n_dropped = len(unanswered) - len(missing), int((~is_kept[:-1]).sum())
    return Joined(predictions, rows, kept, len(missing), len(unknown), n_dropped, n_by_name, n_repeats)


def _without_repeats(
    missing: npt.NDArray[np.int64],
    answered: npt.NDArray[np.int64],
    utterances: Sequence[Utterance],
    truth: Sequence[str],
) -> npt.NDArray[np.int64]:
    """Leave out the missing rows that say what another row says of the same recording or part: it counts once.

    Raises `CorpusError` where they say another label of it: nobody knows which one is true.
    """

    def part(place: int) -> tuple[Path, float, float | None, str]:
        row = utterances[place]
        return row.path, row.start_s, row.end_s, row.speaker

    first_of = {part(place): place for place in answered.tolist()}
    for place in missing.tolist():
        first = first_of.setdefault(part(place), place)
        if truth[place] != truth[first]:
            labels = " and ".join(f"{truth[one]} ('{excerpt(utterances[one].utterance_id)}')" for one in (first, place))
            told = f"{printable(str(utterances[place].path))}: two rows of the manifest label it, {labels}"
            raise CorpusError(f"{told}. Keep one row of each recording, such as with the label of most raters.")
    return np.array([place for place in missing.tolist() if first_of[part(place)] == place], dtype=np.int64)


def _are_namesakes(
    names: TextColumn, utterances: Sequence[Utterance], places: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Mark rows that name another folder than their recording's, beside another path that fits it.

    Files of several folders often have the same names: they are other recordings, not the same one twice.
    """
    paths: dict[int, set[str]] = {}
    for name, place in zip(names, places.tolist(), strict=True):
        if place >= 0 and _folders(name):
            paths.setdefault(place, set()).add(name)
    return np.array(
        [
            len(paths.get(place, ())) > 1 and _lies_elsewhere(name, utterances[place])
            for name, place in zip(names, places.tolist(), strict=True)
        ],
        np.bool_,
    )


def _folders(name: str) -> tuple[str, ...]:
    return PurePosixPath(composed(name).replace("\\", "/")).parts[:-1]


def _lies_elsewhere(name: str, row: Utterance) -> bool:
    """Whether a path names another folder than that of the recording, as far as both name folders.

    Of the recording it is those of its utterance_id, where that is the end of its path, or else the last folder.
    """
    if composed(name) in map(composed, (row.utterance_id, row.key)):
        return False
    folders, inner = _folders(name), _folders(row.utterance_id)
    own = _folders(str(row.path))
    own = own[-len(inner) :] if inner and own[-len(inner) :] == inner else own[-1:]
    n_told = min(len(folders), len(own))
    return folders[len(folders) - n_told :] != own[len(own) - n_told :]


def _class_of(row: Utterance, scheme: Scheme | None) -> str:
    return row.emotion if scheme is None else scheme.class_of(*row.labels) or ""


def _predictions(
    answers: SystemAnswers, rows: Sequence[Utterance], truth: Sequence[str], scheme: Scheme | None
) -> Predictions:
    """Put truth beside answers, and rows without an answer below; ``rows`` and ``truth`` are of both."""
    n_missing = len(rows) - len(answers)
    classes = scheme.classes if scheme else in_canonical_order({*truth, *answers.classes()})
    # In which fold the missing ones should have been answered is not known.
    fold = same_text("", len(rows)) if n_missing else answers.text("fold")
    return Predictions(
        classes=classes,
        fold=fold,
        emotion=numbered(truth, classes),
        predicted=np.concatenate([numbered(answers.predicted, classes), np.full(n_missing, -1)]),
        probabilities=_extended(_folded(answers, answers.labels, classes), n_missing),
        adapted=None if answers.adapted is None else np.concatenate([answers.adapted, np.zeros(n_missing, np.bool_)]),
        predicted_gender=None
        if answers.predicted_gender is None
        else np.concatenate([answers.predicted_gender, same_text("", n_missing)]),
        predicted_affect=_extended(answers.predicted_affect, n_missing),
        **identified(rows),
        **rated(rows),
    )


def _extended(array: npt.NDArray[np.float32] | None, n_missing: int) -> npt.NDArray[np.float32] | None:
    if array is None:
        return None
    return np.concatenate([array, np.full((n_missing, array.shape[1]), np.nan, dtype=np.float32)])


def _check_names(utterances: Sequence[Utterance]) -> None:
    """Refuse two rows of one name: both would be scored, and none of their answers could be told from the other's."""
    seen: dict[str, Utterance] = {}
    for row in utterances:
        if (first := seen.setdefault(row.key, row)) is not row:
            raise CorpusError(
                f"The manifest has the utterance_id '{excerpt(row.key.removeprefix('/'))}' twice: {first.path} and "
                f"{row.path}. Give each recording one row, with an utterance_id of its own."
            )


def _check_once(answers: SystemAnswers, places: npt.NDArray[np.int64]) -> None:
    """Refuse two rows of the same fold about one utterance, such as "a" and "folder/a.wav"."""
    seen: dict[tuple[int, str], int] = {}
    for row, key in enumerate(zip(places.tolist(), answers.text("fold"), strict=True)):
        first = seen.setdefault(key, row)
        if first != row and key[0] >= 0:
            same = f"'{excerpt(answers.name[row])}' and '{excerpt(answers.name[first])}' are the same recording"
            raise CorpusError(f"{answers.place(row)}: {same}, answered twice in one fold.")


def _places(answers: SystemAnswers, utterances: Sequence[Utterance]) -> npt.NDArray[np.int64]:
    """Return the row of the manifest of each answer, shape (rows,), −1 for none."""
    index = _Index(utterances)
    starts = answers.text("start")
    seconds = {text: number_in(text, f"{answers.source}: start") if text else None for text in different(starts)}
    rows = zip(answers.name, answers.text("corpus"), starts, strict=True)
    places = np.empty(len(answers), dtype=np.int64)
    for row, (name, corpus, start) in enumerate(rows):
        is_known = start or composed(name) in index.by_id
        recording, start_s = (name, seconds[start]) if is_known else recording_and_start(name)
        found = index.find(recording, corpus, start_s)
        if len(found) > 1 and all(_lies_elsewhere(name, utterances[place]) for place in found):
            found = []  # the name of a file alone tells nothing where several folders have it
        if len(found) > 1:
            keys = " and ".join(f"'{utterances[place].key}'" for place in found[:2])
            raise CorpusError(
                f"{answers.place(row)}: '{excerpt(name)}' fits several recordings: {keys}. Write the path, or the "
                "corpus."
            )
        places[row] = found[0] if found else -1
    return places


class _Index:
    """Finds utterances by name."""

    def __init__(self, utterances: Sequence[Utterance]) -> None:
        self.utterances = utterances
        self.by_id: dict[str, list[int]] = {}
        self.by_stem: dict[str, list[int]] = {}
        for place, row in enumerate(utterances):
            self.by_id.setdefault(composed(row.utterance_id), []).append(place)
            if row.corpus:
                self.by_id.setdefault(composed(row.key), []).append(place)
            self.by_stem.setdefault(_stem(row.path.name), []).append(place)

    def find(self, name: str, corpus: str, start_s: float | None) -> list[int]:
        """Return the rows that may be meant."""
        found = self.by_id.get(composed(name)) or self.by_stem.get(_stem(name), [])
        if corpus:
            found = [place for place in found if composed(self.utterances[place].corpus) in (composed(corpus), "")]
        if len(found) > 1:
            found = self._with_nearest_path(found, name)
        if len(found) > 1 and start_s is not None:
            found = [place for place in found if abs(self.utterances[place].start_s - start_s) <= NEAR_S]
        return found

    def _with_nearest_path(self, places: Sequence[int], name: str) -> list[int]:
        """Return the places whose paths share the most folders with ``name``, from the end."""
        wanted = _folders(name)[::-1]
        shared = []
        for place in places:
            own = _folders(str(self.utterances[place].path))[::-1]
            different = (index for index, pair in enumerate(zip(wanted, own, strict=False)) if pair[0] != pair[1])
            shared.append(next(different, min(len(wanted), len(own))))
        return [place for place, count in zip(places, shared, strict=True) if count == max(shared)]


def _stem(name: str) -> str:
    """Return a file's name without folder and suffix; other dots stay."""
    base = composed(name).replace("\\", "/").rpartition("/")[2]
    stem, dot, suffix = base.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in AUDIO_SUFFIXES else base
