"""``earnest batch``: a million recordings to tables, by many processes or machines, resumable."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from earnest.apps.cli import say
from earnest.apps.cli._options import (
    AnswerOptions,
    AveragingOptions,
    EngineOptions,
    ReadingOptions,
    channel_option,
    option,
    options,
)
from earnest.apps.cli._typed import EXIT_ERROR, EXIT_SOME_FAILED, output_options
from earnest.bundle import bundle_anywhere, load_bundle
from earnest.errors import EarnestError, MissingExtraError, counted, printable
from earnest.evaluation.texts import percent
from earnest.runtime.timeline_plot import clock

if TYPE_CHECKING:
    from earnest.apps.batch.plan import ArrayPart, BatchPlan
    from earnest.apps.batch.run import Outcome, Processes, RayActors, Summary
    from earnest.apps.batch.shard import Work

_TABLES = ("predictions", "timelines", "embeddings")


class RunOrNamed(click.Group):
    """A group whose command ``run`` may be left out."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``run`` before what is no command and no question for help."""
        names = {*self.list_commands(ctx), *ctx.help_option_names}
        return super().parse_args(ctx, args if not args or args[0] in names else ["run", *args])


@click.group(cls=RunOrNamed)
@output_options
def command() -> None:
    """Answer a million recordings, by many processes or machines.

    \b
    Examples:
      earnest batch recordings/ --output answers         ("run" may be left out: earnest batch run --help)
      earnest batch summary answers
    """


def _part(_context: click.Context, _parameter: click.Parameter, text: str) -> "ArrayPart":
    from earnest.apps.batch.plan import ArrayPart

    number, _, count = text.partition("/")
    try:
        part = ArrayPart(int(number), int(count))
    except ValueError:
        raise click.BadParameter(f"write the number of this part and of all, such as 3/64; got '{text}'.") from None
    if not 1 <= part.number <= part.count:
        raise click.BadParameter("the first number goes from 1 to the second.")
    return part


@dataclass(frozen=True)
class WorkerOptions(EngineOptions):
    """Options of the workers: their number and engine."""

    jobs: int = option(
        "--jobs",
        type=click.IntRange(1, 4096),
        default=os.cpu_count() or 1,
        show_default="the number of cores",
        help="Workers, each with the model. With --engine ray as many as the cluster has cores at most.",
    )

    def begun(self) -> "Processes | RayActors":
        """Start the engine that runs the workers."""
        from earnest.apps.batch.run import Processes, RayActors

        return RayActors(self.jobs, self.address) if self.engine == "ray" else Processes(self.jobs)


