"""``earnest parity``: the exported graph against the trained network, on recordings."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from earnest.apps.cli import say
from earnest.apps.cli._recordings import NamedRecordings, readable
from earnest.apps.cli._training import require_training
from earnest.apps.cli._typed import EXIT_ERROR, EXIT_SOME_FAILED, FOLDER, PATH, output_options, overwrite_option
from earnest.errors import counted
from earnest.files.writing import refuse_existing
from earnest.settings.recipe import read_recipe

if TYPE_CHECKING:
    from earnest.export.parity import Parity

TOLERANCE = 1e-4


@click.command()
@click.argument("run", type=PATH)
@click.argument("bundle", type=PATH)
@click.argument("paths", nargs=-1, required=True)
@click.option(
    "--limit", type=click.IntRange(1), default=None, help="How many recordings, spread evenly over PATHS. Default: all."
)
@click.option("--also", multiple=True, type=PATH, help="Another bundle of RUN; repeatable.")
@click.option(
    "-o",
    "--output",
    type=FOLDER,
    help="Folder to write: size, speed and memory of all runtimes, on these recordings at other lengths, rates and "
    "levels too.",
)
@overwrite_option
@output_options
def command(
    run: Path,
    bundle: Path,
    paths: tuple[str, ...],
    limit: int | None,
    also: tuple[Path, ...],
    output: Path | None,
    overwrite: bool,
) -> None:
    """Compare torch with onnxruntime, one by one and in batches.

    RUN is computed with torch, BUNDLE with onnxruntime; in batches recordings are padded. PATHS are recordings, folders
    or lists (.csv or .tsv with the column path). Exit code 1 when the two differ by more than 1e-4 in a logit or a
    probability, 3 when recordings are left out, as they can't be read. With --output a table over BUNDLE and all of
    --also is made instead, each on the runtime that it was exported for.

    \b
    Examples:
      earnest parity runs/emocatcher bundles/emocatcher ~/ravdess --limit 50
      earnest parity runs/emocatcher bundles/emocatcher ~/ravdess --limit 200 --also bundles/int8 --output results
    """
    require_training()
    from earnest.export.parity import compare

    if output:
        refuse_existing(output / f"{run.name}.json", overwrite)
    clips, unread = readable_files(paths, limit)
    if output or also:
        _compare_all(run, (bundle, *also), clips, output)
    else:
        parity = compare(run, bundle, clips)
        if not say.answer({**asdict(parity), "tolerance": TOLERANCE, "equal": parity.largest <= TOLERANCE}):
            _tell(parity)
        if parity.largest > TOLERANCE:
            raise SystemExit(EXIT_ERROR)
    if unread:
        raise SystemExit(EXIT_SOME_FAILED)


def readable_files(paths: Sequence[str], limit: int | None) -> tuple[list[Path], bool]:
    """Return the recordings that words mean, at most ``limit``, spread evenly over all; see `readable`."""
    found = NamedRecordings(paths).sources()
    if not all(isinstance(source, str) for source in found):
        raise click.UsageError("parity compares whole files: no standard input, and no channels of a list.")
    n = min(limit or len(found), len(found))
    clips, unread = readable(found[index * len(found) // n] for index in range(n))
    return [Path(str(clip)) for clip in clips], unread


def _tell(parity: "Parity") -> None:
    rows = [
        _cells("onnxruntime, alone", parity.logits, parity.probabilities, parity.gender),
        _cells(
            "onnxruntime, padded batches", parity.batched_logits, parity.batched_probabilities, parity.batched_gender
        ),
        _cells("torch, padded batches", parity.torch_batched_logits, None, None),
    ]
    title = f"Largest difference to torch alone, {counted(parity.n_clips, 'recording')} of "
    title += f"{parity.shortest_s:.1f} to {parity.longest_s:.1f} s"
    columns = ("", "logits", "probabilities", "gender")
    say.table(columns, rows, title, right=columns[1:])
    if not say.is_quiet():
        told = "equal" if parity.largest <= TOLERANCE else "NOT equal"
        limits = f"within {TOLERANCE:g}, logits by the temperature {parity.temperature:.3g}"
        say.line(f"\nSame label: {parity.same_label} of {parity.n_clips}. {told} ({limits}).")


def _cells(name: str, *differences: float | None) -> list[str]:
    return [name, *("–" if one is None else f"{one:.1e}" for one in differences)]


def _compare_all(run: Path, bundles: Sequence[Path], clips: Sequence[Path], output: Path | None) -> None:
    from earnest.export.parity import COLUMNS, compare_runtimes, varied, write_rows

    waveforms = varied(clips, read_recipe(run).front_end.sample_rate_hz)
    rows = compare_runtimes(run, bundles, waveforms, clips[0])
    if output:
        write_rows(output, run.name, len(clips), rows)
    if not say.answer({"run": run.name, "n_clips": len(clips), "rows": [asdict(row) for row in rows]}):
        title = f"{counted(len(clips), 'recording')} of other lengths, rates and levels"
        say.table(COLUMNS, [row.cells() for row in rows], title, right=COLUMNS[2:])
