"""From results to a report: all sections, one page, pictures, JSON and Markdown.

Some sections need a trained network and recordings: attention over log-mels, and a map of embeddings.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from earnest.bundle import BEGUN
from earnest.errors import EarnestError, counted, in_percent
from earnest.evaluation.predictions import Predictions
from earnest.export.card import begun_in
from earnest.files.writing import write_atomically, write_json
from earnest.installation import install_command
from earnest.learning.discriminant import standardised
from earnest.plots.recordings import draw_attention_panels, draw_map
from earnest.report.clips import PlayerBudget, Recordings, examples_section, recordings_of, worst_section
from earnest.report.result import FoldRun, Result
from earnest.report.section import Places, Section, Table, picture, render, write_pictures
from earnest.report.sections import (
    calibration_section,
    classes_section,
    confusion_section,
    gender_and_affect_section,
    groups_section,
    headline_notes,
    headline_table,
    history_section,
    leakage_section,
    noise_section,
    published_table,
)

if TYPE_CHECKING:
    from earnest.training.explain import Inside

MOST_CLIPS = 300
FEWEST_CLIPS = 10  # t-SNE of fewer says nothing
Floats = npt.NDArray[np.floating]


def inside_sections(result: Result, recordings: Recordings, seed: int = 0) -> list[Section]:
    """Return the sections on attention and embeddings, of the first fold's network and its test utterances."""
    missing = _why_not(result, recordings)
    if missing:
        return [Section("inside", "Attention and embeddings", missing=missing)]
    run = result.runs[0]
    in_fold = run.name in result.predictions.folds  # a lone run may be called otherwise
    tested = result.predictions.of_fold(run.name) if in_fold else result.predictions
    at_hand = np.flatnonzero([key in recordings.rows for key in tested.identities])
    chosen = tested.take(np.sort(np.random.default_rng(seed).permutation(at_hand)[:MOST_CLIPS]))
    try:
        from earnest.training.explain import look_inside

        seen = look_inside(run.folder, [recordings.rows[key] for key in chosen.identities])
    except (EarnestError, ImportError) as error:
        return [Section("inside", "Attention and embeddings", missing=f"The network can't be run here: {error}")]
    return [_attention(run, chosen, seen), _embeddings(run, chosen, seen, seed)]


def _why_not(result: Result, recordings: Recordings) -> str:
    if not result.runs:
        return "There is no trained network beside the predictions, so nothing can be said about what happens inside."
    if not any(key in recordings.rows for key in result.predictions.identities):
        return recordings.missing or "None of the utterances is among the recordings."
    if not find_spec("torch"):
        return f"PyTorch is not installed, so the network can't be run here: {install_command('train')}."
    return ""


def _attention(run: FoldRun, predictions: Predictions, seen: "Sequence[Inside]") -> Section:
    title = "Attention"
    if any(one.attention is None or not one.shows_frames for one in seen):
        return Section(
            "attention", title, missing="This network has no attention over the frames of a whole utterance."
        )
    clips, told, places = [], [], Places(predictions.utterance_id)
    for index in surest_of_each_class(predictions):
        inside, name = seen[index], predictions.classes[int(predictions.emotion[index])]
        assert inside.attention is not None
        utterance = places.shown(predictions.utterance_id[index])
        clips.append((f"{name}: {utterance}", inside.frames, inside.attention))
        told.append(f"{name} {in_percent(_half_of_the_weight(inside.attention))} %")
    shown = counted(len(clips), "utterance")
    alt = f"Log-mels of {shown}, one a class, with a bar of attention weight under each time step"
    lead = (
        f"One test utterance of each class that the network of fold {run.name} got right, the surest, as the network "
        "hears it (silence may be cut off); below each, how much weight every moment gets.",
        f"Share of the time that holds half of the weight: {', '.join(told)}. Even attention would give 50 %.",
    )
    if not clips:
        return Section("attention", title, missing=f"The network of fold {run.name} got no utterance right.")
    drawing = picture(draw_attention_panels(clips), "attention", "Attention over log-mels, one utterance a class", alt)
    return Section("attention", title, lead, [drawing])


def surest_of_each_class(predictions: Predictions) -> list[int]:
    """Return the row of each class that was answered rightly with the highest probability, where there is one."""
    rows = []
    for number in range(len(predictions.classes)):
        right = np.flatnonzero((predictions.emotion == number) & (predictions.predicted == number))
        if not len(right):
            continue
        sureness = (
            np.zeros(len(right)) if predictions.probabilities is None else predictions.probabilities[right, number]
        )
        rows.append(int(right[np.nan_to_num(sureness).argmax()]))
    return rows


def _half_of_the_weight(weights: Floats) -> float:
    falling = np.cumsum(np.sort(weights)[::-1])
    return float((np.searchsorted(falling, falling[-1] / 2) + 1) / len(weights))


def _embeddings(run: FoldRun, predictions: Predictions, seen: "Sequence[Inside]", seed: int) -> Section:
    title = "Embedding map"
    if len(seen) < FEWEST_CLIPS:
        return Section("embeddings", title, missing=f"{counted(len(seen), 'utterance')} at hand: too few for a map.")
    if not find_spec("sklearn"):
        return Section("embeddings", title, missing=f"scikit-learn is not installed: {install_command('train')}.")
    embeddings = np.stack([one.embedding for one in seen]).astype(np.float64)
    classes = [predictions.classes[number] for number in predictions.emotion.tolist()]
    speakers = [str(name) for name in predictions.speaker]
    in_order = {"by emotion": classes} | ({"by speaker": speakers} if len(set(speakers)) > 1 else {})
    n, near = len(seen), nearest_neighbours(embeddings)
    shares = {
        what: float(np.mean([names[index] == names[other] for index, other in enumerate(near.tolist())]))
        for what, names in in_order.items()
    }
    told = " and ".join(f"{in_percent(share)} % {what}" for what, share in shares.items())
    lead = (
        f"What the last layer sees of {n} test utterances of fold {run.name}, laid out by t-SNE (seed {seed}): "
        "utterances that the network finds alike lie together; distances between groups mean little.",
        f"The nearest neighbour (in the embedding itself) is alike {told}.",
    )
    alt = f"Map of {n} embeddings, coloured {' and '.join(in_order)}; nearest neighbours are alike {told}"
    drawing = picture(draw_map(laid_out(embeddings, seed), in_order), "embeddings", "t-SNE of the embeddings", alt)
    return Section("embeddings", title, lead, [drawing])


