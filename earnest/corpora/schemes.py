"""Classes of recordings: a label scheme over rows, the words of own recordings among them."""

from collections.abc import Iterable

from earnest.corpora.base import CORPORA
from earnest.corpora.manifest import Utterance
from earnest.labels import EMOTIONS, Scheme, scheme_called


def scheme_of_rows(name: str, rows: Iterable[Utterance]) -> Scheme:
    """Return a scheme by name; "native" has as classes whatever the rows say.

    These are canonical emotions, in canonical order, and behind them the words of own recordings that are none, in
    that of the alphabet. Own recordings are those of no registered corpus; what a corpus' reader calls "other" stays
    one class.

    Raises
    ------
    RecipeError
        For an unknown name, with the nearest right one.
    """
    if name != "native":
        return scheme_called(name)
    registered, words = set(CORPORA.names()), {}
    emotions = set()
    for row in rows:
        if row.emotion == "other" and row.native_emotion and row.corpus not in registered:
            words[row.corpus, row.native_emotion] = row.native_emotion
        else:
            emotions.add(row.emotion)
    found = set(words.values()) - set(EMOTIONS)
    classes = (*(emotion for emotion in EMOTIONS if emotion in emotions | set(words.values())), *sorted(found))
    return Scheme("native", classes, native=dict(words))
