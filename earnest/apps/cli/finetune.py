"""``earnest finetune``: a pre-trained encoder learns to tell emotions apart in voices that it never heard."""

from pathlib import Path

import click

from earnest.apps.cli.output import corpus_folders, data_option, echo, echo_json, output_options, percent, progress_for
from earnest.apps.cli.train import require_training


@click.command("finetune")
@click.argument("recipe", type=click.Path(path_type=Path))
@data_option
@click.option("--output", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder to make.")
@click.option("--protocol", default=None, metavar="NAME", help="Leave out the test clips of one of its folds.")
@click.option("--fold", default=None, metavar="NAME", help="Which fold of the protocol; default: its first.")
@output_options
def finetune_command(
    recipe: Path,
    data: tuple[str, ...],
    output: Path,
    protocol: str | None,
    fold: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Fine-tune an encoder on the labels of corpora; the same command again resumes a killed run.

    What comes out are weights that a recipe's model can start from ([network] weights = FOLDER). A result under a
    protocol that shares a corpus with it is honest only with that protocol and fold named here.

    \b
    Example:
      python -m research finetune recipes/finetuning/encoder.toml --data crema-d=~/crema-d --output runs/encoder
    """
    require_training()
    from earnest.training.finetuning import finetune
    from earnest.training.finetuning_clips import clips_for
    from earnest.training.finetuning_settings import read_finetuning

    settings = read_finetuning(recipe)
    progress = progress_for(as_json, quiet)
    examples, corpora = clips_for(settings, corpus_folders(data), protocol, fold, progress)
    history = finetune(settings, examples, corpora, output, progress)
    if as_json:
        echo_json({"output": output, "epochs": history})
        return
    last = history[-1]
    if "valid_wa" in last:
        plain, centred = percent(last["valid_wa"]), percent(last["valid_centred_wa"])
        echo(f"held-out voices: WA {plain}; each less the mean of its clips {centred}")
    if not quiet:
        echo(f'Next: weights = "{output}" in the [network] table of a recipe')