def laid_out(embeddings: npt.NDArray[np.float64], seed: int) -> Floats:
    """Return a place for each embedding (utterances, width), shape (utterances, 2): t-SNE of standardised values."""
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(embeddings) - 1) / 3)
    scaled = standardised(embeddings)[0]
    places: Floats = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(scaled)
    return places


def nearest_neighbours(embeddings: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Return the row of the nearest other embedding of each, shape (utterances,)."""
    values = standardised(embeddings)[0]
    # ‖a − b‖² = ‖a‖² + ‖b‖² − 2·a·b, for all pairs at once: (utterances, utterances).
    squares = (values**2).sum(axis=1)
    distances = squares[:, None] + squares - 2 * values @ values.T
    np.fill_diagonal(distances, np.inf)
    return np.asarray(distances.argmin(axis=1))


@dataclass(frozen=True)
class ReportOptions:
    """Options of a report.

    Attributes
    ----------
    audio : put players into the page, where the licence allows it
    n_examples : utterances shown
    """

    audio: bool = True
    n_examples: int = 32
    seed: int = 0


@dataclass(frozen=True)
class Chapter:
    """All about one result."""

    result: Result
    sections: Sequence[Section]


@dataclass(frozen=True)
class Report:
    """All about several results."""

    headline: Table
    published: Table | None
    notes: Sequence[str]
    chapters: Sequence[Chapter]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for ``report.json``."""
        chapters = [
            {
                "result": chapter.result.name,
                "protocol": chapter.result.facts.protocol or None,
                "speaker_independent": chapter.result.facts.speaker_independent,
                "stamp": chapter.result.facts.stamp or None,
                "command": chapter.result.facts.command or None,
                **chapter.result.scores.to_dict(),
                "sections": [section.to_dict() for section in chapter.sections],
            }
            for chapter in self.chapters
        ]
        published = self.published.to_list() if self.published else []
        return {
            "headline": self.headline.to_list(),
            "published": published,
            "notes": list(self.notes),
            "results": chapters,
        }

    def markdown(self) -> str:
        """Return the tables of the page as Markdown."""
        parts = ["# Report", self.headline.markdown(), *self.notes]
        parts += [self.published.markdown()] if self.published else []
        for chapter in self.chapters:
            parts.append(f"## {' '.join(chapter.result.name.split())}")
            for section in chapter.sections:
                tables = dict(section.tables or {})
                tables |= {one.title: one.table for one in section.pictures if one.table}
                for caption, table in tables.items():
                    parts += [f"### {section.title}: {caption}", table.markdown()]
        return "\n\n".join(parts) + "\n"


def build_report(results: Sequence[Result], folders: Mapping[str, Path], options: ReportOptions) -> Report:
    """Make every section of every result.

    Parameters
    ----------
    folders : corpus name → folder, for recordings that are not in ``$EARNEST_DATA``
    """
    budget = PlayerBudget() if options.audio else None
    chapters = [Chapter(result, _sections(result, folders, options, budget)) for result in results]
    return Report(headline_table(results), published_table(results), headline_notes(results), chapters)


def _sections(
    result: Result, folders: Mapping[str, Path], options: ReportOptions, budget: PlayerBudget | None
) -> list[Section]:
    recordings = recordings_of(result.predictions.corpus, folders)
    return [
        leakage_section(result.facts),
        history_section(result),
        confusion_section(result),
        classes_section(result),
        calibration_section(result),
        gender_and_affect_section(result),
        groups_section(result, recordings.rows),
        noise_section(result),
        *inside_sections(result, recordings, options.seed),
        examples_section(result.predictions, recordings, budget, options.n_examples, options.seed),
        worst_section(result.predictions, recordings, budget),
    ]


def write_report(report: Report, page: Path) -> Path:
    """Write the page and, in a folder of its name beside it, pictures, ``report.json`` and ``report.md``.

    Returns
    -------
    the folder
    """
    folder = folder_of_page(page)
    with begun_in(folder):
        for number, chapter in enumerate(report.chapters, 1):
            write_pictures(folder, chapter.sections, f"{number}-" if len(report.chapters) > 1 else "")
        write_json(folder / "report.json", report.to_dict())
        write_atomically(folder / "report.md", report.markdown().encode())
        write_atomically(page, render("report.html", report=report).encode())
    return folder


def remove_report(page: Path) -> None:
    """Remove what `write_report` wrote; what else lies in the folder stays."""
    page.unlink(missing_ok=True)
    folder = folder_of_page(page)
    if not folder.is_dir() or folder.is_symlink():
        return
    for path in folder.iterdir():
        if path.suffix in (".svg", ".png") or path.name in ("report.json", "report.md"):
            path.unlink()
    with suppress(OSError):  # it holds something else
        if (folder / BEGUN).exists():  # writing it failed
            (folder / BEGUN).rmdir()
        folder.rmdir()


def folder_of_page(page: Path) -> Path:
    """Return the folder of a page's name."""
    return page.with_suffix("")
