"""``earnest corpus``: which corpora there are, whether a copy is complete, how it looks, its rows, its download."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click

from earnest.apps.cli import say
from earnest.apps.cli._options import named_corpus, names_from, options
from earnest.apps.cli._own_recordings import (
    OwnOptions,
    echo_manifest,
    echo_own_report,
    manifest_rows,
    next_command,
    own_path,
)
from earnest.apps.cli._typed import (
    EXIT_OK,
    EXIT_SOME_FAILED,
    FILE,
    FOLDER,
    PATH,
    corpus_folders,
    data_option,
    output_options,
    overwrite_option,
    refuse_input,
    word_pairs,
)
from earnest.corpora.base import CORPORA, Corpus
from earnest.corpora.check import CorpusReport, OwnReport, check_corpus, check_own, without_faulty
from earnest.corpora.fetch import fetch_corpus
from earnest.corpora.load import corpus_called, corpus_root, load_corpus, refused_sentences
from earnest.corpora.manifest import Utterance, write_manifest
from earnest.corpora.own.data import OwnData
from earnest.corpora.tables import TABLE_READERS
from earnest.errors import CorpusError, EarnestError, counted, shown, suggestion
from earnest.files.reading import real_path
from earnest.files.writing import new_file, refuse_existing
from earnest.labels import EMOTIONS


def facts(name: str) -> dict[str, Any]:
    """Return the facts about a corpus, without its data."""
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
    columns = ("corpus", "language", "utterances", "speakers", "classes", "licence", "get it")
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
    say.table(columns, rows, right=("utterances", "speakers", "classes"))


def echo_facts(name: str, with_description: bool) -> None:
    """Write all that is known of one corpus, the layout of its folder included."""
    fact, corpus = facts(name), CORPORA.get(name)
    classes = say.counts_text(fact["class_counts"]) or ", ".join(fact["classes"])
    rows = [
        ("title", fact["title"]),
        ("language", fact["language"]),
        ("licence", fact["licence"]),
        ("commercial use", "yes" if fact["commercial_use"] else "no"),
        ("utterances", str(fact["n_utterances"])),
        ("speakers", str(fact["n_speakers"])),
        ("classes", classes),
        ("citation", fact["citation"]),
        ("source", fact["url"]),
        ("get it", f"earnest corpus fetch {name} DIR" if corpus.archives else corpus.access),
        ("files", ", ".join([*sorted(corpus.example)[:2], *corpus.label_files])),
        ("left out", ", ".join(f"{clip} ({why})" for clip, why in corpus.unusable.items()) or "nothing"),
    ]
    say.table(("", ""), rows)
    if with_description:
        say.line("\n" + " ".join((corpus.__doc__ or "").split()))


def echo_report(report: CorpusReport) -> None:
    """Write the numbers of a check and every finding; what is true of the published corpus is marked as known."""
    say.line(f"{report.title}, licence {report.licence}, in {report.root}")
    say.line(
        f"{counted(report.n_recordings, 'recording')}, {report.n_utterances} of {report.expected_n_utterances} "
        f"utterances, {report.n_speakers} of {report.expected_n_speakers} speakers, {report.hours:.2f} h\n"
    )
    emotions = [*report.expected_class_counts, *(set(report.class_counts) - set(report.expected_class_counts))]
    published = {name: str(count) for name, count in report.expected_class_counts.items()}
    counts = [(name, str(report.class_counts.get(name, 0)), published.get(name, "–")) for name in emotions]
    say.table(("emotion", "here", "published"), counts, right=("here", "published"))
    if report.findings:
        say.line()
        rows = [
            (finding.kind, "\n".join(finding.files), finding.detail, "known" if finding.known else "problem")
            for finding in report.findings
        ]
        say.table(("finding", "files", "what", ""), rows)
    say.line(f"\n{report.verdict}")


@dataclass(frozen=True)
class _OwnTable:
    """Options for a table of one's own recordings."""

    corpus: str = ""
    audio: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    emotions: Mapping[str, str] = field(default_factory=dict)

    def rows(self, reader: str, root: Path) -> list[Utterance]:
        """Read the table; an option that the reader can't use is wrong usage."""
        if (reader in ("audiofolder", "emobox") and self.columns) or (reader == "audiofolder" and self.audio):
            raise click.UsageError(f"{reader} has its own column names: leave out --column and --audio.")
        if reader == "audformat" and self.columns.keys() - {"emotion"}:
            raise click.UsageError("audformat has its own column names: leave out --column, but for emotion=….")
        options: dict[str, Any] = {"emotions": self.emotions, "corpus": self.corpus}
        if reader in ("csv", "jsonl"):
            options["columns"] = self.columns
        if reader == "audformat":
            options["column"] = self.columns.get("emotion", "emotion")
        if reader != "audiofolder":
            options["audio_root"] = self.audio
        return TABLE_READERS[reader](root, **options)


