"""``earnest split``: split files that can be published, and a search for leaks in anybody's."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from earnest.apps.cli import say
from earnest.apps.cli._options import CORPUS
from earnest.apps.cli._training import EPILOG, PROTOCOL, named_corpora
from earnest.apps.cli._typed import (
    EXIT_ERROR,
    EXIT_OK,
    FOLDER,
    PATH,
    corpus_folders,
    data_option,
    output_options,
    overwrite_option,
)
from earnest.corpora.check import audio_digests
from earnest.corpora.load import load_utterances
from earnest.corpora.manifest import Utterance
from earnest.errors import counted
from earnest.evaluation.protocols import kind_words, protocol_called, refuse_other_corpora, splits_of
from earnest.evaluation.split_files import Checked, Lookup, checked, read_plans, split_document
from earnest.evaluation.splits import Digests, refuse_identical
from earnest.files.writing import held_folder, refuse_existing, write_json
from earnest.progress import Progress

COMPARED = "Samples were compared: copies as MP3, at another level or moved in time are not looked for."


def _refuse_words(_context: click.Context, _parameter: click.Parameter, words: tuple[str, ...]) -> None:
    """Refuse plain words: recordings and split files are given with options."""
    if words:
        write = shlex.join(["earnest", "split", "--corpus", words[0], "--protocol", "speaker-5fold", "-o", "splits"])
        search = shlex.join(["earnest", "split", "--check", words[0]])
        told = f"'{words[0]}': are these recordings, or splits? To write splits of recordings: {write}."
        raise click.UsageError(f"{told} To search splits for leaks: {search} --corpus RECORDINGS.")


@click.command(epilog=EPILOG)
@click.argument("words", nargs=-1, metavar="", expose_value=False, callback=_refuse_words)
@click.option("--protocol", **PROTOCOL, help="Write the folds of this protocol.")
@click.option("-o", "--output", type=FOLDER, help="Folder to write: a file for each fold.")
@overwrite_option
@click.option("--hash", "with_hashes", is_flag=True, help="Also write a SHA-256 of every recording's samples.")
@click.option(
    "--check",
    "files",
    multiple=True,
    type=PATH,
    help="Instead: search this file, or the files of this folder, for leaks; repeatable. JSON of earnest, or CSV with "
    "the columns path or utterance_id, set, and perhaps fold.",
)
@click.option("--speaker-dependent", is_flag=True, help="With --check of CSV: speakers are shared on purpose.")
@click.option("--no-audio", is_flag=True, help="With --check: don't search for the same samples under another name.")
@click.option(
    "--corpus",
    "corpora",
    **CORPUS,
    help="Corpus of the recordings, where neither protocol nor --data says it; repeatable. Or a folder, table or "
    "manifest of your own.",
)
@data_option
@output_options
def command(
    protocol: str | None,
    output: Path | None,
    overwrite: bool,
    with_hashes: bool,
    files: tuple[Path, ...],
    speaker_dependent: bool,
    no_audio: bool,
    corpora: tuple[str, ...],
    data: tuple[str, ...],
) -> None:
    """Write a protocol's splits, or search split files for leaks.

    A leak is an utterance, a group, a speaker (unless the split is speaker-dependent) or the same samples, under
    whatever name, in two sets. Exit code 1 when there is one. `earnest evaluate --splits` trains and tests on such
    files.

    \b
    Examples:
      earnest split --protocol ravdess-6fold --output splits --data ravdess=~/ravdess
      earnest split --check splits --check theirs.csv --data ravdess=~/ravdess
    """
    if bool(files) == bool(protocol):
        raise click.UsageError("Say either --protocol NAME with --output FOLDER, or --check FILES.")
    if protocol and output is None:
        raise click.UsageError("--protocol needs --output: the folder for the files.")
    folders, progress = corpus_folders(data), say.progress()
    if protocol:
        assert output is not None
        chosen = protocol_called(protocol)
        refuse_other_corpora(chosen, named_corpora(corpora, folders))
        rows = _utterances(chosen.corpora or corpora, folders)
        splits = splits_of(protocol, rows)
        paths = [output / f"{Path(split.fold).name}.json" for split in splits]
        for path in paths:
            refuse_existing(path, overwrite)
        digests = _digests(rows, progress) if with_hashes else None
        with held_folder(output):
            for split, path in zip(splits, paths, strict=True):
                refuse_identical(split, digests or {})
                write_json(path, split_document(split, digests))
        if not say.answer(paths):
            say.line(f"{counted(len(paths), 'file')} in {output}: {protocol} ({chosen.kind}).")
        return
    rows = _utterances(corpora, folders)
    found = _searched(files, rows, speaker_dependent, no_audio, progress)
    if not say.answer([one.to_dict() for one in found]):
        _echo(found)
        say.line("Audio was not compared." if no_audio else COMPARED)
    sys.exit(EXIT_ERROR if any(one.problems for one in found) else EXIT_OK)


def _utterances(corpora: Sequence[str], folders: Mapping[str, Path]) -> list[Utterance]:
    places = named_corpora(corpora or folders, folders)
    if not places:
        raise click.UsageError("Which corpus? Give --data NAME=DIR or --corpus NAME.")
    return load_utterances(list(places), places)


def _digests(rows: Sequence[Utterance], progress: Progress) -> Digests:
    with progress.bar("decoding", len(rows)) as advance:
        return audio_digests(rows, advance)


def _searched(
    files: Sequence[Path], rows: Sequence[Utterance], speaker_dependent: bool, no_audio: bool, progress: Progress
) -> list[Checked]:
    lookup, plans = Lookup(rows), read_plans(files)
    named = {row.key: row for plan in plans for members in plan.found(lookup).values() for row in members}
    digests = None if no_audio else _digests(list(named.values()), progress)
    found = []
    for plan in plans:
        apart = not speaker_dependent if plan.speaker_independent is None else plan.speaker_independent
        found.append(checked(plan, lookup, apart, digests))
    return found


def _echo(found: Sequence[Checked]) -> None:
    for one in found:
        sizes = ", ".join(f"{n} {name}" for name, n in one.n.items())
        verdict = "LEAKS" if one.problems else "no leak found"
        say.line(f"{one.source}, {one.fold}, {kind_words(one.speaker_independent)}, {sizes}: {verdict}")
        for problem in one.problems:
            say.line(f"  {problem}")
