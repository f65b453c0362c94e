"""``earnest spectrogram``: what the network sees of a recording, as a picture that can be predicted."""

from pathlib import Path

import click

from earnest.apps.cli import say
from earnest.apps.cli._options import ModelOptions, options
from earnest.apps.cli._typed import FILE, PATH, output_options, overwrite_option, refuse_input
from earnest.files.writing import new_file, unfollowed


@click.command()
@click.argument("path", type=PATH)
@options("model", ModelOptions)
@click.option("-o", "--output", required=True, type=FILE, help="File to write: .png.")
@overwrite_option
@output_options
def command(path: Path, model: ModelOptions, output: Path, overwrite: bool) -> None:
    """Draw the log-mel spectrogram that the model's network hears.

    It is computed by the model's own front end. The picture is a 16-bit grey PNG. Time goes from left to right, with a
    column for each frame. Frequency goes from bottom to top, with a row for each band. Black and white are the lowest
    and highest decibels; a text chunk of the file holds both, and the front end's settings. A recording longer than 4 s
    is heard in windows: they stand side by side. `earnest predict` and `earnest edge` take the picture in place of the
    recording, with the same model.

    \b
    Examples:
      earnest spectrogram talk.wav -o talk.png
      earnest predict talk.png
    """
    if output.suffix.lower() != ".png":
        raise click.UsageError(f"--output {output}: the name must end in .png.")
    refuse_input(output, [path])
    with new_file(output, overwrite) as place, open(place, "wb", opener=unfollowed) as file:
        picture = model.load().spectrogram(path)
        file.write(picture.to_png())
    rows, frames = picture.log_mel.shape
    lowest, highest = float(picture.log_mel.min()), float(picture.log_mel.max())
    range_db = {"lowest_db": round(lowest, 3), "highest_db": round(highest, 3)}
    if not say.answer({"path": output, "rows": rows, "columns": frames, **range_db}):
        say.hint(f"{output}: {frames} by {rows} pixels, {lowest:.1f} to {highest:.1f} dB")