@command.command()
@click.argument("source")
@click.option("-o", "--output", required=True, metavar="DIR|URL", help="Folder to write: the shards.")
@click.option("--table", type=click.Choice(_TABLES), default="predictions", show_default=True, help="What a row holds.")
@options("workers", WorkerOptions)
@click.option(
    "--shard",
    "part",
    default="1/1",
    callback=_part,
    metavar="K/N",
    help="Only the K-th of N parts of the shards: for arrays of Slurm, Kubernetes, Airflow.",
)
@click.option(
    "--shard-size",
    type=click.IntRange(1, 100_000),
    show_default="500, fewer of few inputs",
    help="Inputs in a shard, of a new run.",
)
@click.option("--retry-failed", is_flag=True, help="Do shards with failed recordings again.")
@click.option("--plan", "only_plan", is_flag=True, help="Only list the inputs and cut them into shards.")
@options("models", AveragingOptions)
@options("answer", AnswerOptions)
@channel_option(" A run for each.")
@options("reading", ReadingOptions)
@output_options
def run(
    source: str,
    output: str,
    table: str,
    workers: WorkerOptions,
    part: "ArrayPart",
    shard_size: int | None,
    retry_failed: bool,
    only_plan: bool,
    models: AveragingOptions,
    answer: AnswerOptions,
    channels: tuple[int, ...],
    reading: ReadingOptions,
) -> None:
    """Answer the recordings of SOURCE, or what is missing of them.

    SOURCE is a folder of recordings or tar files, a list (.csv or .tsv with the column path, .txt with one path per
    line), a table (.parquet with the column audio, bytes or path), a tar file (WebDataset), or the address of one of
    these: s3://, gs://, hdfs://, https:// and others of fsspec. So may --output be.

    The inputs are cut into shards; each becomes one Parquet file in DIR/shards, which appears whole, with its
    checksum beside it. A recording that can't be read is a row with its error. After a kill or the loss of a
    machine, what is written stays, and the same command does the rest.

    \b
    Examples:
      earnest batch recordings/ --output answers
      earnest batch s3://calls/2026/ --output s3://answers/2026 --table timelines
      earnest batch calls/ --channel 2 --output customers
      earnest batch calls.parquet --output /shared/answers --shard $SLURM_ARRAY_TASK_ID/64
      earnest batch recordings/ --output answers --engine ray --address head:6379 --jobs 64
      earnest batch summary answers

    Exit codes: 0 all answered, 1 an error that was explained, 2 wrong usage, 3 some recordings could not be read
    (their rows say why), 130 stopped by Ctrl-C.
    """
    from earnest.apps.batch import run as batch_run
    from earnest.apps.batch.places import place_at

    if find_spec("pyarrow") is None:
        raise MissingExtraError("earnest batch", "parquet")
    words, chosen = _requested(source, table, models, answer, channels)
    plan = batch_run.planned(place_at(output), words, shard_size, part, lambda text: say.line(text, err=True))
    work = _work(plan, output, models, reading, chosen)
    if only_plan:
        _tell_plan(plan)
        return
    left, n_failed = plan.to_do(part, "://" not in output, retry_failed)
    if not left and part.count == 1:
        batch_run.tell_new(plan, lambda text: say.line(text, err=True))
    begin = time.perf_counter()
    with say.resumable(output):
        outcome = batch_run.run(plan, work, workers.begun(), left, say.progress(), n_failed)
    _tell(outcome, time.perf_counter() - begin, output)
    _exit(outcome)


def _exit(outcome: "Outcome") -> None:
    """End the command; its exit code says whether all was answered."""
    if outcome.errors or outcome.n_left:
        click.get_current_context().exit(EXIT_ERROR)
    if outcome.n_failed or outcome.n_held_failed:
        click.get_current_context().exit(EXIT_SOME_FAILED)


def _requested(
    source: str, table: str, models: AveragingOptions, answer: AnswerOptions, channels: Sequence[int]
) -> tuple[dict[str, Any], Any]:
    """Return the fields of `earnest.apps.batch.plan.Request`, and the options of answers."""
    bundles = [load_bundle(name) for name in models.models]
    chosen = answer.of(bundles[0].info)  # of several the classes are the same, which each worker checks
    words = {
        "source": source,
        "table": table,
        "models": tuple(f"{bundle.info.name} {bundle.info.version} {bundle.info.digest}" for bundle in bundles),
        "classes": chosen.classes,
        "abstain_below": chosen.abstain_below,
        "tta": models.tta,
        "channel": channels[0] if channels else None,
    }
    return words, chosen


def _work(plan: "BatchPlan", output: str, models: AveragingOptions, reading: ReadingOptions, chosen: Any) -> "Work":
    from earnest.apps.batch.shard import Work

    place = output if "://" in output else str(Path(output).absolute())
    computing = models.threads, models.provider, models.backend
    bundles = tuple(map(bundle_anywhere, models.models))
    return Work(place, plan.request, bundles, chosen, *computing, reading.batch_s, reading.file_s, reading.isolate)


def _tell_plan(plan: "BatchPlan") -> None:
    facts = {"inputs": plan.request.n_inputs, "shards": plan.request.n_shards, "shards_done": len(plan.done())}
    if not say.answer(facts):
        say.hint(say.counts_text(facts))


