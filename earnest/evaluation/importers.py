"""Files of other systems' answers, and how to tell them apart."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from earnest.errors import CorpusError
from earnest.evaluation.answer_tables import Layout, read_table
from earnest.evaluation.answers import Answers
from earnest.evaluation.pipeline_output import read_pipeline_output
from earnest.evaluation.predictions import read_answers
from earnest.reading import opened

TARGETS = ("emotion", "label", "class_label")
NO_CLASSES = frozenset({"", "file", "start", "end", "speaker", "gender", "age", "duration", "database", *TARGETS})
PEEK = 1 << 16


def read_nkululeko(path: Path) -> Answers:
    """Read a result table of nkululeko, or any table in the manner of audformat: ``file``, ``start``, ``end``, …

    The answer is in ``predicted`` (then the columns before it, named as classes, are probabilities, and ``truth``, if
    there, is the truth), in ``predictions`` (then ``emotion`` is the truth) or, in tables without either, in
    ``emotion``. What else is there is not read.
    """
    return read_table(path, partial(_nkululeko_layout, path=path))


READERS: Mapping[str, Callable[[Path], Answers]] = {
    "earnest": read_answers,
    "huggingface": read_pipeline_output,
    "nkululeko": read_nkululeko,
}


def read_any(path: Path, form: str | None = None) -> Answers:
    """Read a file of answers; without ``form``, a key of `READERS`, its content says what it is."""
    return READERS[form or recognised(path)](path)


def recognised(path: Path) -> str:
    """Return what a file looks like: JSON is a pipeline's output, a table with a column ``file`` nkululeko's."""
    with opened(path, CorpusError) as file:
        start = file.read(PEEK).decode("utf-8-sig", errors="replace").lstrip()
    if start[:1] in ("[", "{"):
        return "huggingface"
    columns = [name.strip('"') for name in start.partition("\n")[0].rstrip("\r").split(",")]
    return "nkululeko" if "file" in columns else "earnest"


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
    columns |= {name: name for name in ("speaker", "gender", "start") if name in header}
    before = header[: header.index("predicted")] if answer == "predicted" else ()
    return Layout(columns, {name: name for name in before if name not in NO_CLASSES})
