"""``earnest distil``: a small network learns to imitate a large encoder."""

from pathlib import Path

import click

from earnest.apps.cli.output import corpus_folders, data_option, echo, echo_json, output_options, progress_for
from earnest.apps.cli.train import require_training


@click.command("distil")
@click.argument("recipe", type=click.Path(path_type=Path))
@data_option
@click.option("--output", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder to make.")
@output_options
def distil_command(recipe: Path, data: tuple[str, ...], output: Path, as_json: bool, quiet: bool) -> None:
    """Teach a small network the tokens of a large encoder; the same command again resumes a killed run.

    Labels play no part. What comes out are weights that a recipe's model can start from ([network] weights = FOLDER).

    \b
    Example:
      python -m research distil recipes/distillation/student.toml --data crema-d=~/crema-d --output runs/student
    """
    require_training()
    from earnest.training.distillation import distil, sound_of
    from earnest.training.distillation_settings import read_distillation

    settings = read_distillation(recipe)
    history = distil(settings, sound_of(settings, corpus_folders(data)), output, progress_for(as_json, quiet))
    if as_json:
        echo_json({"output": output, "epochs": history})
        return
    last = history[-1]
    for what, name in (("voices learnt from", "train"), ("held-out voices", "valid")):
        if f"{name}_token_error" in last:
            single, pooled = last[f"{name}_token_error"], last[f"{name}_pooled_error"]
            echo(f"{what}: error of single tokens {single:.3f}, of clips {pooled:.3f} (1: nothing learnt)")
    if not quiet:
        echo(f'Next: weights = "{output}" in the [network] table of a recipe')
