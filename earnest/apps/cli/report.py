"""``earnest report``: one page about one or several results, with pictures, JSON and Markdown beside it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from earnest.apps.cli import say
from earnest.apps.cli._typed import FILE, PATH, corpus_folders, data_option, output_options, overwrite_option
from earnest.errors import EarnestError
from earnest.files.writing import refuse_existing

if TYPE_CHECKING:
    from earnest.report.answers import AnswersPage

PAGE = "report.html"
_PAGES = (".html", ".htm")
SHOWN = ("result", "speakers", "WA", "pooled WA", "UA", "pooled UA")  # of the columns of the page


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=PATH)
@click.option(
    "-o",
    "--output",
    type=FILE,
    help=f"File to write: the HTML page. Pictures go into a folder of its name. Default: {PAGE} in RUN, for files and "
    "several RUNs in the working folder.",
)
@overwrite_option
@data_option
@click.option("--no-audio", is_flag=True, help="Put no recordings into the page.")
@click.option("--examples", type=click.IntRange(0, 500), default=32, show_default=True, help="Recordings to show.")
@output_options
def command(
    runs: tuple[Path, ...], output: Path | None, overwrite: bool, data: tuple[str, ...], no_audio: bool, examples: int
) -> None:
    """Write one self-contained HTML page about results.

    RUNs are folders of train or evaluate, or any predictions.csv; or one file of predict or timeline (.csv, .jsonl,
    .parquet): its answers are counted, not scored, because it has no true labels. A part is left out where recordings
    or PyTorch are missing, and the page says why. Recordings go into the page only where the licence of their corpus
    allows passing them on.

    \b
    Examples:
      earnest report runs/base-ravdess-6fold --output report.html
      earnest report emotions.csv --output report.html
      earnest report spans.jsonl --output report.html
    """
    from earnest.export.card import refuse_full
    from earnest.plots.style import new_figure
    from earnest.report.answers import answers_page
    from earnest.report.build import ReportOptions, build_report, folder_of_page, write_report
    from earnest.report.result import read_results

    new_figure(1, 1)  # without matplotlib, this says so at once
    page = output or (runs[0] / PAGE if len(runs) == 1 and runs[0].is_dir() else Path(PAGE))
    check_page(page, overwrite)
    if (folder := folder_of_page(page)).resolve() in {(run if run.is_dir() else run.parent).resolve() for run in runs}:
        raise EarnestError(
            f"{folder}: the page's pictures would go among the run's files. Say --output {folder / PAGE}."
        )
    instead = "The page's pictures go there. Replace what has their names with --overwrite, or choose another --output."
    refuse_full(folder, overwrite, instead)
    if len(runs) == 1 and (answers := answers_page(runs[0])):
        _tell_answers(answers, page)
        return
    results = read_results(runs)
    report = build_report(results, corpus_folders(data), ReportOptions(not no_audio, examples))
    folder = write_report(report, page)
    if say.answer({"page": page, "folder": folder, **report.to_dict()}):
        return
    say.table(SHOWN, report.headline.taken(SHOWN), "Per cent, mean over folds", right=SHOWN[2:])
    say.line()
    for note in report.notes:
        say.line(note)
    say.hint(f"\n{page} ({say.size_text(page)}); pictures, report.json and report.md are in {folder}")


def check_page(page: Path, overwrite: bool) -> None:
    """Refuse a page that is there already, or whose name says that it is something else."""
    if page.suffix.lower() not in _PAGES:
        raise click.UsageError(f"--output {page}: the name must end in {', '.join(_PAGES)}.")
    refuse_existing(page, overwrite)


def _tell_answers(answers: "AnswersPage", page: Path) -> None:
    """Write the page about answers that nobody can score."""
    from earnest.report.answers import write_answers_page

    folder = write_answers_page(answers, page)
    if say.answer({"page": page, "folder": folder, **answers.to_dict()}):
        return
    say.table(("", answers.name), list(answers.facts.items()))
    say.hint(f"\n{page} ({say.size_text(page)}); pictures and report.json are in {folder}")