@click.group()
@output_options
def command() -> None:
    """List, describe, check, draw, convert and download corpora.

    \b
    Example:
      earnest corpus check ravdess ~/data/ravdess
    """


@command.command("list")
@output_options
def list_() -> None:
    """List the corpora that can be read.

    Each has its licence, language, size and source. Corpora of other installed packages are among them. The exit code
    is 3 when one of these can't be imported.

    \b
    Example:
      earnest corpus list
    """
    corpora, failed = [], {}
    for name in CORPORA.names():
        try:
            corpora.append(facts(name))
        except EarnestError as error:  # of a package that can't be imported
            failed[name] = str(error)
    if not say.answer([*corpora, *({"name": name, "error": error} for name, error in failed.items())]):
        echo_corpora(corpora)
        if not say.is_quiet():
            say.line("\nWhere they come from (how to get one: earnest corpus info NAME, or fetch NAME DIR):")
            for corpus in corpora:
                say.line(f"  {corpus['name']:<12}  {corpus['url']}")
        for why in failed.values():
            say.line(f"earnest: {why}", err=True)
    sys.exit(EXIT_SOME_FAILED if failed else EXIT_OK)


@command.command()
@click.argument("name", shell_complete=names_from(CORPORA.names))
@output_options
def info(name: str) -> None:
    """Show the facts about one corpus.

    Where to get it, and how its folder looks, are among them.

    \b
    Example:
      earnest corpus info crema-d
    """
    corpus = corpus_called(name)
    more = {"unusable": dict(corpus.unusable), "example": dict(corpus.example), "access": corpus.access}
    if not say.answer(facts(name) | more):
        echo_facts(name, with_description=not say.is_quiet())


@command.command()
@click.argument("name", metavar="NAME|PATH", shell_complete=names_from(CORPORA.names, files=True))
@click.argument("root", type=PATH, required=False)
@data_option
@options("hints", OwnOptions)
@output_options
def check(name: str, root: Path | None, data: Sequence[str], hints: OwnOptions) -> None:
    """Check a copy of a corpus, or your own recordings.

    A copy is compared with what was published, and decoded. This finds recordings that are missing, unexpected,
    unreadable, cut, silent or the same sound twice, and counts labels. Without ROOT it looks in the folder that --data
    or $EARNEST_DATA names. The exit code is 3 when there are problems. PATH is a folder or table of your own, in any
    layout.

    \b
    Examples:
      earnest corpus check ravdess ~/data/ravdess
      earnest corpus check my-recordings --speaker-pattern "([^_/]+)_[^/]*$"
    """
    if own := own_path(name, root):
        recordings = hints.read(own)
        found = _checked(recordings)
        if not say.answer(found.to_dict()):
            echo_own_report(found, next_command(recordings, found, name, hints))
        sys.exit(EXIT_SOME_FAILED if found.findings else EXIT_OK)
    _refuse_hints(hints, name)
    corpus_called(name)
    with say.progress().amount("decoding") as show:
        report = check_corpus(name, root or corpus_root(name, corpus_folders(data)), show)
    if not say.answer(report.to_dict()):
        echo_report(report)
    sys.exit(EXIT_SOME_FAILED if report.problems else EXIT_OK)


