"""``earnest parity``: the exported graph against the trained network, on recordings."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from earnest.apps.cli.output import EXIT_ERROR, echo_json, echo_table, output_options
from earnest.apps.cli.train import require_training
from earnest.errors import AudioError

TOLERANCE = 1e-4


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--limit", type=click.IntRange(1), default=None, help="So many clips, spread evenly over PATHS.")
@click.option("--also", multiple=True, type=click.Path(path_type=Path), help="Another bundle of RUN; repeatable.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Compare all runtimes on these clips at other lengths, rates and levels: size, speed, memory; write it here.",
)
@output_options
def command(
    run: Path,
    bundle: Path,
    paths: tuple[Path, ...],
    limit: int | None,
    also: tuple[Path, ...],
    output: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Compare torch (RUN) and onnxruntime (BUNDLE), clips alone and padded in batches.

    Exit code 1 when they differ by more than 1e-4 in a logit or a probability. With --output a table over BUNDLE and
    all of --also is made instead, each on the runtime that it was exported for.

    \b
    Examples:
      earnest parity runs/emocatcher bundles/emocatcher ~/ravdess --limit 50
      earnest parity runs/emocatcher bundles/emocatcher ~/ravdess --limit 200 --also bundles/int8 --output results
    """
    require_training()
    from earnest.corpora.base import audio_files
    from earnest.export.parity import compare

    clips = [clip for path in paths for clip in (audio_files(path) if path.is_dir() else [path])]
    if not clips:
        raise AudioError(f"{paths[0]}: no recordings found.")
    if limit and limit < len(clips):
        clips = [clips[index * len(clips) // limit] for index in range(limit)]
    if output or also:
        _compare_all(run, (bundle, *also), clips, output, as_json)
        return
    parity = compare(run, bundle, clips)
    if as_json:
        echo_json({**parity.to_dict(), "tolerance": TOLERANCE, "equal": parity.largest <= TOLERANCE})
    else:
        rows = [
            _cells("onnxruntime, alone", parity.logits, parity.probabilities, parity.gender),
            _cells(
                "onnxruntime, padded batches",
                parity.batched_logits,
                parity.batched_probabilities,
                parity.batched_gender,
            ),
            _cells("torch, padded batches", parity.torch_batched_logits, None, None),
        ]
        title = f"Largest difference to torch alone, {parity.n_clips} clips of "
        title += f"{parity.shortest_s:.1f} to {parity.longest_s:.1f} s"
        columns = ("", "logits", "probabilities", "gender")
        echo_table(columns, rows, title, right=columns[1:])
        if not quiet:
            click.echo(f"\nSame label: {parity.same_label} of {parity.n_clips}. Tolerance: {TOLERANCE:g}.")
    if parity.largest > TOLERANCE:
        raise SystemExit(EXIT_ERROR)


def _cells(name: str, *differences: float | None) -> list[str]:
    return [name, *("–" if one is None else f"{one:.1e}" for one in differences)]


def _compare_all(run: Path, bundles: Sequence[Path], clips: Sequence[Path], output: Path | None, as_json: bool) -> None:
    from earnest.export.runtimes import compare_runtimes, varied
    from earnest.recipe import read_recipe

    waveforms = varied(clips, read_recipe(run).front_end.sample_rate_hz)
    rows = compare_runtimes(run, bundles, waveforms, clips[0])
    document = {"run": run.name, "n_clips": len(clips), "rows": [asdict(row) for row in rows]}
    columns = (
        "runtime",
        "form",
        "max |Δp|",
        "mean |Δp|",
        "same label",
        "MB",
        "3 s, ms",
        "best, ms",
        "cold start, s",
        "memory, MB",
    )
    cells = [
        [
            row.runtime,
            row.form,
            f"{row.largest:.1e}",
            f"{row.mean:.1e}",
            f"{row.same_label:.1%}",
            f"{row.n_bytes / 1e6:.2f}",
            f"{row.latency_ms:.2f}",
            f"{row.best_ms:.2f}",
            f"{row.cold_start_s:.2f}",
            f"{row.memory_mb:.0f}",
        ]
        for row in rows
    ]
    if output:
        output.mkdir(parents=True, exist_ok=True)
        (output / f"{run.name}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        lines = ["| " + " | ".join(line) + " |" for line in (columns, ["---"] * 2 + ["---:"] * 8, *cells)]
        (output / f"{run.name}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if as_json:
        echo_json(document)
    else:
        echo_table(columns, cells, f"{len(clips)} clips of other lengths, rates and levels", right=columns[2:])
