"""What commands that train have in common: options of recipe and protocol, and tables of results.

Apart from the other options, so that `earnest predict` loads no protocols.
"""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from shlex import join
from textwrap import fill
from typing import TYPE_CHECKING, Any, TypeVar

import click

from earnest.apps.cli import say
from earnest.apps.cli._options import CORPUS, named_corpus, names_from, option
from earnest.apps.cli._typed import repeated
from earnest.corpora.load import corpus_root, load_utterances
from earnest.corpora.manifest import Utterance
from earnest.errors import EarnestError, MissingExtraError, RecipeError, counted
from earnest.evaluation.protocols import (
    PROTOCOL_TABLE,
    PROTOCOLS,
    protocol_called,
    refuse_other_corpora,
    suitable_protocol,
)
from earnest.evaluation.report import NOTE, Matrix, results_table
from earnest.evaluation.splits import Leakage, sentences_over
from earnest.evaluation.texts import NONE, percent, spread_text
from earnest.files.reading import parsed_toml
from earnest.labels import SCHEMES
from earnest.settings.recipe import Recipe, Tune, read_recipe, read_recipe_and_tune, recipe_file, shipped_recipes

if TYPE_CHECKING:
    from earnest.evaluation.report import Amount
    from earnest.experiments.conditions import ConditionResults
    from earnest.experiments.evaluate import Evaluation

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


def require_training() -> None:
    """Raise `MissingExtraError` without the packages of training; on a terminal, say that they take a while."""
    if not all(find_spec(name) for name in ("torch", "lightning", "onnx", "safetensors")):
        raise MissingExtraError("Training", "train")
    if "torch" not in sys.modules and say.progress().visible:
        say.line("Loading torch …", err=True)


class RecipeFile(click.ParamType[Path]):
    """A recipe: a path, or the name of one that comes with earnest."""

    name = "recipe"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the file that is meant."""
        return value if isinstance(value, Path) else recipe_file(value)


PROTOCOL: Mapping[str, Any] = {
    "metavar": "NAME",
    "shell_complete": names_from(lambda: (protocol.name for protocol in PROTOCOL_TABLE)),
}


def protocol_option(function: F) -> F:
    """Add ``--protocol`` to a command that trains by one."""
    told = "How recordings are split into training, validation and test. Default: the recipe's."
    return click.option("--protocol", **PROTOCOL, help=told)(function)


def fold_option(function: F) -> F:
    """Add ``--fold`` to a command of one fold."""
    told = "Fold of the protocol. Default: its first."
    return click.option("--fold", default=None, metavar="NAME", help=told)(function)


def recipe_argument(function: F) -> F:
    """Add the argument RECIPE."""
    complete = names_from(shipped_recipes, files=True)
    return click.argument("recipe", type=RecipeFile(), metavar="RECIPE", shell_complete=complete)(function)


@dataclass(frozen=True)
class RecipeOptions:
    """Options that change the recipe."""

    scheme: str | None = option(
        "--scheme",
        metavar="NAME",
        shell_complete=names_from(lambda: (*SCHEMES, "native")),
        help="Other classes than the recipe's, for comparing recipes on one task.",
    )
    corpora: tuple[str, ...] = option(
        "--corpus",
        **CORPUS,
        help="Other recordings than the recipe's; repeatable. A folder or table of your own in any layout, or a "
        "manifest: then classes are your labels, and the protocol is chosen by what it says about speakers.",
    )
    settings: tuple[str, ...] = option(
        "--set",
        metavar="KEY=VALUE",
        multiple=True,
        help="Another setting than the recipe's, such as training.epochs=20; repeatable.",
    )

    @property
    def changes(self) -> Mapping[str, Any]:
        """The typed settings as key → value."""
        changes = changes_of(self.settings)
        for key, given in (("corpus", self.corpora), ("scheme", self.scheme)):
            if given and key in changes:
                raise click.UsageError(f"--{key} and --set {key}=… are one setting. Leave one of them out.")
        if self.corpora:
            changes["corpus"] = [name for name, _ in map(named_corpus, self.corpora)]
        if self.own:
            changes.setdefault("scheme", "native")
        return changes if self.scheme is None else {**changes, "scheme": self.scheme}

    def check_protocol(self, protocol: str | None) -> None:
        """Refuse a protocol beside another one of --set, as recorded commands say one twice, or beside its corpora."""
        named = self.changes.get("protocol", protocol)
        if protocol and named != protocol:
            raise click.UsageError("--protocol and --set protocol=… are one setting. Leave one of them out.")
        if named:
            refuse_other_corpora(protocol_called(str(named)), (name for name, _ in map(named_corpus, self.corpora)))

    def protocol_of(
        self, recipe: Recipe, folders: Mapping[str, Path], named: str | None = None, one_split: bool = False
    ) -> tuple[str, Sequence[Utterance]]:
        """Return the protocol, and the rows that were read to choose it.

        That is the one ``named``, else the recipe's; of own recordings, for which none was written, one that suits.
        """
        if named:
            return named, ()
        if not self.own or "protocol" in self.changes:
            return recipe.protocol, ()
        rows = load_utterances(recipe.corpora, folders)
        return suitable_protocol(rows, one_split), rows

    @property
    def own(self) -> dict[str, Path]:
        """Own recordings that were named by path: name → folder, table or manifest."""
        return {name: path for name, path in map(named_corpus, self.corpora) if path is not None}

    def read(self, path: Path) -> Recipe:
        """Read the recipe with the typed settings, and report given ones without effect."""
        recipe, _ = self._read(path)
        training = recipe.training
        for what, unused in ((f'method = "{training.method}"', training.unused), ("The recipe", recipe.idle)):
            if unused and not say.is_quiet():
                click.echo(f"{what} makes no use of {', '.join(f'training.{name}' for name in unused)}.", err=True)
        return recipe

    def read_with_tune(self, path: Path) -> tuple[Recipe, Tune]:
        """Read the recipe with the typed settings, and its ``[tune]`` table; `RecipeError` where it has none."""
        recipe, table = self._read(path)
        if table is None:
            raise RecipeError(f"{path}: has no [tune] table. `earnest tune --help` shows one.")
        return recipe, table

    def check(self, path: Path, protocol: str | None) -> None:
        """Refuse a protocol, a network or augmentations of the recipe that are not there, or lack the settings.

        Parameters
        ----------
        protocol : the one that is used, the recipe's or another
        """
        self._blamed(path, lambda changes: _check(read_recipe(path, changes), protocol))

    def _read(self, path: Path) -> tuple[Recipe, Tune | None]:
        return self._blamed(path, partial(read_recipe_and_tune, path))

    def _blamed(self, path: Path, read: Callable[[Mapping[str, Any]], T]) -> T:
        """Read with the typed settings; an error names the recipe's file, and what was typed where that is wrong."""
        try:
            return read(self.changes)
        except EarnestError as error:
            told, plain = str(error), _fault(partial(read, {}))
            if told.startswith(str(path)) and (told == plain or not self.words):
                raise
            where = str(path) if told == plain else join([str(path), "with", *self.words])
            raise RecipeError(f"{where}: {told.removeprefix(f'{path}: ')}") from None

    @property
    def suffix(self) -> str:
        """The names of own recordings in that of a folder of results."""
        return "".join(f"-{name}" for name in self.own)

    @property
    def words(self) -> list[str]:
        """The same options as words of a command line."""
        words = [] if self.scheme is None else ["--scheme", self.scheme]
        words += repeated("--corpus", self.corpora)
        return words + repeated("--set", self.settings)