@command.command()
@click.argument("name", metavar="NAME|PATH|FORMAT", shell_complete=names_from(CORPORA.names, files=True))
@click.argument("root", type=PATH, required=False)
@data_option
@click.option("-o", "--output", type=FILE, required=True, help="File to write: .csv.")
@overwrite_option
@click.option("--corpus", "corpus", default="", help="Name of your own corpus, where a table is read.")
@click.option("--audio", type=PATH, help="Folder in which the paths of a table start. Without it: the table's folder.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="OURS=YOURS",
    help="Our name for a column of the table, such as path=file; repeatable.",
)
@click.option(
    "--emotion",
    "emotions",
    multiple=True,
    metavar="YOURS=OURS",
    help="Our emotion for a word of the table, such as joy=happy; repeatable.",
)
@options("hints", OwnOptions)
@click.option(
    "--readable",
    is_flag=True,
    help="Decode each recording, and leave out what can't be read, is silent, too short or there twice.",
)
@output_options
def manifest(
    name: str,
    root: Path | None,
    data: Sequence[str],
    output: Path,
    overwrite: bool,
    corpus: str,
    audio: Path | None,
    columns: Sequence[str],
    emotions: Sequence[str],
    hints: OwnOptions,
    readable: bool,
) -> None:
    """Write a manifest of a corpus, or of your own recordings.

    A manifest is a table with one row for each utterance. It can stand for its corpus in --data NAME=DIR, such as
    --data mine=mine.csv, and for your recordings in --corpus mine.csv. NAME is a corpus, ROOT its folder (default: from
    --data or $EARNEST_DATA). PATH alone is a folder or table of your own, in any layout. Where a label or a speaker
    can't be guessed, name its column or folder. FORMAT (csv, jsonl, audiofolder, audformat or emobox) says how to read
    ROOT.

    \b
    Examples:
      earnest corpus manifest my-recordings -o mine.csv --speaker-column "folder 1"
      earnest corpus manifest ravdess ~/data/ravdess -o ravdess.csv
      earnest corpus manifest csv labels.csv --column path=file --column emotion=label \\
          --emotion joy=happy --corpus mine -o mine.csv
      earnest corpus manifest audiofolder ~/data/mine -o mine.csv
    """
    refuse_input(output, [one for one in (name, root) if one])
    refuse_existing(output, overwrite)
    named, meant = word_pairs("--column", columns), _meanings(emotions)
    own = _OwnTable(corpus, audio and real_path(audio), named, meant)
    path = None if name in TABLE_READERS else own_path(name, root)
    found = hints.read(path, own.audio) if path else None
    left_out = 0
    if found is None:
        rows = _named_rows(name, root or corpus_folders(data).get(name), own, hints)
        if readable:
            rows, left_out = _readable_rows(name, rows)
    else:
        if columns:
            raise click.UsageError("--column works only with csv and jsonl. Use --label-column or --speaker-column.")
        found = without_faulty(found, _checked(found)) if readable else found
        rows = manifest_rows(found, corpus or named_corpus(name)[0], meant)
    with new_file(output, overwrite) as place:
        write_manifest(rows, place, output.parent)
    found = found and _renamed(found, meant)  # counts and doubts are of the words as they are now
    counts = found.class_counts if found else dict(Counter(row.emotion for row in rows))
    n_speakers = len({row.speaker for row in rows if row.speaker})
    if not say.answer({"manifest": output, "n_rows": len(rows), "n_speakers": n_speakers, "class_counts": counts}):
        if not found:
            say.hint(f"{output}: {counted(len(rows), 'row')}: {say.counts_text(counts)}")
        elif not say.is_quiet():
            echo_manifest(found, output)
    sys.exit(EXIT_SOME_FAILED if left_out or (found and found.refused) else EXIT_OK)


def _readable_rows(name: str, rows: Sequence[Utterance]) -> tuple[list[Utterance], int]:
    """Leave out what can't be learnt from, say so; return what stays, and how many don't."""
    data = OwnData(Path(name), name, tuple(rows))
    kept = without_faulty(data, _checked(data))
    for sentence in refused_sentences(kept):
        say.line(sentence, err=True)
    return list(kept.utterances), len(kept.refused)


def _meanings(emotions: Sequence[str]) -> Mapping[str, str]:
    """Return own word → canonical emotion, as ``--emotion`` says."""
    meant = word_pairs("--emotion", emotions)
    for word, emotion in meant.items():
        if emotion not in EMOTIONS:
            raise click.UsageError(
                f"--emotion {word}={emotion}: {shown(emotion)} is none of {', '.join(EMOTIONS)}. Words of your own are "
                "one class where the table writes them alike."
            )
    return meant


def _renamed(data: OwnData, meant: Mapping[str, str]) -> OwnData:
    words = (meant.get(row.native_emotion, row.native_emotion) for row in data.utterances)
    renamed = (replace(row, native_emotion=word) for row, word in zip(data.utterances, words, strict=True))
    return replace(data, utterances=tuple(renamed))


