"""``earnest embed``: recordings to the vectors before the network's last layer."""

from collections.abc import Iterable
from pathlib import Path

import click

from earnest.apps.cli._embedding_file import EmbeddingFile, Form, json_line
from earnest.apps.cli._options import ModelOptions, options
from earnest.apps.cli._recordings import sources_of
from earnest.apps.cli.output import EXIT_SOME_FAILED, echo_json, output_options, overwrite_option, progress_for
from earnest.apps.cli.predict import DecodingOptions, Existing, existing_choice, is_done
from earnest.audio.source import Source
from earnest.files.locks import held_file
from earnest.runtime.embedding import EmbeddedRecording
from earnest.runtime.predictor import Predictor

_FORMS: dict[str, Form] = {".npz": "npz", ".parquet": "parquet"}


@click.command()
@click.argument("paths", nargs=-1, required=True)
@options("models", ModelOptions)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="File: .npz or .parquet.")
@click.option("--resume", is_flag=True, help="Go on with --output: skip what it holds.")
@overwrite_option
@options("decoding", DecodingOptions)
@output_options
def command(
    paths: tuple[str, ...],
    models: ModelOptions,
    output: Path | None,
    resume: bool,
    overwrite: bool,
    decoding: DecodingOptions,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write the embeddings of recordings.

    An embedding is the vector before the network's last layer, the mean over windows of speech, plain: not adapted to
    a speaker. `earnest models` tells how many numbers it has. Where no speech is found, it is of all that was heard.
    PATHS are files, folders (searched for recordings), lists (.csv with the columns path and speaker) or - for
    standard input. Without --output, --json writes one object a line; with it, what was written.
    A recording that can't be read is a row with an error, and without an embedding.
    An --output file appears when it is whole; until then its rows are in NAME.partial, where --resume finds them.
    NAME.sha256 is its checksum.

    \b
    Examples:
      earnest embed recordings/ --output embeddings.npz
      earnest embed recordings/ --model large --output embeddings.parquet --resume
      earnest embed talk.wav --json

    Exit codes: 0 all embedded, 1 an error that was explained, 2 wrong usage, 3 some recordings have no embedding
    (their rows say why).
    """
    existing = existing_choice(output, resume, overwrite)
    if output is None and not as_json:
        raise click.UsageError("Name a file with --output, such as embeddings.npz, or give --json.")
    form = None if output is None else _FORMS.get(output.suffix.lower())
    if output is not None and form is None:
        raise click.UsageError(f"--output {output}: the name must end in {' or '.join(_FORMS)}.")
    predictor = decoding.load(models)
    sources = sources_of(paths)
    if output is None or form is None:
        n_failed = 0
        for row in predictor.embed_many(sources, min(decoding.jobs, len(sources) or 1)):
            click.echo(json_line(row))
            n_failed += row.vector is None
    else:
        n_failed = _write_file(predictor, sources, decoding.jobs, output, form, existing, as_json, quiet)
    if n_failed:
        click.get_current_context().exit(EXIT_SOME_FAILED)


def _write_file(
    predictor: Predictor,
    sources: list[Source],
    jobs: int,
    output: Path,
    form: Form,
    existing: Existing,
    as_json: bool,
    quiet: bool,
) -> int:
    width = predictor.embedding_width
    with held_file(output), EmbeddingFile(output, form, predictor.info.name, width, existing) as file:
        n_held = file.done.total()
        left = [source for source in sources if not is_done(file.done, source)]
        found: Iterable[EmbeddedRecording] = predictor.embed_many(left, min(jobs, len(left) or 1))
        n_failed = 0
        for row in progress_for(as_json, quiet).counted("Embedding", found, len(left)):
            file.write(row)
            n_failed += row.vector is None
        file.close()
    counts = {"embedded": len(left) - n_failed, "failed": n_failed, "held": n_held}
    if as_json:
        echo_json({"output": output, "model": predictor.info.name, "width": width, **counts})
    elif not quiet:
        held = f", {n_held} were there already" if n_held else ""
        click.echo(f"{counts['embedded']} embedded, {n_failed} failed{held}: {output}", err=True)
    return n_failed
