"""``earnest score``: the metrics of any predictions file, ours or anybody's."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from earnest.apps.cli._completion import corpus_names, names_from, protocol_names
from earnest.apps.cli._score_input import Source, ToScore, to_score
from earnest.apps.cli._score_tables import echo_scores
from earnest.apps.cli.output import (
    corpus_folders,
    data_option,
    echo,
    echo_json,
    output_options,
    overwrite_option,
    word_pairs,
)
from earnest.corpora.load import corpus_root
from earnest.errors import MissingExtraError
from earnest.evaluation.importers import READERS
from earnest.evaluation.metrics import Scores, score
from earnest.evaluation.protocols import protocol_called
from earnest.evaluation.report import metrics_document
from earnest.locks import held_folder
from earnest.run_files import refuse_existing, write_json

UNKNOWN = "The file doesn't say whether training saw these speakers; name the --protocol if you know it."
METRICS = "metrics.json"
PATH = click.Path(path_type=Path)


@click.command()
@click.argument("predictions", type=PATH)
@click.option(
    "--protocol",
    metavar="NAME",
    shell_complete=names_from(protocol_names),
    help="The protocol that the predictions follow; it goes into the title.",
)
@click.option(
    "--format", "form", type=click.Choice(list(READERS)), help="What wrote the file; without it its content tells."
)
@click.option("--manifest", type=PATH, help="A manifest (CSV): truth, speakers and clips come from there.")
@click.option(
    "--corpus",
    "corpora",
    multiple=True,
    metavar="NAME",
    shell_complete=names_from(corpus_names),
    help="A corpus in place of a manifest; without it those that --data names.",
)
@data_option
@click.option("--map", "words", multiple=True, metavar="THEIRS=OURS", help="What a label of the file means: ang=angry.")
@click.option("--scheme", metavar="NAME", help="Fold labels into the classes of a scheme, such as iemocap4.")
@click.option("--ignore-unknown", is_flag=True, help="Leave out answers to clips that the manifest doesn't have.")
@click.option("-o", "--output", type=PATH, help="A folder for metrics.json and confusion.png.")
@overwrite_option
@click.option("--seed", default=0, show_default=True, help="Seed of the bootstrap.")
@output_options
def command(
    predictions: Path,
    protocol: str | None,
    form: str | None,
    manifest: Path | None,
    corpora: Sequence[str],
    data: Sequence[str],
    words: Sequence[str],
    scheme: str | None,
    ignore_unknown: bool,
    output: Path | None,
    overwrite: bool,
    seed: int,
    as_json: bool,
    quiet: bool,
) -> None:
    """Score a predictions file: columns utterance_id, emotion, predicted and, where known, p_<class>, speaker, fold.

    With a manifest or a corpus, utterance_id (or path) and predicted are enough, and every clip counts: one without
    an answer counts as wrong. Output of Hugging Face's pipelines (JSON) and result tables of nkululeko (CSV with a
    column "file") are read too. UA is the mean recall over the classes that occur.

    \b
    Examples:
      earnest score RUN/predictions.csv
      earnest score pipeline.jsonl --data ravdess=~/data/ravdess --map ang=angry
      earnest score results.csv --manifest mine.csv --scheme iemocap4 -o scored
    """
    if protocol is not None:
        protocol_called(protocol)
    if output is not None:
        refuse_existing(output / METRICS, overwrite)
    source = Source(
        manifest=manifest,
        corpora=_places(corpora, corpus_folders(data)),
        words=word_pairs("--map", words),
        scheme=scheme,
        form=form,
        ignore_unknown=ignore_unknown,
    )
    found = to_score(predictions, source)
    scores = score(found.predictions, np.random.default_rng(seed), columns=found.columns)
    document = _document(protocol, scores, found)
    title = _title(predictions, protocol)
    if output is not None:
        with held_folder(output):
            _write(output, document, scores, title, quiet)
    if as_json:
        echo_json(document)
        return
    echo_scores(scores, found.more, title)
    for note in found.notes:
        echo(note)
    if protocol is None and not quiet:
        echo(UNKNOWN, err=True)


def _places(names: Sequence[str], folders: Mapping[str, Path]) -> dict[str, Path]:
    """Return corpus → folder of the corpora meant: those named, else those whose folder is said."""
    return {name: corpus_root(name, folders) for name in names or folders}


def _document(protocol: str | None, scores: Scores, found: ToScore) -> dict[str, Any]:
    facts = {"notes": list(found.notes), **found.more}
    if protocol is None:
        return {"protocol": None, "speaker_independent": None, **facts, **scores.to_dict()}
    return metrics_document(protocol, scores, facts)


def _title(predictions: Path, protocol: str | None) -> str:
    name = predictions.name
    return name if protocol is None else f"{name}: {protocol} ({protocol_called(protocol).kind})"


def _write(folder: Path, document: Mapping[str, Any], scores: Scores, title: str, quiet: bool) -> None:
    """Write metrics.json, and the confusion matrix where matplotlib is there."""
    from earnest.evaluation.plots import plot_confusion

    write_json(folder / METRICS, document)
    try:
        plot_confusion(scores, folder / "confusion.png", title, document["speaker_independent"])
    except MissingExtraError as error:
        if not quiet:
            echo(f"No confusion.png: {error}", err=True)