def _tell(outcome: "Outcome", seconds: float, output: str) -> None:
    for error in outcome.errors:
        say.line(f"earnest: {error}", err=True)
    if say.is_json():
        say.json(
            {
                "answered": outcome.n_rows - outcome.n_failed,
                "failed": outcome.n_failed,
                "failed_before": outcome.n_held_failed,
                "left": outcome.n_left,
                "sound_s": round(outcome.sound_s, 3),
                "seconds": round(seconds, 3),
                "errors": outcome.errors,
            }
        )
    elif not say.is_quiet():
        told = f"{outcome.n_rows - outcome.n_failed} answered, {outcome.n_failed} failed"
        told += "" if outcome.n_rows or outcome.n_left or outcome.errors else ", all were there already"
        if outcome.n_held_failed:
            whose = "that were there already" if outcome.n_rows else "of them"
            told += f", {outcome.n_held_failed} {whose} failed"
        if outcome.n_failed or outcome.n_held_failed:
            told += " (which: earnest batch summary; again: --retry-failed)"
        left = f", {outcome.n_left} left: give the same command again" if outcome.n_left else ""
        say.line(f"{told}, {clock(round(outcome.sound_s, 1))} of sound in {seconds:.0f} s{left}: {output}", err=True)


@command.command()
@click.argument("folder", metavar="DIR|URL")
@output_options
def summary(folder: str) -> None:
    """Sum up the shards: rows, errors, shares, the slowest inputs.

    It says whether there is one row for each input: each shard is compared with its checksum, and its keys with the
    list of the inputs.

    \b
    Example:
      earnest batch summary answers --json

    Exit codes: 0 exactly one row for each input, 1 not (yet), or an error that was explained, 2 wrong usage.
    """
    from earnest.apps.batch.places import place_at
    from earnest.apps.batch.plan import read_plan
    from earnest.apps.batch.run import summarise

    if (plan := read_plan(place_at(folder))) is None:
        raise EarnestError(f"{folder}: no batch run was started there. Give the --output of a batch run.")
    told = summarise(plan, say.progress())
    if not say.answer(told.to_dict()):
        say.hint("\n".join(_lines(told)))
    if not told.is_complete:
        click.get_current_context().exit(EXIT_ERROR)


def _lines(told: "Summary") -> list[str]:
    state = "complete: one row for each input" if told.is_complete else "not complete"
    wrong: dict[str, Sequence[object]] = {"damaged shards": told.damaged, "doubled inputs": told.doubled}
    wrong |= {"missing inputs": told.missing, "strange inputs": told.strange}
    sound, speech, work = (clock(round(total_s, 1)) for total_s in (told.sound_s, told.speech_s, told.worker_s))
    n_failed = sum(told.errors.values())
    return [
        f"{counted(told.n_rows, 'row')} of {counted(told.n_inputs, 'input')}, {told.n_done} of "
        f"{counted(told.n_shards, 'shard')}; {state}",
        *(f"{name}: {len(found)}, such as {found[0]}" for name, found in wrong.items() if found),
        f"{sound} of sound, {speech} of speech; {work} of workers",
        f"status: {say.counts_text(dict(told.statuses.most_common()))}",
        f"emotions: {_shares(told.emotions.most_common())}",
        *([f"quality: {say.counts_text(dict(told.qualities.most_common()))}"] if told.qualities else []),
        *(f"{count} × {error}" for error, count in told.errors.most_common(10)),
        *(f"failed: {printable(error)}" for error in list(told.failed.values())[:10]),
        *([f"… {n_failed - 10} more: earnest batch summary --json"] if n_failed > 10 else []),
        *(
            f"{read_s:.1f} s to read {printable(path)} ({duration_s:.0f} s)"
            for path, read_s, duration_s in told.slowest[:5]
        ),
    ]


def _shares(counts: Sequence[tuple[str, int]]) -> str:
    total = sum(count for _, count in counts) or 1
    return ", ".join(f"{name} {percent(count / total)} %" for name, count in counts) or "none"
