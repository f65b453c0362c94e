"""``earnest models``: the bundles that come with the package and the networks that can be trained."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from earnest.apps.cli import say
from earnest.apps.cli._options import names_from
from earnest.apps.cli._typed import output_options
from earnest.bundle import Bundle, load_bundle, shipped_bundles
from earnest.evaluation.protocols import kind_words
from earnest.evaluation.texts import percent
from earnest.installation import install_command
from earnest.onnx.check import output_widths
from earnest.registry import Registry

if TYPE_CHECKING:
    from earnest.models.classifier import NetworkSummary


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME|PATH]...", shell_complete=names_from(shipped_bundles, files=True))
@output_options
def command(names: tuple[str, ...]) -> None:
    """List bundles and networks.

    Name bundles, or their folders, to list these alone. A bundle is listed with its parameters, size, width of its
    embedding, licence and results. A network that can be trained is listed with its costs: parameters, and
    multiply-adds for a recording of three seconds, without the front end. They are counted from the network as it was
    published. That needs the packages for training, and takes seconds. With --quiet only the names of networks are
    listed in JSON.

    \b
    Examples:
      earnest models
      earnest models base
    """
    bundles = [load_bundle(name) for name in names or shipped_bundles()]
    # Names are read from the source files, so they are there where torch is not.
    networks = [] if names else Registry[object]("MODELS", "model", "earnest.models").names()
    summaries = [] if say.is_quiet() or names else _summaries()
    if say.is_json():
        described = [{**bundle.info.to_dict(), "embedding_width": _embedding_width(bundle)} for bundle in bundles]
        say.json({"bundles": described, "networks": networks, "architectures": summaries})
        return
    for bundle in bundles:
        _echo_bundle(bundle)
    if say.is_quiet() or not networks:
        return
    if not summaries:
        say.line(f"Networks to train (model = … in a recipe): {', '.join(networks)}")
        say.line(f"Their sizes are counted where the packages for training are: {install_command('train')}")
        return
    say.line("Networks to train (model = … in a recipe), as published; multiply-adds for a recording of 3 s:")
    for summary in summaries:
        _echo_network(summary)


def _embedding_width(bundle: Bundle) -> int | None:
    return output_widths(bundle.model_bytes()).get("embedding")


def _summaries() -> "list[NetworkSummary]":
    """Count all networks; none where torch is not installed."""
    if not find_spec("torch"):
        return []
    from earnest.models.classifier import summaries

    return summaries()


def _echo_network(network: "NetworkSummary") -> None:
    if network.parameters is None or network.multiply_adds is None:
        say.line(f"  {network.name:<22}{network.note}")
    else:
        count = f"{network.parameters:>11,} parameters {network.megabytes:>7,.1f} MB"
        work = f"{network.multiply_adds / 1e6:>9,.1f} M multiply-adds"
        say.line(f"  {network.name:<22}{count} {work}, {network.n_classes} classes")
    say.line(f"  {'':<22}{network.paper}")


def _echo_bundle(bundle: Bundle) -> None:
    info = bundle.info
    size = (bundle.folder / "model.onnx").stat().st_size
    say.line(f"{info.name} {info.version}: {info.n_parameters:,} parameters, {size / 1e6:.1f} MB")
    say.line(f"  emotions    {', '.join(info.classes)}; unsure below {info.abstain_below:.0%}")
    say.line(f"  embedding   {_embedding_width(bundle)} values, see earnest embed")
    if info.sounds:
        say.line(f"  sounds      {', '.join(info.sounds)}")
    say.line(f"  trained on  {', '.join(line.name for line in info.training_corpora)}; start: {info.origin}")
    say.line(f"  licence     {info.licence_in_words}")
    for result in info.results:
        kind = kind_words(result.speaker_independent)
        say.line(f"  {result.protocol} ({kind}): WA {percent(result.wa)} %, UA {percent(result.ua)} %, n {result.n}")
    say.line()
