"""``earnest models``: the bundles that come with the package and the networks that can be trained."""

import click

from earnest.apps.cli.output import echo_json, echo_table, output_options, percent
from earnest.bundle import Bundle, load_bundle, shipped_bundles
from earnest.registry import Registry


@click.command()
@output_options
def command(as_json: bool, quiet: bool) -> None:
    """List bundles with parameters, size, licence and results, and the names of trainable networks.

    \b
    Example:
      earnest models
    """
    bundles = [load_bundle(name) for name in shipped_bundles()]
    # Names are read from the source files: torch stays out.
    networks = Registry[object]("MODELS", "model", "earnest.models").names()
    if as_json:
        echo_json({"bundles": [bundle.info for bundle in bundles], "networks": networks})
        return
    columns = ("bundle", "emotions", "parameters", "MB", "licence", "results (WA / UA %)")
    echo_table(columns, [_row(bundle) for bundle in bundles], right=("parameters", "MB"))
    if not quiet:
        click.echo(f"\nNetworks to train (model = … in a recipe): {', '.join(networks)}")


def _row(bundle: Bundle) -> list[str]:
    info = bundle.info
    results = "\n".join(
        f"{result.protocol} {percent(result.wa)} / {percent(result.ua)}"
        + ("" if result.speaker_independent else " (speaker-dependent)")
        for result in info.results
    )
    size = (bundle.folder / "model.onnx").stat().st_size
    emotions = ", ".join(info.classes)
    return [info.name, emotions, f"{info.n_parameters:,}", f"{size / 1e6:.1f}", info.licence, results or "none"]
