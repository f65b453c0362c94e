"""Files of other systems' answers, and how to tell them apart."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from earnest.errors import CorpusError, EarnestError
from earnest.evaluation.answers import (
    GENDER_CELLS,
    MOST_LABELS,
    SUM_TOLERANCE,
    Layout,
    SystemAnswers,
    excerpt,
    of_objects,
    once_each,
    read_table,
    text_column,
    who_speaks,
)
from earnest.evaluation.predictions import layout_of, read_answers
from earnest.files.reading import opened, parsed_json, read_text
from earnest.files.tables import delimiter_of, is_parquet, is_separator_line, parquet_columns, text_of
from earnest.labels import AFFECT, composed

NAME_KEYS = ("path", "file", "filename", "file_name", "audio", "wav", "utterance_id", "id", "key")
_JSON = ("[", "{")
_BY_NAME = {"probabilities": "p_", "gender": "gender_", "affect": ""}  # of JSON rows → how columns of tables begin
_OF_PREDICT = frozenset({"path", "status", "emotion"})
_OF_NKULULEKO = frozenset({"start", "end", "uncertainty", "correct"})
SPANS = "spans"  # what `recognised` says of a table of `earnest timeline`
_OF_SPANS = frozenset({"path", "start_s", "end_s", "emotion", "confidence"})
ANSWER_KEYS = ("predictions", "prediction", "results", "result", "outputs", "output", "scores", "probabilities")


class _Entry(NamedTuple):
    name: str
    scores: Mapping[str, float]
    number: int

    @property
    def answer(self) -> str:
        return max(self.scores, key=self.scores.__getitem__, default="")


def read_pipeline_output(path: Path) -> SystemAnswers:
    """Read names and answers; the answer is the label of the highest score, where no other one is told.

    Objects with an answer of their own, as those of `earnest predict`, are read as a table of such rows.

    Scores become probabilities where they sum to 1, labels that are left out being 0. Others (of ``top_k``, or
    logits) are left out, and the label alone counts.

    Raises `CorpusError` for what is wrong, with its line or the number of its entry.
    """
    values, unit = _values(path)
    if values and all(isinstance(value, dict) and _is_row(value) for _, _, value in values):
        objects = [(number, _cells(value, where)) for where, number, value in values]
        return of_objects(path, objects, partial(_recognised_layout, path=path), unit)
    entries = [entry for where, number, value in values for entry in _of_value(value, where, number)]
    if not entries:
        raise CorpusError(f"{path}: it holds no predictions.")
    labels = tuple(dict.fromkeys(label for entry in entries for label in entry.scores))
    if len(labels) > MOST_LABELS:
        raise CorpusError(f"{path}: {len(labels)} different labels; at most {MOST_LABELS} can be scored.")
    place = {label: index for index, label in enumerate(labels)}
    probabilities = np.full((len(entries), len(labels)), np.nan, dtype=np.float32)
    for row, entry in enumerate(entries):
        if _are_probabilities(entry.scores):
            probabilities[row] = 0
            probabilities[row, [place[label] for label in entry.scores]] = list(entry.scores.values())
    some = not np.isnan(probabilities).all()
    answers = SystemAnswers(
        source=path,
        name=text_column(entry.name for entry in entries),
        line=np.array([entry.number for entry in entries], dtype=np.int64),
        predicted=text_column(entry.answer for entry in entries),
        labels=labels if some else (),
        probabilities=probabilities if some else None,
        unit=unit,
    )
    return once_each(answers)


def _are_probabilities(scores: Mapping[str, float]) -> bool:
    values = scores.values()
    return bool(scores) and min(values) >= 0 and abs(math.fsum(values) - 1) <= SUM_TOLERANCE


def _values(path: Path) -> tuple[list[tuple[str, int, Any]], str]:
    """Return where each value stands, its number and itself; and what the numbers count: lines or entries."""
    text = read_text(path, CorpusError, what="answers")
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if len(lines) > 1 and _is_complete(lines[0][1]):
        return [(f"{path}:{number}", number, _parsed(line, f"{path}:{number}")) for number, line in lines], "line"
    value = _parsed(text, str(path))
    if isinstance(value, list) and not (value and all(map(_is_score, value))):
        return [(f"{path}, entry {number}", number, item) for number, item in enumerate(value, 1)], "entry"
    return [(str(path), 1, value)], "entry"


def _is_row(value: Mapping[str, Any]) -> bool:
    """Whether an object is a row of a table, which tells the answer itself."""
    return value.keys() >= _OF_PREDICT or isinstance(value.get("predicted"), str)


def _cells(value: Mapping[str, Any], where: str) -> dict[str, str]:
    """Return the cells of a row; what `earnest predict` tells by names becomes columns as in its tables."""
    if not isinstance(value.get("emotion"), str | None):
        raise CorpusError(f"{where}: 'emotion' is a text, or null for no answer, got {excerpt(str(value['emotion']))}.")
    named = {key: value[key] for key in _BY_NAME if isinstance(value.get(key), dict | None) and key in value}
    cells = {name: cell for name, cell in value.items() if name not in named}
    if "path" in value:
        cells["path"] = _name(value["path"], where)
    for key, numbers in named.items():
        cells |= {f"{_BY_NAME[key]}{name}": number for name, number in (numbers or {}).items()}
    scalars = ((name, cell) for name, cell in cells.items() if isinstance(cell, str | int | float | None))
    return {_sound(name, where): _sound(_cell_text(cell), where) for name, cell in scalars}


def _cell_text(cell: str | float | None) -> str:
    return str(cell).lower() if isinstance(cell, bool) else text_of(cell)


def _is_complete(line: str) -> bool:
    try:
        parsed_json(line, "")
    except EarnestError:
        return False
    return True


def _parsed(text: str, where: str) -> Any:
    return parsed_json(text, where, CorpusError, constants=_refuse_constant)


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is no number")


def _of_value(value: Any, where: str, number: int) -> Iterator[_Entry]:
    """Read one entry, or a mapping of several."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str):
        yield _Entry(_name(value[0], where), _scores(value[1], where), number)
    elif not isinstance(value, dict) or _is_score(value):
        raise CorpusError(f'{where}: which file is it? Expected {{"file": …, "predictions": [{{"label", "score"}}]}}.')
    elif key := next((key for key in NAME_KEYS if key in value), None):
        yield _Entry(_name(value[key], where), _scores(_answer_in(value, where), where), number)
    else:
        for count, (name, answer) in enumerate(value.items(), number):
            yield _Entry(_name(name, where), _scores(answer, f"{where}, '{excerpt(name)}'"), count)


