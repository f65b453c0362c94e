"""``earnest models``: the bundles that come with the package and the networks that can be trained."""

import click

from earnest.apps.cli.output import echo_json, output_options, percent
from earnest.bundle import Bundle, load_bundle, shipped_bundles
from earnest.evaluation.protocol import kind_words
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
    for bundle in bundles:
        _echo_bundle(bundle)
    if not quiet:
        click.echo(f"Networks to train (model = … in a recipe): {', '.join(networks)}")


def _echo_bundle(bundle: Bundle) -> None:
    info = bundle.info
    size = (bundle.folder / "model.onnx").stat().st_size
    click.echo(f"{info.name} {info.version}: {info.n_parameters:,} parameters, {size / 1e6:.1f} MB")
    click.echo(f"  emotions    {', '.join(info.classes)}")
    click.echo(f"  trained on  {', '.join(line.name for line in info.training_corpora)}; start: {info.origin}")
    click.echo(f"  licence     {info.licence}")
    for result in info.results:
        kind = kind_words(result.speaker_independent)
        click.echo(f"  {result.protocol} ({kind}): WA {percent(result.wa)} %, UA {percent(result.ua)} %, n {result.n}")
    click.echo()
