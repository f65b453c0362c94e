"""``earnest export``: from a run folder to a bundle."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from earnest.apps.cli import say
from earnest.apps.cli._training import require_training
from earnest.apps.cli._typed import (
    FOLDER,
    PATH,
    command_line,
    corpus_folders,
    data_option,
    output_options,
    overwrite_option,
)
from earnest.bundle import COMPANIONS, FORMATS, Format, path_of_bundle
from earnest.files.reading import real_path

if TYPE_CHECKING:
    from earnest.export.bundle import Identity


@click.command()
@click.argument("run", type=PATH)
@click.option("-o", "--output", required=True, type=FOLDER, help="Folder to write: the bundle.")
@overwrite_option
@click.option("--name", default=None, help="Name of the bundle. Default: the name of its folder.")
@click.option("--bundle-version", default="0.1.0", show_default=True, help="Version of the bundle.")
@click.option("--licence", default="unspecified", show_default=True, help="Licence of the weights.")
@click.option("--notes", default="", help="A sentence for the model card.")
@click.option(
    "--results",
    multiple=True,
    type=PATH,
    help="Folder of `earnest evaluate` whose result goes into the bundle; repeatable.",
)
@click.option(
    "--leave-out",
    multiple=True,
    type=click.Choice(COMPANIONS),
    help="Leave out of the bundle: speaker adaptation, or the distance that finds out-of-domain sound; repeatable.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="onnx",
    show_default=True,
    help="Format of the model's file. onnx and web: exact, for onnxruntime everywhere. onnx-fp16, onnx-int8: smaller, "
    "unless weights are stored in 8 bits already. onnx-int8 is a little faster, changes about one label in fifty, and "
    "needs the run's corpora. openvino, openvino-fp16, openvino-int8: for OpenVINO.",
)
@click.option(
    "--profile",
    type=click.Choice(["bundle", "moody"]),
    default="bundle",
    show_default=True,
    help="For which application (not the profile of a speaker). bundle: a bundle of earnest. moody: one ONNX file, "
    "whose input and output have the names of Moody's web application.",
)
@data_option
@output_options
def command(
    run: Path,
    output: Path,
    overwrite: bool,
    name: str | None,
    bundle_version: str,
    licence: str,
    notes: str,
    results: tuple[Path, ...],
    leave_out: tuple[str, ...],
    form: Format,
    profile: str,
    data: tuple[str, ...],
) -> None:
    """Export a trained model as one graph with its metadata.

    The graph goes from samples to probabilities.

    \b
    Examples:
      earnest export runs/emocatcher --output bundles/emocatcher
      earnest predict talk.wav --model bundles/emocatcher
      earnest export runs/emocatcher --output bundles/emocatcher-int8 --format onnx-int8 --data ravdess=~/ravdess
    """
    require_training()
    from earnest.export.bundle import Form, Identity, export_bundle
    from earnest.export.card import refuse_full

    refuse_full(output, overwrite)

    identity = Identity(name or real_path(output).name, bundle_version, licence, notes)
    if profile == "moody":
        if form != "onnx" or results or leave_out:
            raise click.UsageError("--profile moody can't be used with --format, --results or --leave-out.")
        _export_moody(run, output, identity)
        return
    if not say.is_json():
        say.hint(f"Exporting {run} …", err=True)
    info = export_bundle(run, output, identity, results, leave_out, Form(form, corpus_folders(data)))
    graph = [name for name in info.files if name.startswith("model.")]
    size = sum((output / name).stat().st_size for name in graph)
    digests = {name: info.files[name] for name in graph}
    if say.answer({"bundle": output, "format": form, "classes": info.classes, "bytes": size, "sha256": digests}):
        return
    say.line(f"{output}: {size / 1e6:.2f} MB, {info.n_parameters:,} parameters, {', '.join(info.classes)}")
    say.hint(f"Next: {command_line('predict', 'talk.wav', '--model', path_of_bundle(output))}")


def _export_moody(run: Path, output: Path, identity: "Identity") -> None:
    from earnest.export.bundle import export_moody

    classes = export_moody(run, output, identity)
    file = output / "model.onnx"
    if not say.answer({"file": file, "classes": classes, "bytes": file.stat().st_size}):
        say.line(f"{file}: {file.stat().st_size / 1e6:.2f} MB, {', '.join(classes)}")
