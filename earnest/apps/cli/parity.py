"""``earnest parity``: the exported graph against the trained network, on recordings."""

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
@output_options
def command(run: Path, bundle: Path, paths: tuple[Path, ...], limit: int | None, as_json: bool, quiet: bool) -> None:
    """Compare torch (RUN) and onnxruntime (BUNDLE), clips alone and padded in batches.

    Exit code 1 when they differ by more than 1e-4 in a logit or a probability.

    \b
    Example:
      earnest parity runs/emocatcher bundles/emocatcher ~/ravdess --limit 50
    """
    require_training()
    from earnest.corpora.base import audio_files
    from earnest.export.parity import compare

    clips = [clip for path in paths for clip in (audio_files(path) if path.is_dir() else [path])]
    if not clips:
        raise AudioError(f"{paths[0]}: no recordings found.")
    if limit and limit < len(clips):
        clips = [clips[index * len(clips) // limit] for index in range(limit)]
    parity = compare(run, bundle, clips)
    worst = max(parity.logits, parity.probabilities, parity.batched_logits, parity.batched_probabilities)
    if as_json:
        echo_json({**parity.to_dict(), "tolerance": TOLERANCE, "equal": worst <= TOLERANCE})
    else:
        rows = [
            ["onnxruntime, alone", f"{parity.logits:.1e}", f"{parity.probabilities:.1e}"],
            ["onnxruntime, padded batches", f"{parity.batched_logits:.1e}", f"{parity.batched_probabilities:.1e}"],
            ["torch, padded batches", f"{parity.torch_batched_logits:.1e}", "–"],
        ]
        title = f"Largest difference to torch alone, {parity.n_clips} clips of "
        title += f"{parity.shortest_s:.1f} to {parity.longest_s:.1f} s"
        echo_table(("", "logits", "probabilities"), rows, title, right=("logits", "probabilities"))
        if not quiet:
            click.echo(f"\nSame label: {parity.same_label} of {parity.n_clips}. Tolerance: {TOLERANCE:g}.")
    if worst > TOLERANCE:
        raise SystemExit(EXIT_ERROR)
