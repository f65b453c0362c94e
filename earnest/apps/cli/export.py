"""``earnest export``: from a run folder to a bundle."""

from pathlib import Path

import click

from earnest.apps.cli.output import echo_json, output_options
from earnest.apps.cli.train import require_training


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--output", required=True, type=click.Path(path_type=Path, file_okay=False), help="Bundle folder to make."
)
@click.option("--name", default=None, help="Name of the bundle; default: that of its folder.")
@click.option("--bundle-version", default="0.1.0", show_default=True, help="Version of the bundle.")
@click.option("--licence", default="unspecified", show_default=True, help="Licence of the weights.")
@click.option("--notes", default="", help="A sentence for the model card.")
@click.option(
    "--results",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder of `earnest evaluate` whose result the bundle shall carry; repeatable.",
)
@click.option("--plain", is_flag=True, help="Leave out what adaptation and the out-of-domain verdict need.")
@output_options
def command(
    run: Path,
    output: Path,
    name: str | None,
    bundle_version: str,
    licence: str,
    notes: str,
    results: tuple[Path, ...],
    plain: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Export a trained model as one ONNX graph with its metadata.

    \b
    Example:
      earnest export runs/emocatcher --output bundles/emocatcher
      earnest predict talk.wav --model bundles/emocatcher
    """
    require_training()
    from earnest.export.bundle import Identity, export_bundle

    identity = Identity(name or output.resolve().name, bundle_version, licence, notes)
    info = export_bundle(run, output, identity, results, not plain)
    size = (output / "model.onnx").stat().st_size
    if as_json:
        echo_json({"bundle": output, "classes": info.classes, "bytes": size, "sha256": info.files["model.onnx"]})
        return
    click.echo(f"{output}: {size / 1e6:.2f} MB, {info.n_parameters:,} parameters, {', '.join(info.classes)}")
    if not quiet:
        click.echo(f"Next: earnest predict talk.wav --model {output}")
