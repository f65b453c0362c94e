"""Train the five systems with their published number of epochs: a row a run, resumable; `make five`.

    python scripts/five.py --plan                     # what would run, what is skipped and why, core hours
    python scripts/five.py [ROW ...] [--hours 12]     # run it; the same command again goes on where it stopped

Rows "…, RAVDESS f1" are those of docs/results/recipes (python scripts/recipe_table.py runs/five/NAME keeps one); the
others follow the authors' protocols. Every finished row is a line of runs/five/campaign.jsonl with its command, its
seconds and its scores. A row is skipped where a corpus is not at hand or where it would take more core hours than
--hours. Seconds an epoch are those of a run that was begun here, else those of docs/results/recipes, scaled by the
number of training recordings: an estimate. All but EmoCatcher see images, which are computed in bfloat16 on a processor
that multiplies it itself; others take two to three times as long.
"""

import argparse
import csv
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from earnest.corpora.load import corpus_root
from earnest.errors import CorpusError, WeightsNotFoundError
from earnest.models.pretrained import find_weights
from earnest.settings.recipe import Recipe, read_recipe

ROOT = Path(__file__).resolve().parents[1]
SAME_NETWORK = {"vino-negative5": "vino-densenet"} | {
    f"ntu-thai-{name}": f"ntu-{name}" for name in ("resnet18", "alexnet", "fcn-gap")
}  # recipe that was not measured → one of its cost
MEASURED = ROOT / "docs" / "results" / "recipes" / "recipes.json"
RAVDESS = ("--protocol", "ravdess-6fold", "--scheme", "ravdess8", "--fold", "f1")
# DenseNet's first stage trains a head alone, which makes no sense on random features.
ONE_STAGE = ("--set", "training.freeze=[]", "--set", "training.unfreeze=[]")


@dataclass(frozen=True)
class Row:
    """One command.

    Attributes
    ----------
    words : behind the recipe
    corpora : needed; those behind "?" are taken where they are at hand
    trainings : in units of one training on fold f1 of ravdess-6fold, 960 recordings
    """

    recipe: str
    name: str
    command: str
    words: tuple[str, ...]
    corpora: tuple[str, ...]
    trainings: float = 1.0

    @property
    def folder(self) -> str:
        """The name of its run folder."""
        return f"{self.recipe}-{'-'.join(self.name.lower().replace(',', '').split())}"


def _on_ravdess(recipe: str) -> Row:
    return Row(recipe, "RAVDESS f1", "train", RAVDESS, ("ravdess",))


def _by(recipe: str, protocol: str, corpora: tuple[str, ...], trainings: float, *more: str) -> Row:
    name = f"{protocol}, as published" if "--as-published" in more else protocol
    return Row(recipe, name, "evaluate", ("--protocol", protocol, *more), corpora, trainings)


NTU = ("ntu-alexnet", "ntu-alexnet-stability", "ntu-fcn-gap", "ntu-resnet18", "ntu-vgg11")
MOODY = ("?ravdess", "?emodb", "?tess", "?jl-corpus")
VINO = ("ravdess", "ravdess-song")
ROWS = (
    # As published: epoch on test, the same split with the epoch on validation clips, ravdess-6fold.
    _by("emocatcher", "emocatcher-holdout", ("ravdess",), 8.3, "--as-published"),
    _by("emocatcher", "emocatcher-5fold", ("ravdess",), 17.4, "--as-published"),
    _on_ravdess("multitask-cnn"),
    *(_on_ravdess(f"moody-{name}") for name in ("alexnet", "resnet18")),
    *(_on_ravdess(name) for name in ("vino-densenet", *NTU, "ntu-fcn-gap-8khz")),
    # RAVDESS and EmoDB, 1,961 clips: 70 %, nine tenths of these, and 60 % in five folds.
    *(_by(f"moody-{name}", "moody-random", MOODY, 8.8, "--as-published") for name in ("alexnet", "resnet18")),
    *(_by(f"vino-{name}", protocol, VINO, trainings) for name, own in (("densenet", "vino-random"),
      ("negative5", "vino-random5")) for protocol, trainings in ((own, 2.0), ("speaker-5fold", 7.7))),
    # 2,280 improvised clips, nine of ten speakers' sessions, ten folds with five seeds. As published is honest here.
    *(_by(name, "iemocap-10speaker", ("iemocap",), 95.0, "--as-published") for name in NTU),
    _by("ntu-fcn-gap-8khz", "iemocap-10speaker", ("iemocap",), 95.0, "--as-published"),
    # Some 8,600 clips, a guess: nobody here has them.
    *(_by(f"ntu-thai-{name}", "thai-ser-ntu", ("thai-ser",), 9.0, "--as-published")
      for name in ("resnet18", "alexnet", "fcn-gap")),
    # Of some 7,400 clips 80 %, then 60 % in five folds.
    _by("multitask-cnn", "multitask-random", ("iemocap",), 29.2, "--as-published"),
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """A row, with what it costs and whether it can run.

    Attributes
    ----------
    hours : estimated core hours, None where no epoch was ever measured
    skipped : why not, "" where it can run
    note : what differs from the published training
    words : of the command
    """

    row: Row
    hours: float | None
    skipped: str
    note: str
    words: tuple[str, ...]

    def line(self) -> str:
        """Write it for the plan."""
        cost = "   ?" if self.hours is None else f"{self.hours:6.1f}"
        more = f"  skipped: {self.skipped}" if self.skipped else f"  {self.note}" if self.note else ""
        return f"{cost} h  {self.row.recipe}, {self.row.name}{more}"


def planned(row: Row, folders: dict[str, Path], most_hours: float, recipes: Path, output: Path) -> Plan:
    """Look which corpora and weights are at hand, and estimate what a row costs."""
    recipe = read_recipe(recipes / f"{row.recipe}.toml")
    at_hand = [name.removeprefix("?") for name in row.corpora if _is_at_hand(name.removeprefix("?"), folders)]
    missing = [name for name in row.corpora if not name.startswith("?") and name not in at_hand]
    elsewhere = _seconds_an_epoch().get(SAME_NETWORK.get(row.recipe, row.recipe))
    seconds = _seconds_here(output / row.folder / "history.csv") or elsewhere
    hours = None if seconds is None else seconds * recipe.training.epochs * row.trainings / 3600
    skipped = ""
    if missing or not at_hand:
        skipped = f"not at hand: {', '.join(missing or [name.removeprefix('?') for name in row.corpora])}"
    elif hours is not None and hours > most_hours:
        skipped = f"about {hours:.0f} core hours, --hours allows {most_hours:g}"
    weights = _missing_weights(recipe)
    notes = [f"from random weights, {weights} is not at hand"] if weights else []
    words = [*row.words, *(ONE_STAGE if weights and recipe.training.freeze else ())]
    if any(name.startswith("?") for name in row.corpora):
        notes += [f"on {', '.join(at_hand)} of {', '.join(name.removeprefix('?') for name in row.corpora)}"]
        words += ["--set", f"corpus={json.dumps(at_hand)}"]
    words += [word for name, place in folders.items() for word in ("--data", f"{name}={place}")]
    path = recipes / f"{row.recipe}.toml"
    command = ("earnest", row.command, str(path), *words, "--output", str(output / row.folder), "--json")
    return Plan(row, hours, skipped, "; ".join(notes), command)


def _is_at_hand(corpus: str, folders: dict[str, Path]) -> bool:
    try:
        corpus_root(corpus, folders)
    except CorpusError:
        return False
    return True


def _missing_weights(recipe: Recipe) -> str:
    name = str(recipe.network.get("weights", ""))
    try:
        if name:
            find_weights(Path(name))
    except WeightsNotFoundError:
        return name
    return ""


def _seconds_here(history: Path) -> float | None:
    """Return the median of the epochs of a run that was begun on this machine."""
    if not history.exists():
        return None
    with history.open(encoding="utf-8", newline="") as file:
        return median(float(row["seconds"]) for row in csv.DictReader(file))


def _seconds_an_epoch() -> dict[str, float]:
    rows = json.loads(MEASURED.read_text(encoding="utf-8"))
    return {row["recipe"]: row["seconds_an_epoch"] for row in rows if row["seconds_an_epoch"]}


def finished(journal: Path) -> Iterator[str]:
    """Yield the folders of the rows that were finished before."""
    if journal.exists():
        for line in journal.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)["folder"]


