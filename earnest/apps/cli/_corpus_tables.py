"""How the command ``corpus`` shows what it knows: facts of a corpus, the result of a check, progress."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from earnest.apps.cli.output import counts_text, echo, echo_table
from earnest.corpora.base import CORPORA, Corpus
from earnest.corpora.check import CorpusReport


def facts(name: str) -> dict[str, Any]:
    """Return what is known of a corpus without its data."""
    corpus: type[Corpus] = CORPORA.get(name)
    return {
        "name": name,
        "title": corpus.title,
        "language": corpus.language,
        "licence": corpus.licence,
        "commercial_use": corpus.commercial_use,
        "n_speakers": corpus.n_speakers,
        "n_utterances": corpus.n_utterances,
        "class_counts": dict(corpus.class_counts),
        "classes": sorted({*corpus.class_counts, *corpus.example.values()}),
        "url": corpus.url,
        "fetch": bool(corpus.archives),
        "citation": corpus.citation,
    }


def echo_corpora(corpora: list[dict[str, Any]]) -> None:
    """Write one row a corpus, narrow enough for a terminal of 80 columns."""
    columns = ("corpus", "language", "clips", "speakers", "classes", "licence", "get it")
    numbers = ("n_utterances", "n_speakers")
    rows = [
        (
            fact["name"],
            fact["language"],
            *(str(fact[number]) for number in numbers),
            str(len(fact["classes"])),
            fact["licence"],
            "fetch" if fact["fetch"] else "info",
        )
        for fact in corpora
    ]
    echo_table(columns, rows, right=("clips", "speakers", "classes"))


def echo_facts(name: str, with_description: bool) -> None:
    """Write all that is known of one corpus, the layout of its folder included."""
    fact, corpus = facts(name), CORPORA.get(name)
    classes = counts_text(fact["class_counts"]) or ", ".join(fact["classes"])
    rows = [
        ("title", fact["title"]),
        ("language", fact["language"]),
        ("licence", fact["licence"]),
        ("commercial use", "yes" if fact["commercial_use"] else "no"),
        ("clips", str(fact["n_utterances"])),
        ("speakers", str(fact["n_speakers"])),
        ("classes", classes),
        ("citation", fact["citation"]),
        ("source", fact["url"]),
        ("get it", f"earnest corpus fetch {name} DIR" if corpus.archives else corpus.access),
        ("files", ", ".join([*sorted(corpus.example)[:2], *corpus.label_files])),
        ("left out", ", ".join(f"{clip} ({why})" for clip, why in corpus.unusable.items()) or "nothing"),
    ]
    echo_table(("", ""), rows)
    if with_description:
        echo("\n" + " ".join((corpus.__doc__ or "").split()))


def echo_report(report: CorpusReport) -> None:
    """Write the numbers of a check and every finding; what is true of the published corpus is marked as known."""
    echo(f"{report.title}, licence {report.licence}, in {report.root}")
    echo(
        f"{report.n_recordings} recordings, {report.n_utterances} of {report.expected_n_utterances} clips, "
        f"{report.n_speakers} of {report.expected_n_speakers} speakers, {report.hours:.2f} h\n"
    )
    emotions = [*report.expected_class_counts, *(set(report.class_counts) - set(report.expected_class_counts))]
    published = {name: str(count) for name, count in report.expected_class_counts.items()}
    counts = [(name, str(report.class_counts.get(name, 0)), published.get(name, "–")) for name in emotions]
    echo_table(("emotion", "here", "published"), counts, right=("here", "published"))
    if report.findings:
        echo()
        rows = [
            (finding.kind, "\n".join(finding.files), finding.detail, "known" if finding.known else "problem")
            for finding in report.findings
        ]
        echo_table(("finding", "files", "what", ""), rows)
    echo(f"\n{report.verdict}")


@contextmanager
def progress(label: str, wanted: bool, in_bytes: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function (name, done, total) that draws a bar on a terminal, and nothing elsewhere."""
    if not wanted or not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    amount = DownloadColumn() if in_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), amount, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda name, done, total: bar.update(task, description=name or label, completed=done, total=total or None)
