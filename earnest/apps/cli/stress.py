"""``earnest stress``: a finished evaluation on noisy, coded, distorted and otherwise changed recordings."""

import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from earnest.apps.cli import say
from earnest.apps.cli._options import listed
from earnest.apps.cli._training import require_training
from earnest.apps.cli._typed import FOLDER, PATH, corpus_folders, data_option, output_options, overwrite_option
from earnest.errors import EarnestError, MissingExtraError, counted
from earnest.files.reading import read_json
from earnest.files.writing import held_folder, refuse_existing, write_atomically

if TYPE_CHECKING:
    from earnest.experiments.finished import Stress

MARKDOWN, PICTURE = "stress.md", "stress.png"


@click.command()
@click.argument("evaluation", metavar="FOLDER", type=PATH)
@data_option
@click.option("--noise", metavar="FOLDER", help="Noise to mix in. Without it the noises are babble and white noise.")
@click.option("--noise-names", metavar="NAMES", help="With --noise: only recordings with one of these in their path.")
@click.option("--folds", metavar="NAMES", help="Only these folds, with commas.")
@click.option(
    "--clips",
    type=click.IntRange(1),
    help="How many recordings of each fold, drawn evenly over speakers and classes. Default: all.",
)
@click.option(
    "--on",
    "part",
    type=click.Choice(["test", "valid"]),
    default="test",
    show_default=True,
    help="valid: validation recordings, for choosing what helps without the test recordings.",
)
@click.option("--predictions", is_flag=True, help="Also write the predictions of each condition.")
@click.option("-o", "--output", type=FOLDER, help="Folder to write: the result. Default: FOLDER.")
@overwrite_option
@output_options
def command(
    evaluation: Path,
    data: tuple[str, ...],
    noise: str | None,
    noise_names: str | None,
    folds: str | None,
    clips: int | None,
    part: Literal["test", "valid"],
    predictions: bool,
    output: Path | None,
    overwrite: bool,
) -> None:
    """Answer test recordings again, changed in some thirty ways.

    FOLDER is a result of `earnest evaluate`; the models of its folds answer. Changes: noise, babble (many people who
    speak at once), telephone, codecs, rooms, level, clipping, filters. The table has UA (unweighted accuracy, the mean
    recall over classes) with and without the change, the share of answers that stay the same, and the thresholds of
    audEERING's ser-tests. A change depends on nothing but the recording and the condition, so that results can be
    compared.

    \b
    Example:
      earnest stress runs/base-ravdess-6fold --noise noise-esc10 --noise-names baby-cry,sea-waves
    """
    require_training()
    if not find_spec("matplotlib"):  # not after an hour
        raise MissingExtraError("Drawing the stress table", "report")
    if noise_names and not noise:
        raise click.UsageError("--noise-names needs --noise FOLDER.")
    from earnest.experiments.conditions import NoiseTest
    from earnest.experiments.finished import METRICS_STRESS, Finished, StressTest, stress

    asked = StressTest(NoiseTest(noise, names=listed(noise_names)) if noise else None, part, clips, predictions)
    finished = Finished.read(evaluation, corpus_folders(data), listed(folds))
    words = ["earnest", "stress", str(evaluation), *(["--noise", noise] if noise else [])]
    words += ["--noise-names", noise_names] if noise_names else []
    words += ["--folds", folds] if folds else []
    words += ["--clips", str(clips)] if clips else []
    words += ["--on", part] if part != "test" else []
    folder = output or evaluation
    with held_folder(folder):
        _refuse_other_result(folder, METRICS_STRESS, shlex.join(words), overwrite)
        found = stress(finished, asked, folder, shlex.join(words), say.progress())
        _write(found, folder, evaluation.resolve().name)
    if say.answer(found.document):
        return
    _echo(found, evaluation.resolve().name)
    say.hint(f"\nmetrics-stress.json, {MARKDOWN} and {PICTURE} are in {folder}")


def _refuse_other_result(folder: Path, metrics: str, command: str, overwrite: bool) -> None:
    """Refuse to replace what another command has found; the same one may go on where it was killed."""
    try:
        same = read_json(folder / metrics)["command"] == command
    except (EarnestError, KeyError, TypeError):
        same = False
    for name in (metrics, MARKDOWN, PICTURE):
        refuse_existing(folder / name, overwrite or same, "It is not of this stress test. Replace it with --overwrite")


def sentence_of(found: "Stress") -> str:
    """Describe the recordings and the noise in a sentence."""
    facts = found.document
    which = "" if len(facts["folds"]) == facts["of_folds"] else f" of {', '.join(facts['folds'])}"
    few = f", at most {facts['n_clips_a_fold']} a fold" if facts["n_clips_a_fold"] else ""
    noise = facts["noise"]
    heard = (
        f"; recorded noise: {', '.join(noise['names']) or noise['folder']}, "
        f"{counted(noise['recordings'], 'recording')}, "
        f"{noise['heard_in_training'] or 'none'} of them heard in training"
        if noise
        else ""
    )
    return f"{counted(facts['n'], facts['part'] + ' utterance')}{which}{few}{heard}."


def _write(found: "Stress", folder: Path, name: str) -> None:
    from earnest.evaluation.stress import checks_markdown, stress_markdown
    from earnest.plots.results import plot_stress

    title = f"{name}, {found.document['title']}"
    told = "\n\n".join([sentence_of(found), *found.document["notes"]])
    text = f"# {title}\n\n{told}\n\n{stress_markdown(found.rows)}\n{checks_markdown(found.checks)}"
    write_atomically(folder / MARKDOWN, text.encode())
    write_atomically(folder / PICTURE, plot_stress({name: found.rows}, title, sentence_of(found)))


def _echo(found: "Stress", name: str) -> None:
    from earnest.evaluation.stress import CHECK_COLUMNS, COLUMNS

    rows = [row.cells() for row in found.rows]
    say.table(COLUMNS, rows, f"{name}, {found.document['title']}, per cent and points", right=COLUMNS[1:4])
    say.line("\n" + "\n".join([sentence_of(found), *found.document["notes"]]) + "\n")
    checks = [check.cells() for check in found.checks]
    title = f"ser-tests on the utterances as they are ({found.document['n_checked']})"
    say.table(CHECK_COLUMNS, checks, title, right=CHECK_COLUMNS[1:2])