def _named_rows(name: str, root: Path | None, own: _OwnTable, hints: OwnOptions) -> list[Utterance]:
    """Return the rows of a published corpus, or of a table whose reader was named."""
    _refuse_hints(hints, name)
    if name in TABLE_READERS:
        if root is None:
            raise click.UsageError(f"{name}: where is it? Say earnest corpus manifest {name} PATH, or PATH alone.")
        return own.rows(name, real_path(root))
    if own != _OwnTable():
        raise click.UsageError(
            f"--corpus, --audio, --column and --emotion need a PATH of your own and {' or '.join(TABLE_READERS)}."
        )
    if name not in CORPORA:
        choices = [*CORPORA.names(), *TABLE_READERS]
        raise CorpusError(f"There is no corpus or table reader '{name}'.{suggestion(name, choices)}")
    return load_corpus(name, real_path(root or corpus_root(name, {})))


def _checked(data: OwnData) -> OwnReport:
    with say.progress().amount("decoding") as show:
        return check_own(data, show)


def _refuse_hints(hints: OwnOptions, name: str) -> None:
    if hints.any:
        raise click.UsageError(
            f"{name} is read by its own rules. --label-column and similar options need a PATH of your own."
        )


@command.command()
@click.argument("name", shell_complete=names_from(CORPORA.names))
@click.argument("folder", type=PATH)
@output_options
def fetch(name: str, folder: Path) -> None:
    """Download a corpus from its public archive and unpack it.

    The same command resumes a download that broke off. The checksum is compared where one is published. Some corpora
    are given out on request only; then the message says whom to ask.

    \b
    Example:
      earnest corpus fetch ravdess ~/data/ravdess
    """
    corpus = corpus_called(name)
    unchecked = [Path(archive.url).name for archive in corpus.archives if not archive.checksum]
    if unchecked and not say.is_quiet():
        say.line(f"{corpus.title} publishes no checksum for {', '.join(unchecked)}.", err=True)
    with say.progress().amount("connecting", in_bytes=True) as show:
        paths = fetch_corpus(corpus, folder, show)
    if not say.answer({"corpus": name, "folder": folder, "archives": paths, "licence": corpus.licence}):
        say.hint(
            f"{corpus.title} is in {folder}, licence {corpus.licence}. Check it: earnest corpus check {name} {folder}"
        )


@command.command()
@click.argument("name", metavar="NAME|PATH", shell_complete=names_from(CORPORA.names, files=True))
@click.argument("root", type=PATH, required=False)
@data_option
@click.option("-o", "--output", type=FOLDER, required=True, help="Folder to write: index.html, pictures, corpus.json.")
@overwrite_option
@click.option("--no-audio", is_flag=True, help="Put no recordings into the page.")
@output_options
def show(name: str, root: Path | None, data: Sequence[str], output: Path, overwrite: bool, no_audio: bool) -> None:
    """Draw a corpus: one page to look at and listen to.

    The page has counts, durations, affect, waveforms, and a spectrogram for each class. ROOT is the folder of the
    corpus, or a manifest of your own recordings. Without ROOT it looks in the folder that --data or $EARNEST_DATA
    names. PATH is a folder or table of your own, in any layout. Recordings go into the page only where the licence of
    their corpus allows passing them on. The exit code is 3 when some recordings can't be read, by what their headers
    say; the page names them. `earnest corpus check` decodes each.

    \b
    Examples:
      earnest corpus show ravdess ~/data/ravdess -o ravdess-shown
      earnest corpus show mine mine.csv -o mine-shown
    """
    from earnest.export.card import refuse_full
    from earnest.plots.style import new_figure
    from earnest.report.corpus import build_page, write_page

    new_figure(1, 1)  # without matplotlib, this says so at once
    refuse_full(output, overwrite)
    if own := own_path(name, root) if name not in corpus_folders(data) else None:
        name, root = named_corpus(name)[0], own
    rows = load_corpus(name, root or corpus_root(name, corpus_folders(data)))
    with say.progress().amount("reading") as progress:
        page = build_page(name, rows, not no_audio, progress)
    path = write_page(page, output)
    if not say.answer({"page": path, **page.to_dict()}):
        say.hint(f"{path} ({say.size_text(path)}); its pictures and corpus.json are beside it")
    sys.exit(EXIT_SOME_FAILED if page.unreadable else EXIT_OK)
