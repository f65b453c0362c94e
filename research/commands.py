"""``python -m research``: distillation of a large encoder, fine-tuning on labels, and means of weights."""

from pathlib import Path

import click

from earnest.apps.cli import say
from earnest.apps.cli._training import require_training
from earnest.apps.cli._typed import corpus_folders, data_option, output_options
from earnest.evaluation.texts import percent


@click.command("distil")
@click.argument("recipe", type=click.Path(path_type=Path))
@data_option
@click.option("--output", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder to make.")
@output_options
def distil_command(recipe: Path, data: tuple[str, ...], output: Path) -> None:
    """Distil a large encoder into a small network; the same command again resumes a killed run.

    The small network (student) learns to give the tokens of the large one (teacher). Labels play no part. The result
    is weights that a recipe's model can start from ([network] weights = FOLDER).

    \b
    Example:
      python -m research distil recipes/distillation/student.toml --data crema-d=~/crema-d --output runs/student
    """
    require_training()
    from research.distillation import distil, read_distillation, sound_of

    settings = read_distillation(recipe)
    history = distil(settings, sound_of(settings, corpus_folders(data)), output, say.progress())
    if say.answer({"output": output, "epochs": history}):
        return
    last = history[-1]
    for what, name in (("speakers learnt from", "train"), ("held-out speakers", "valid")):
        if f"{name}_token_error" in last:
            single, pooled = last[f"{name}_token_error"], last[f"{name}_pooled_error"]
            say.line(f"{what}: error of single tokens {single:.3f}, of clips {pooled:.3f} (1: nothing learnt)")
    say.hint(f'Next: weights = "{output}" in the [network] table of a recipe')


@click.command("finetune")
@click.argument("recipe", type=click.Path(path_type=Path))
@data_option
@click.option("--output", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder to make.")
@click.option("--protocol", default=None, metavar="NAME", help="Leave out the test clips of one of its folds.")
@click.option("--fold", default=None, metavar="NAME", help="Which fold of the protocol. Default: its first.")
@output_options
def finetune_command(recipe: Path, data: tuple[str, ...], output: Path, protocol: str | None, fold: str | None) -> None:
    """Fine-tune an encoder on the labels of corpora; the same command again resumes a killed run.

    The result is weights that a recipe's model can start from ([network] weights = FOLDER). Some protocols test on a
    corpus that the encoder was fine-tuned on. A score under such a protocol is honest only if you named that protocol
    and fold here: then its test utterances are left out.

    \b
    Example:
      python -m research finetune recipes/finetuning/encoder.toml --data crema-d=~/crema-d --output runs/encoder
    """
    require_training()
    from research.finetuning import clips_for, finetune, read_finetuning

    settings = read_finetuning(recipe)
    progress = say.progress()
    examples, corpora = clips_for(settings, corpus_folders(data), protocol, fold, progress)
    history = finetune(settings, examples, corpora, output, progress)
    if say.answer({"output": output, "epochs": history}):
        return
    last = history[-1]
    if "valid_wa" in last:
        plain, centred = percent(last["valid_wa"]), percent(last["valid_centred_wa"])
        say.line(f"held-out speakers: WA {plain}; each less the mean of its clips {centred}")
    say.hint(f'Next: weights = "{output}" in the [network] table of a recipe')


@click.command("average")
@click.argument("networks", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--output", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder to make.")
@output_options
def average_command(networks: tuple[Path, ...], output: Path) -> None:
    """Write the mean of the weights of networks that began alike, the one that learnt last named last.

    \b
    Example:
      python -m research average runs/large-encoder runs/large-encoder-again --output runs/large-encoder-mean
    """
    require_training()
    from research.averaging import average

    average(networks, output)
    if not say.answer({"output": output}):
        say.hint(f'Next: weights = "{output}" in the [network] table of a recipe')


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Make the encoders that recipes start from. It runs in a checkout, with earnest[train] installed."""


cli.add_command(average_command)
cli.add_command(distil_command)
cli.add_command(finetune_command)
