"""Other people's words for emotions, turned into the classes that are scored."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from earnest.corpora.tables import SYNONYMS
from earnest.errors import CorpusError
from earnest.evaluation.answers import SUM_TOLERANCE, Answers
from earnest.evaluation.prediction_table import Probabilities, TextColumn, different, text_column
from earnest.labels import EMOTIONS, Scheme
from earnest.suggest import suggestion


@dataclass(frozen=True)
class Wording:
    """How labels are read.

    Attributes
    ----------
    words : their label → ours; ours is a canonical emotion or a class of the scheme
    scheme : folds emotions into classes; without one each is its own class
    canonical : labels that are no emotion's name are refused; otherwise they are classes as they are
    """

    words: Mapping[str, str] = field(default_factory=dict)
    scheme: Scheme | None = None
    canonical: bool = False

    def class_of(self, label: str, source: object) -> str | None:
        """Return the class of a label of ``source``; None when the scheme drops it."""
        name = self.words.get(label, label)
        if self.scheme is not None and name in self.scheme.classes:
            return name
        if not self.canonical and self.scheme is None:
            return name
        emotion = name if name in EMOTIONS else SYNONYMS.get(name.lower(), name.lower())
        if emotion not in EMOTIONS:
            known = {*EMOTIONS, *(self.scheme.classes if self.scheme else ())}
            raise CorpusError(f"{source}: what is '{label}'? Say --map {label}=EMOTION.{suggestion(name, known)}")
        return emotion if self.scheme is None else self.scheme.class_of(emotion)


@dataclass(frozen=True)
class Relabelled:
    """Answers whose labels are classes.

    Attributes
    ----------
    n_dropped : rows left out because the scheme drops their true label
    is_outside : whether the scheme drops the label answered, shape (rows,); it counts as none, and so as wrong
    """

    answers: Answers
    n_dropped: int
    is_outside: npt.NDArray[np.bool_]


def relabelled(answers: Answers, wording: Wording) -> Relabelled:
    """Turn labels into classes; probabilities of labels of the same class are added.

    A row that gives probability to what the scheme drops keeps its answer and loses its probabilities.
    """
    _check_used(answers, wording)

    def class_of(label: str) -> str:
        return wording.class_of(label, answers.source) or ""

    emotion = None if answers.emotion is None else _mapped(answers.emotion, class_of)
    predicted = _mapped(answers.predicted, lambda label: class_of(label) if label else "")
    is_outside = (answers.predicted != "") & (predicted == "")
    labels = tuple(dict.fromkeys(filter(None, map(class_of, answers.labels))))
    if wording.scheme is not None and answers.labels:
        labels = wording.scheme.classes
    changed = replace(
        answers,
        emotion=emotion,
        predicted=predicted,
        labels=labels,
        probabilities=_folded(answers, list(map(class_of, answers.labels)), labels),
    )
    if emotion is None:
        return Relabelled(changed, 0, is_outside)
    kept = np.flatnonzero(emotion != "")
    if not len(kept):
        raise CorpusError(f"{answers.source}: no true label there is in the scheme.")
    return Relabelled(changed.take(kept), len(answers) - len(kept), is_outside[kept])


def in_order_of(answers: Answers, classes: Sequence[str]) -> Probabilities | None:
    """Return the probabilities, shape (rows, classes), of classes that hold all labels; 0 for those without one."""
    return _folded(answers, list(answers.labels), classes)


def _mapped(column: TextColumn, class_of: Callable[[str], str]) -> TextColumn:
    """Replace each text."""
    mapped = {text: class_of(text) for text in different(column)}
    return text_column(mapped[text] for text in column)


def _folded(answers: Answers, targets: Sequence[str], classes: Sequence[str]) -> Probabilities | None:
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


def _check_used(answers: Answers, wording: Wording) -> None:
    """Refuse a word of --map that the file doesn't hold: it is a slip of the pen."""
    true = () if answers.emotion is None else answers.emotion
    found = {*answers.predicted, *answers.labels, *true} - {""}
    for word in wording.words:
        if word not in found:
            raise CorpusError(f"{answers.source}: no label '{word}' there, as --map says.{suggestion(word, found)}")
