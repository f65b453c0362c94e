"""Own recordings named by path in ``earnest corpus``: how they are read, and what is told of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from earnest.apps.cli import say
from earnest.apps.cli._options import named_corpus, option
from earnest.apps.cli._typed import command_line
from earnest.corpora.check import KEEP_ONE, TWICE, Finding, OwnReport, without_faulty
from earnest.corpora.load import of_corpus, refused_sentences
from earnest.corpora.manifest import Utterance, doubts_about
from earnest.corpora.own.data import OwnData, typed
from earnest.corpora.own.read import read_own
from earnest.errors import SplitError, counted
from earnest.labels import SYNONYMS
from earnest.runtime.timeline_plot import clock

NO_SPEAKERS = (
    "Speakers are unknown. Name them with --speaker-column NAME (of folders: 'folder 1', 'folder 2') or "
    "--speaker-pattern REGEX: without them a result says nothing about new speakers."
)
RECIPE = "own"
MOST_TWICE = 3  # recordings in several rows that have a row of their own


@dataclass(frozen=True)
class OwnOptions:
    """Where own recordings say what is what, where that can't be guessed."""

    label_column: str | None = option(
        "--label-column",
        metavar="NAME",
        help="Your own recordings: the column, or the tier of annotations, with labels; in folders 'folder 1', 'folder "
        "2' … Default: guessed.",
    )
    speaker_column: str | None = option("--speaker-column", metavar="NAME", help="The same for the speaker.")
    label_pattern: str | None = option(
        "--label-pattern",
        metavar="REGEX",
        help="Your own recordings: finds the label in a path (group 'label', or the first group).",
    )
    speaker_pattern: str | None = option("--speaker-pattern", metavar="REGEX", help="The same for the speaker.")

    @property
    def any(self) -> bool:
        """Whether something was said."""
        return self != OwnOptions(None, None, None, None)

    @property
    def words(self) -> list[str]:
        """The same options as words of a command line."""
        return typed({name: value for name, value in vars(self).items() if value is not None})

    def read(self, path: Path, root: Path | None = None) -> OwnData:
        """Read them; ``root`` is where paths of a table start."""
        return read_own(
            path,
            label_column=self.label_column,
            speaker_column=self.speaker_column,
            label_pattern=self.label_pattern,
            speaker_pattern=self.speaker_pattern,
            root=root,
        )


def own_path(name: str, root: Path | None) -> Path | None:
    """Return where own recordings are that were named by path alone; None for a corpus.

    Raises `CorpusError` when there is neither such a corpus nor such a path.
    """
    return None if root is not None else named_corpus(name)[1]


def manifest_rows(data: OwnData, corpus: str, meanings: Mapping[str, str]) -> list[Utterance]:
    """Return the rows of a manifest. ``meanings``: own label → canonical emotion."""
    rows = [of_corpus(row, corpus) for row in data.utterances]
    if strange := sorted(set(meanings) - {row.native_emotion for row in rows}):
        raise click.UsageError(
            f"--emotion {strange[0]}=…: no recording has that label. There are {', '.join(data.labels)}."
        )
    return [replace(row, emotion=meanings.get(row.native_emotion, row.emotion)) for row in rows]


def echo_manifest(data: OwnData, output: Path) -> None:
    """Report the rows and their source, what was left out, and the next command."""
    say.line(f"{output}: {counted(len(data.utterances), 'row')} of {data.layout}: {say.counts_text(data.class_counts)}")
    speakers = f"{counted(len(data.speakers), 'speaker')} from {data.speaker_from}. " if data.speakers else ""
    notes = " ".join((*data.notes, *doubts_about(data.class_counts, data.utterances)))
    say.line(f"Labels from {data.label_from}. {speakers}{notes}".rstrip())
    for sentence in (*refused_sentences(data), *_of_own_words(data), *(() if data.speakers else (NO_SPEAKERS,))):
        say.line(sentence)
    check, scoring = command_line("corpus", "check", output), command_line("evaluate", RECIPE, "--corpus", output)
    say.line(f"Next: {check}, then {scoring}")


def _of_own_words(data: OwnData) -> Iterator[str]:
    """Yield how labels that are another form of our emotions, as nouns are, become these."""
    ours = {**SYNONYMS, "joy": "happy"}
    if meant := {label: ours[label.lower()] for label in data.labels if label.lower() in ours}:
        told = f"{', '.join(meant)}: words of your own, which recipes with other classes leave out"
        options = " ".join(f"--emotion {label}={emotion}" for label, emotion in meant.items())
        yield f"{told}. The same command with {options} makes them earnest's."


def next_command(data: OwnData, report: OwnReport, name: str, hints: OwnOptions) -> str:
    """Return the command that goes on after a check; "" where an evaluation would be refused, as the advice says why.

    `earnest evaluate` takes no hints and no faulty recordings: a manifest keeps what the first say, without the others.
    """
    from earnest.evaluation.protocols import suitable_protocol

    kept = without_faulty(data, report)
    try:
        suitable_protocol(kept.utterances)
    except SplitError:
        return ""
    if len(kept.class_counts) < 2:
        return ""
    if not (hints.any or report.findings):
        return command_line("evaluate", RECIPE, "--corpus", name)
    readable = ["--readable"] if report.findings else []
    return command_line("corpus", "manifest", name, "-o", "mine.csv", *hints.words, *readable)


def _finding_rows(findings: Sequence[Finding]) -> list[tuple[str, str, str]]:
    """Return a row a finding; all recordings that are listed twice share one, as several people may label each."""
    twice = [finding for finding in findings if finding.kind == TWICE]
    together = twice if len(twice) > MOST_TWICE else []
    rows = [(one.kind, "\n".join(one.files), one.detail) for one in findings if one not in together]
    if together:
        names = [file for finding in together[:MOST_TWICE] for file in finding.files]
        n_contradict = sum(finding.detail != KEEP_ONE for finding in together)
        told = f"{n_contradict} with labels or speakers that contradict" if n_contradict else "keep one row of each"
        rows.append((TWICE, "\n".join([*names, "…"]), f"{counted(len(together), 'recording')}, {told}"))
    return rows


def echo_own_report(report: OwnReport, following: str) -> None:
    """Write counts, findings, advice and the command that follows, "" for none."""
    length = clock(round(3600 * report.hours, 1))
    say.line(f"{report.source}: {report.layout}, {counted(report.n_recordings, 'recording')}, {length}")
    speakers = (
        f"{counted(report.n_speakers, 'speaker')} from {report.speaker_from}"
        if report.n_speakers
        else "speakers unknown"
    )
    say.line(f"Labels from {report.label_from}; {speakers}.\n")
    say.table(("label", "here"), [(one, str(n)) for one, n in report.class_counts.items()], right=("here",))
    if report.findings:
        say.line()
        say.table(("finding", "files", "what"), _finding_rows(report.findings))
    say.line()
    for sentence in report.advice:
        say.line(sentence)
    n_found = len(report.findings)
    say.line(f"{counted(n_found, 'problem')}." if n_found else "Every recording can be read.")
    if following:
        say.line(f"Next: {following}")