def _check(recipe: Recipe, protocol: str | None) -> None:
    if protocol == recipe.protocol:
        protocol_called(protocol)
    from earnest.augment.base import check_tables
    from earnest.models.classifier import network_settings  # torch, for which that needs not wait

    check_tables(recipe.augment)
    network_settings(recipe.model, recipe.network)


def _fault(read: Callable[[], object]) -> str:
    """Return what is wrong with what is read; "" for nothing."""
    try:
        read()
    except EarnestError as error:
        return str(error)
    return ""


def named_corpora(texts: Iterable[str], folders: Mapping[str, Path]) -> dict[str, Path]:
    """Return corpus → where it is, of corpora that were named by --corpus, by path too; ``folders`` are of --data."""
    named = [(text, None) if text in folders else named_corpus(text) for text in texts]
    return {name: own or corpus_root(name, folders) for name, own in named}


def changes_of(settings: Sequence[str]) -> dict[str, Any]:
    """Read words KEY=VALUE; a value that is no TOML is a word."""
    changes: dict[str, Any] = {}
    for text in settings:
        key, sign, value = text.partition("=")
        if not (sign and key.strip()):
            raise click.UsageError(f"--set {text}: write KEY=VALUE, such as training.epochs=20.")
        changes[key.strip()] = _value(value.strip())
    return changes


def _value(text: str) -> Any:
    try:
        return parsed_toml(f"value = {text}", "value")["value"]
    except RecipeError:
        return text


# Wrapped here, as click would break names at their hyphens.
EPILOG = "\b\n" + fill(
    f"Protocols: {', '.join(PROTOCOLS)}; the number in speaker-, group- and stratified-5fold is free.",
    width=78,
    break_on_hyphens=False,
)


