"""``earnest compare``: results side by side, with paired tests against the first."""

from pathlib import Path

import click

from earnest.apps.cli import say
from earnest.apps.cli._typed import FILE, PATH, output_options, overwrite_option
from earnest.apps.cli.report import SHOWN, check_page
from earnest.files.writing import new_file


@click.command()
@click.argument("runs", metavar="RUN RUN...", nargs=-1, required=True, type=PATH)
@click.option("-o", "--output", type=FILE, help="File to write: the comparison as an HTML page.")
@overwrite_option
@output_options
def command(runs: tuple[Path, ...], output: Path | None, overwrite: bool) -> None:
    """Compare results with the first one, recording by recording.

    RUNs are folders of train, evaluate, learn or score, or predictions files. Each difference has an interval, from a
    bootstrap over whole speakers, a p-value, from exchanging both for whole speakers, and McNemar's test. Results on
    other recordings or under other protocols can be compared too; then the answer says so.

    \b
    Examples:
      earnest compare runs/base-ravdess-6fold runs/emocatcher-ravdess-6fold --output compare.html
      earnest score a.csv --manifest truth.csv -o a && earnest score b.csv --manifest truth.csv -o b
      earnest compare a b
    """
    if len(runs) < 2:
        raise click.UsageError("Give two or more results to compare.")
    from earnest.report.comparison import compare_results, write_comparison
    from earnest.report.result import read_results

    if output:
        check_page(output, overwrite)
    compared = compare_results(read_results(runs))
    if output:
        with new_file(output, overwrite) as place:
            write_comparison(compared, place)
    if say.answer(compared.to_dict()):
        return
    title = "Each result on all of its utterances, per cent, mean over folds"
    say.table(SHOWN, compared.headline.taken(SHOWN), title, right=SHOWN[2:])
    if compared.on_common:
        say.line()
        say.table(compared.on_common.columns, compared.on_common.rows, right=compared.on_common.columns[1:])
    say.line()
    paired = compared.paired
    title = f"Against {compared.results[0].name}, in points; two-sided p-values"
    for name, *cells in paired.rows:  # one below the other: eleven columns don't fit beside each other
        say.table(("", name), list(zip(paired.columns[1:], cells, strict=True)), title, right=(name,))
        say.line()
    for note in compared.notes:
        say.line(note)
    if output and not say.is_quiet():
        say.line(f"\n{output}")
