"""``earnest import``: weights that others published become a run folder of ours."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from earnest.apps.cli import say
from earnest.apps.cli._training import PROTOCOL, fold_option, require_training
from earnest.apps.cli._typed import PATH, command_line, corpus_folders, data_option, output_options, overwrite_option
from earnest.errors import counted
from earnest.evaluation.author_protocols import stamp_of
from earnest.evaluation.protocols import protocol_called
from earnest.evaluation.texts import percent
from earnest.settings.recipe import Recipe, read_recipe, recipe_file

if TYPE_CHECKING:
    from earnest.experiments.evaluate import Evaluation
    from earnest.progress import Progress

NETWORKS = {  # what FILE is
    "emocatcher": "EmoCatcher's checkpoint (.pth), which lies in github.com/hwang9u/emocatcher",
    "moody-alexnet": "the graph of Moody's web application, or of `earnest export --profile moody` (.onnx)",
}
STARTS = ("alexnet", "densenet121", "resnet18", "vgg11")
TORCHVISIONS = "torchvision's weights of this network, trained on ImageNet (.pth)"


@click.command("import")
@click.argument("network", metavar="NETWORK", type=click.Choice((*NETWORKS, *STARTS)))
@click.argument("file", type=PATH)
@click.option("-o", "--output", type=PATH, help="Folder to write: the run. Of ImageNet weights: the file.")
@overwrite_option
@click.option(
    "--protocol",
    **PROTOCOL,
    help="Also answer the test recordings of this protocol, such as emocatcher-holdout, and score them.",
)
@fold_option
@data_option
@output_options
def command(
    network: str,
    file: Path,
    output: Path | None,
    overwrite: bool,
    protocol: str | None,
    fold: str | None,
    data: tuple[str, ...],
) -> None:
    """Take over weights that others published, tensor by tensor.

    For the NETWORK emocatcher, FILE is EmoCatcher's checkpoint (.pth), for moody-alexnet Moody's graph (.onnx). The
    result is a run folder, which `earnest export` makes a bundle of. For alexnet, densenet121, resnet18 and vgg11, FILE
    is torchvision's file, trained on ImageNet: it is checked and put below $EARNEST_MODELS, where recipes look for it.
    Nothing but tensors is read; each must have the name and shape that our copy of the network expects.

    \b
    Examples:
      earnest import emocatcher best_model_0.8715_0.8655.pth --output runs/theirs
      earnest export runs/theirs --output bundles/theirs
      earnest import alexnet alexnet-owt-7be5be79.pth
    """
    require_training()
    from earnest.experiments.evaluate import require_fold
    from earnest.models.published import import_imagenet
    from earnest.training.run import import_run

    if (file.suffix == ".onnx") != (network == "moody-alexnet"):
        raise click.UsageError(f"{file}: for {network}, FILE is {NETWORKS.get(network, TORCHVISIONS)}.")
    if network in STARTS:
        if protocol or fold or data:
            raise click.UsageError(f"{network} is for starting a training: leave out --protocol, --fold and --data.")
        place = import_imagenet(network, file, output, overwrite)
        if not say.answer({"weights": place}):
            say.line(f"{place}: {network}, all tensors fit.")
        return
    if output is None:
        raise click.UsageError(f"--output is missing: name the run folder to make of {network}.")
    if overwrite:
        raise click.UsageError("A run folder is never replaced: choose another --output, or remove the folder.")
    recipe = _recipe(network, protocol)
    if protocol:
        require_fold(recipe, protocol, fold, corpus_folders(data))
    record = import_run(network, file, output, recipe)
    typed = ["earnest", "import", network, str(file), "--output", str(output), "--protocol", protocol or ""]
    typed += ["--fold", fold] if fold else []
    progress = say.progress()
    outcome = _scored(output, protocol, fold, data, shlex.join(typed), progress) if protocol else None
    facts = {"run": output, "classes": record.classes, "parameters": record.n_parameters}
    if say.answer({**facts, "test": _headline(outcome) if outcome else None}):
        return
    say.line(f"{output}: {record.n_parameters:,} parameters, {', '.join(record.classes)}. {record.origin}.")
    if outcome:
        _echo_test(outcome)
    say.hint(f"Next: {command_line('export', output, '--output', f'bundles/{output.name}')}")


def _headline(outcome: "Evaluation") -> dict[str, float | int | str | None]:
    scores = outcome.scores
    return {"wa": scores.wa, "ua": scores.ua, "n": scores.n, "stamp": stamp_of(outcome.document) or None}


def _echo_test(outcome: "Evaluation") -> None:
    wa, ua, stamp = percent(outcome.scores.wa), percent(outcome.scores.ua), stamp_of(outcome.document)
    told = (
        f"{outcome.protocol.kind} test, {counted(outcome.scores.n, 'utterance')}, answered one by one: WA {wa}, UA {ua}"
    )
    say.line(f"{told} [{stamp}]." if stamp else f"{told}.")


def _recipe(network: str, protocol: str | None) -> Recipe:
    """Return our recipe of the network, with what the protocol that it will be scored under changes in it."""
    from earnest.experiments.task import under

    recipe = read_recipe(recipe_file(network))
    return under(protocol_called(protocol), recipe) if protocol else recipe


def _scored(
    run: Path, protocol: str, fold: str | None, data: tuple[str, ...], command: str, progress: "Progress"
) -> "Evaluation | None":
    from earnest.experiments.evaluate import train

    return train(read_recipe(run), protocol, fold, corpus_folders(data), run, command, progress=progress)
