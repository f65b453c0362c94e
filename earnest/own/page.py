"""The page about a model of one's own: what every report holds, the checks, and a map of the embeddings."""

from collections import Counter
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earnest.errors import counted
from earnest.evaluation.texts import shown_number
from earnest.files.reading import real_path
from earnest.learning.discriminant import standardised
from earnest.own.bundle import CLASS_COLUMNS, CLASS_NAMES, PAGE, Learned
from earnest.own.recordings import OwnEmbeddings
from earnest.plots.recordings import draw_map
from earnest.plots.style import new_figure
from earnest.report.build import Chapter, Report, laid_out, write_report
from earnest.report.result import read_result
from earnest.report.section import Places, Section, Table, picture
from earnest.report.sections import (
    calibration_section,
    classes_section,
    confusion_section,
    groups_section,
    headline_notes,
    headline_table,
)

MOST_REFUSED = 50
MOST_POINTS = 400  # t-SNE's time grows with their square
FEWEST_POINTS = 8


def write_page(folder: Path, learned: Learned, own: OwnEmbeddings, seed: int) -> Path:
    """Write ``report.html`` into a folder that is `staged`, with its pictures in a folder beside; return the page.

    Raises `MissingExtraError` where what draws is not installed.
    """
    new_figure(1, 1)
    result = replace(read_result(folder), name=real_path(learned.path).name)
    sections = [
        _summary(learned),
        _refused(learned),
        _map(own, seed),
        confusion_section(result),
        classes_section(result),
        calibration_section(result),
        groups_section(result, {(row.corpus, row.utterance_id): row for row in own.rows}),
    ]
    page = folder / PAGE
    write_report(Report(headline_table([result]), None, headline_notes([result]), [Chapter(result, sections)]), page)
    return page


def _summary(learned: Learned) -> Section:
    tables = {
        "Cross-validation": Table(("", "value"), learned.rows(), words=2),
        "Classes, out of fold": Table(CLASS_COLUMNS, learned.class_rows(), names=CLASS_NAMES),
    }
    lead = [*learned.warnings, *(f"What would help: {one}" for one in learned.advice)]
    return Section("own", "What was learnt", lead, tables=tables)


def _refused(learned: Learned) -> Section:
    if not learned.refused:
        return Section("refused", "Recordings left out", ["None: all could be used."])
    counts = Counter(one.kind for one in learned.refused)
    lead = [f"{len(learned.refused)} could not be used; the reasons, most frequent first."]
    rows = [[reason, shown_number(n)] for reason, n in counts.most_common(20)]
    places = Places(one.where for one in learned.refused)
    some = [[places.shown(one.where), places.shown(one.reason)] for one in learned.refused[:MOST_REFUSED]]
    which = "Each" if len(some) == len(learned.refused) else f"The first {MOST_REFUSED}"
    tables = {"Reasons": Table(("reason", "n"), rows), which: Table(("recording", "reason"), some, words=2)}
    return Section("refused", "Recordings left out", lead, tables=tables)


def _map(own: OwnEmbeddings, seed: int) -> Section:
    title = "Map of the recordings"
    if len(own.rows) < FEWEST_POINTS:
        return Section("map", title, missing=f"{counted(len(own.rows), 'recording')}: too few for a map.")
    chosen = np.random.default_rng(seed).permutation(len(own.rows))[:MOST_POINTS]
    some = own.take(sorted(chosen.tolist()))
    embeddings = some.embeddings.astype(np.float64)
    labels = [row.native_emotion for row in some.rows]
    colourings = {"by label": labels}
    if some.knows_speakers:
        colourings["by speaker"] = [row.speaker for row in some.rows]
    if find_spec("sklearn"):
        places, way = laid_out(embeddings, seed), f"t-SNE (seed {seed})"
    else:
        places, way = principal_places(embeddings), "the two largest principal components (t-SNE needs scikit-learn)"
    lead = (
        f"What the model hears in {len(labels)} of {len(own.rows)} recordings, laid out by {way}: those that it finds "
        "alike lie together. Labels that form no group of their own are hard to learn; groups of speakers say that "
        "voices differ more than labels.",
    )
    alt = f"Map of {len(labels)} recordings, coloured {' and '.join(colourings)}"
    drawing = picture(draw_map(places, colourings), "map", f"Embeddings by {way}", alt)
    return Section("map", title, lead, [drawing])


def principal_places(embeddings: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the first two principal components of standardised embeddings (rows, width), shape (rows, 2)."""
    scaled = standardised(embeddings)[0]
    variances, rows = np.linalg.eigh(scaled @ scaled.T)
    return np.asarray(rows[:, -2:][:, ::-1] * np.sqrt(np.maximum(variances[-2:][::-1], 0)))