def _is_score(value: Any) -> bool:
    return isinstance(value, dict) and "label" in value and not any(key in value for key in NAME_KEYS)


def _answer_in(entry: Mapping[str, Any], where: str) -> Any:
    key = next((key for key in ANSWER_KEYS if key in entry), None)
    if key is not None:
        return entry[key]
    if "label" in entry:
        return [entry]
    raise CorpusError(f'{where}: no answer there. Expected \'predictions\', a list of {{"label", "score"}}.')


def _name(value: Any, where: str) -> str:
    if isinstance(value, dict):  # as the package datasets describes audio
        value = value.get("path")
    if not isinstance(value, str) or not value:
        raise CorpusError(f"{where}: the name of the file must be a text.")
    return _sound(value, where)


def _sound(text: str, where: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise CorpusError(f"{where}: half a character in '{excerpt(text)}'.") from None
    return text


def _scores(answer: Any, where: str) -> dict[str, float]:
    """Return label → score; nothing for no answer."""
    if answer is None:
        return {}
    if isinstance(answer, list) and len(answer) == 1 and isinstance(answer[0], list):
        answer = answer[0]
    if isinstance(answer, dict) and "label" not in answer:
        answer = [{"label": label, "score": score} for label, score in answer.items()]
    scores: dict[str, float] = {}
    for item in answer if isinstance(answer, list) else [answer]:
        if not isinstance(item, dict) or not isinstance(item.get("label"), str) or not item["label"].strip():
            raise CorpusError(f'{where}: expected {{"label": a text, "score": a number}}, got {excerpt(str(item))}.')
        label = composed(_sound(item["label"], where).strip())
        if label in scores:
            raise CorpusError(f"{where}: the label '{excerpt(label)}' is there twice.")
        scores[label] = _finite(item.get("score", 1.0), f"{where}, label '{excerpt(label)}'")
    return scores


def _finite(value: Any, where: str) -> float:
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:
        number = math.nan
    if not math.isfinite(number):
        raise CorpusError(f"{where}: expected a number for the score, got {excerpt(str(value))}.")
    return number


TARGETS = ("emotion", "label", "class_label")
NO_CLASSES = frozenset({"", "file", "start", "end", "age", "duration", "database", "truth", *TARGETS})
PEEK = 1 << 16


def read_nkululeko(path: Path) -> SystemAnswers:
    """Read a result table of nkululeko, or any table in the manner of audformat: ``file``, ``start``, ``end``, …

    The answer is in ``predicted`` (then the columns before it, named as classes, are probabilities, and ``truth``, if
    there, is the truth), in ``predictions`` (then ``emotion`` is the truth) or, in tables without either, in
    ``emotion``. What else is there is not read.
    """
    return read_table(path, partial(_nkululeko_layout, path=path))


def read_predict(path: Path) -> SystemAnswers:
    """Read the output of `earnest predict`, table or JSON lines: a row without an emotion ("unsure", an error) is none.

    The truth is in the column ``truth``, where somebody added one. Valence, arousal, dominance and the likelier of
    ``gender_female`` and ``gender_male`` are answers; ratings and genders come from a corpus.
    """
    if _start_of(path)[:1] in _JSON:
        return read_pipeline_output(path)
    return read_table(path, partial(_predict_layout, path=path))


def _start_of(path: Path) -> str:
    with opened(path, CorpusError) as file:
        return file.read(PEEK).decode("utf-8-sig", errors="replace").lstrip()


READERS: Mapping[str, Callable[[Path], SystemAnswers]] = {
    "earnest": read_answers,
    "huggingface": read_pipeline_output,
    "nkululeko": read_nkululeko,
    "predict": read_predict,
}


def read_any(path: Path, form: str | None = None) -> SystemAnswers:
    """Read a file of answers; without ``form``, a key of `READERS`, its content says what it is."""
    if form:
        return READERS[form](path)
    if _start_of(path)[:1] in _JSON:
        _refuse_spans(recognised(path), path)
        return read_pipeline_output(path)
    return read_table(path, partial(_recognised_layout, path=path))


def _recognised_layout(header: list[str], path: Path) -> Layout:
    """Return the layout of a table by its header."""
    form = _form_of(header)
    _refuse_spans(form, path)
    return {"nkululeko": _nkululeko_layout, "predict": _predict_layout}.get(form, layout_of)(header, path=path)


def _refuse_spans(form: str, path: Path) -> None:
    if form == SPANS:
        told = "holds spans of earnest timeline. Whole recordings are scored"
        raise CorpusError(f"{path}: {told}: earnest predict … --output answers.csv.")


def recognised(path: Path) -> str:
    """Recognise the form of a file.

    A table with a column ``file``, and others of nkululeko's or no ``predicted``, is nkululeko's; with ``path`` and
    ``status`` it is that of `earnest predict`, with spans that of `earnest timeline`, and so are JSON lines. Other JSON
    is a pipeline's output.
    """
    columns, is_json = _columns_of(path)
    return _form_of(columns, is_json)


def _form_of(columns: Collection[str], is_json: bool = False) -> str:
    if "file" in columns and not is_json and ("predicted" not in columns or not _OF_NKULULEKO.isdisjoint(columns)):
        return "nkululeko"
    if set(columns) >= _OF_PREDICT:
        return "predict"
    return SPANS if set(columns) >= _OF_SPANS else "huggingface" if is_json else "earnest"


def _columns_of(path: Path) -> tuple[Collection[str], bool]:
    """Return the columns of a table, or the keys of the first line of JSON, and whether it is JSON."""
    if is_parquet(path):
        return parquet_columns(path), False
    start = _start_of(path)
    first, _, rest = start.partition("\n")
    if start[:1] in _JSON:
        return _keys(first), True
    header = (rest.partition("\n")[0] if is_separator_line(first) else first).rstrip("\r")
    return [word.strip(' "') for word in header.split(delimiter_of(first, path.name))], False


def _keys(line: str) -> Collection[str]:
    """Return the keys of the object that a line of JSON is; none where it is another value, or goes on."""
    try:
        value = parsed_json(line, "")
    except EarnestError:
        return ()
    return value if isinstance(value, dict) else ()


def _predict_layout(header: Sequence[str], path: Path) -> Layout:
    if missing := sorted(_OF_PREDICT - set(header)):
        raise CorpusError(f"{path}:1: the column '{missing[0]}' is missing. Is it of earnest predict --output?")
    columns = {"name": "path", "predicted": "emotion"}
    more = {"emotion": "truth", "affect_derived": "affect_derived", "model": "model"}
    more |= {f"predicted_{name}": name for name in AFFECT} | {name: name for name in GENDER_CELLS}
    columns |= {ours: name for ours, name in more.items() if name in header} | who_speaks(header)
    probabilities = {composed(name.removeprefix("p_")): name for name in header if name.startswith("p_")}
    return Layout(columns, probabilities, is_marked=True)


def _nkululeko_layout(header: Sequence[str], path: Path) -> Layout:
    name, count = Counter(header).most_common(1)[0] if header else ("", 0)
    if count > 1:
        raise CorpusError(f"{path}:1: the column '{name}' is there twice.")
    if "file" not in header:
        raise CorpusError(f"{path}:1: the column 'file' is missing.")
    target = next((name for name in TARGETS if name in header), None)
    answer = next((name for name in ("predicted", "predictions") if name in header), target)
    if answer is None:
        raise CorpusError(f"{path}:1: the column 'predicted' is missing.")
    truth = "truth" if "truth" in header else target
    columns = {"name": "file", "predicted": answer}
    if truth is not None and truth != answer:
        columns["emotion"] = truth
    speaks = who_speaks(header)
    columns |= speaks | {name: name for name in ("start",) if name in header}
    others = NO_CLASSES.union(speaks.values())
    before = header[: header.index("predicted")] if answer == "predicted" else ()
    return Layout(columns, {composed(name): name for name in before if name not in others})