def echo_results(
    outcome: "Evaluation",
    name: str,
    answered: "Sequence[ConditionResults]",
    matrix: Matrix | None,
    amounts: "Sequence[Amount]",
) -> None:
    """Write the results beside the published ones, and what belongs to them.

    Parameters
    ----------
    answered : results under conditions
    matrix : of a protocol that trains on one corpus and tests on another
    amounts : results with less training data
    """
    protocol = outcome.protocol
    columns = ("result", "WA", "UA", "macro-F1", "pooled WA")
    scores = {name: outcome.scores}
    scores |= {f"{name}, {scheme} classes": found for scheme, found in outcome.class_subsets.items()}
    scores |= {f"{name}, {one.kind}: {how}": found for one in answered for how, found in one.scores.items()}
    rows = [[row.result, row.wa, row.ua, row.macro_f1, row.pooled_wa] for row in results_table(scores, protocol)]
    say.table(columns, rows, f"{outcome.document['title']}, per cent, {_means(outcome)}", right=columns[1:])
    pooled = f"Pooled: all folds together, with the 95 % interval over {outcome.scores.intervals['wa'].over}"
    say.line(f"\n{outcome.scores.size('utterance')}: {protocol.description}. {pooled}.")
    for note in outcome.scores.notes:
        say.line(note)
    echo_other_heads(outcome)
    if outcome.over_repeats:
        wa, ua = (spread_text(outcome.over_repeats[name]) for name in ("wa", "ua"))
        seeds = ", ".join(map(str, outcome.document["repeats"]["seeds"]))
        say.line(f"Over trainings with the seeds {seeds}: WA {wa}, UA {ua}.")
    if not outcome.coverage.complete:
        say.line(f"The corpus is incomplete: {outcome.coverage.sentence()}.")
    for one in answered:
        if one.note:
            say.line(f"Noise: {one.note}.")
    say.line(f"Labels: {outcome.labels.sentence()}.")
    for fold, sentences in outcome.document.get("warnings", {}).items():
        for sentence in sentences:
            say.line(f"{fold}: {sentence}")
    for fold, chosen in outcome.document.get("selected", {}).items():
        settings = ", ".join(f"{key} = {value}" for key, value in chosen["settings"].items())
        score = f"{chosen['metric']} {percent(chosen['value'])}"
        say.line(f"Chosen in {fold} of {counted(chosen['trials'], 'trial')} ({score}): {settings}.")
    echo_leakage(outcome.leakage)
    if matrix:
        _echo_matrix(matrix)
    if amounts:
        _echo_amounts(amounts)


def echo_other_heads(outcome: "Evaluation") -> None:
    """Write how right gender, affect and intensity are, where the model answers them."""
    if outcome.scores.gender:
        say.line(outcome.scores.gender.sentence())
    echo_affect(outcome.document)


def echo_affect(document: Mapping[str, Any]) -> None:
    """Write concordance and error of each dimension, in the unit of the ratings, and what arousal says of intensity."""
    if intensity := document.get("intensity"):
        from earnest.evaluation.metrics import IntensityScores

        say.line(f"{IntensityScores(**intensity).sentence()}\n")
    if scores := document.get("affect"):
        low, high = next(iter(scores.values()))["scale"]
        columns = (f"affect, {low:g} to {high:g}", "n", "CCC", "RMSE")
        rows = [[name, str(one["n"]), _decimal(one["ccc"]), _decimal(one["rmse"])] for name, one in scores.items()]
        say.table(columns, rows, right=columns[1:])
        say.line()


def _decimal(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"


def _means(outcome: "Evaluation") -> str:
    n_folds = len(outcome.splits) // max(1, len(outcome.document.get("repeats", {}).get("seeds", ())))
    return f"mean ± sd over {n_folds} folds" if n_folds > 1 else "one fold"


def echo_leakage(lines: Sequence[Leakage]) -> None:
    """Write the leakage between sets, fewest to most over the folds."""
    say.line("Leakage, over all folds:")
    for sentence in sentences_over(lines):
        say.line(f"  {sentence}")


def _echo_matrix(matrix: Matrix) -> None:
    """Write UA of every pair of corpora."""
    columns = ("trained on", *matrix.corpora)
    say.line()
    say.table(columns, matrix.table(), "UA in per cent, tested on", right=columns[1:])
    say.line(f"{NOTE}.")


def _echo_amounts(amounts: Sequence["Amount"]) -> None:
    """Write a line for each amount of training data."""
    columns = ("share of training data", "utterances", "speakers", "WA", "UA")
    rows = [
        [f"{one.share:g}", f"{one.clips:.0f}", f"{one.speakers:.0f}", spread_text(one.wa), spread_text(one.ua)]
        for one in amounts
    ]
    say.line()
    say.table(columns, rows, "The same test utterances, less training data", right=columns)
