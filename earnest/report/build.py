"""From results to a report: all sections, one page, pictures, JSON and Markdown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earnest.files.writing import write_atomically, write_json
from earnest.report.clips import PlayerBudget, examples_section, recordings_of, worst_section
from earnest.report.inside import inside_sections
from earnest.report.result import Result
from earnest.report.section import Section, Table, render, write_pictures
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
    for number, chapter in enumerate(report.chapters, 1):
        write_pictures(folder, chapter.sections, f"{number}-" if len(report.chapters) > 1 else "")
    write_json(folder / "report.json", report.to_dict())
    write_atomically(folder / "report.md", report.markdown().encode())
    write_atomically(page, render("report.html", report=report).encode())
    return folder


def folder_of_page(page: Path) -> Path:
    """Return the folder of a page's name."""
    return page.with_suffix("")