def scores_of(document: Any) -> dict[str, dict[str, float]]:
    """Return WA and UA by what they are of, from what `earnest train` or `earnest evaluate` writes."""
    if document.get("test"):  # one split
        return {"test": {name: document["test"][name] for name in ("wa", "ua")}}
    ways = {name: one for name, one in document.items() if isinstance(one, dict) and "over_folds" in one}
    return {
        name: {score: one["over_folds"][score]["mean"] for score in ("wa", "ua")}
        for name, one in (ways or {"over_folds": document}).items()
    }


def run(plan: Plan, journal: Path) -> bool:
    """Run a row, write its line; say whether it went well."""
    started = time.perf_counter()
    command = [sys.executable, "-m", *plan.words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        say(f"{plan.row.recipe}, {plan.row.name}: failed with exit code {done.returncode}: {shlex.join(plan.words)}")
        return False
    scores = scores_of(json.loads(done.stdout))
    line = {
        "folder": plan.row.folder, "recipe": plan.row.recipe, "row": plan.row.name, "note": plan.note,
        "command": shlex.join(plan.words), "seconds": round(seconds), "scores": scores,
    }  # fmt: skip
    with journal.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    told = "; ".join(f"{name} WA {100 * one['wa']:.1f} UA {100 * one['ua']:.1f}" for name, one in scores.items())
    say(f"{plan.row.recipe}, {plan.row.name}: {told}; {seconds / 3600:.2f} h")
    return True


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(words: Sequence[str], rows: Sequence[Row] = ROWS, recipes: Path = ROOT / "recipes") -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="only rows of these recipes, or of these folders' names")
    parser.add_argument("--plan", action="store_true", help="run nothing")
    parser.add_argument("--hours", type=float, default=12.0, help="skip rows of more core hours (12)")
    parser.add_argument("--data", action="append", default=[], metavar="NAME=DIR", help="where a corpus is; repeatable")
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "five")
    asked = parser.parse_args(words)
    known = {name for row in rows for name in (row.recipe, row.folder)}
    if strange := sorted(set(asked.rows) - known):
        parser.error(f"there is no row {strange[0]}; rows: {', '.join(row.folder for row in rows)}")
    folders = {name: Path(place) for name, _, place in (word.partition("=") for word in asked.data)}
    chosen = [row for row in rows if not asked.rows or {row.recipe, row.folder} & set(asked.rows)]
    journal: Path = asked.output / "campaign.jsonl"
    before = set(finished(journal))
    plans = [planned(row, folders, asked.hours, recipes, asked.output.resolve()) for row in chosen]
    for plan in plans:
        say(plan.line() + ("  done before" if plan.row.folder in before else ""))
    ahead = [plan for plan in plans if not plan.skipped and plan.row.folder not in before]
    say(f"{len(ahead)} rows to run, about {sum(plan.hours or 0.0 for plan in ahead):.1f} core hours on one core.")
    if asked.plan:
        return 0
    journal.parent.mkdir(parents=True, exist_ok=True)
    n_failed = sum(not run(plan, journal) for plan in ahead)
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
