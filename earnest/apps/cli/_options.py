"""Options that commands share: which model, which recipe, which protocol; and what a shell offers for their values."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from textwrap import fill
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from earnest.bundle import DEFAULT_BUNDLE, BundleInfo
from earnest.errors import RecipeError
from earnest.evaluation.protocols import PROTOCOLS
from earnest.files.reading import parsed_toml
from earnest.labels import SCHEMES
from earnest.runtime.adaptation import Adapter
from earnest.runtime.prediction import ClassChoice, Options
from earnest.runtime.predictor import Predictor

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def names_from(names: Callable[[], Iterable[str]], files: bool = False) -> Completer:
    """Return a completer that offers ``names()``, and with ``files`` also the files and folders there are."""

    def complete(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        found = [CompletionItem(name) for name in names() if name.startswith(incomplete)]
        return [*found, CompletionItem(incomplete, type="file")] if files else found

    return complete


def bundle_names() -> list[str]:
    """Return the names of the shipped bundles."""
    from earnest.bundle import shipped_bundles

    return shipped_bundles()


def corpus_names() -> list[str]:
    """Return the names of the corpora that can be read."""
    from earnest.corpora.base import CORPORA

    return CORPORA.names()


def protocol_names() -> list[str]:
    """Return the names of the protocols."""
    from earnest.evaluation.protocols import PROTOCOL_TABLE

    return [protocol.name for protocol in PROTOCOL_TABLE]


def variant_names() -> list[str]:
    """Return the names of the variants that ``--tta`` averages over."""
    from earnest.augment.tta import VARIANTS

    return list(VARIANTS)


F = TypeVar("F", bound=Callable[..., Any])


def model_option(function: F) -> F:
    """Add ``--model`` (or ``EARNEST_MODEL``)."""
    return click.option(
        "--model",
        default=DEFAULT_BUNDLE,
        show_default=True,
        envvar="EARNEST_MODEL",
        metavar="NAME|PATH",
        shell_complete=names_from(bundle_names, files=True),
        help="Which bundle answers.",
    )(function)


def model_options(function: F) -> F:
    """Add ``--model`` and what says how it is computed: threads, provider, backend."""
    return model_option(_computing_options(function))


def averaging_options(function: F) -> F:
    """Add what `model_options` adds, with ``--model`` repeatable, and ``--tta``."""
    function = click.option(
        "--tta",
        default="none",
        show_default=True,
        metavar="VARIANTS",
        shell_complete=names_from(variant_names),
        help="Average over changed copies of each recording: none, gain (±6 dB), speed (5 % slower and faster), "
        "gain-and-speed. A model then doesn't adapt.",
    )(_computing_options(function))
    return click.option(
        "--model",
        "models",
        multiple=True,
        default=(DEFAULT_BUNDLE,),
        show_default=DEFAULT_BUNDLE,
        envvar="EARNEST_MODEL",
        type=click.Path(),  # so that several in EARNEST_MODEL are split as in PATH
        metavar="NAME|PATH",
        shell_complete=names_from(bundle_names, files=True),
        help="Which bundle answers; repeatable: of several the probabilities are averaged.",
    )(function)


def _computing_options(function: F) -> F:
    function = click.option(
        "--backend",
        type=click.Choice(["auto", "onnxruntime", "openvino"]),
        default="auto",
        show_default=True,
        envvar="EARNEST_BACKEND",
        help="What runs the network; auto is onnxruntime, but for bundles that were exported for OpenVINO.",
    )(function)
    function = click.option(
        "--provider",
        type=click.Choice(["cpu", "cuda", "gpu", "auto"]),
        default="cpu",
        show_default=True,
        envvar="EARNEST_PROVIDER",
        help="What computes; cuda needs onnxruntime-gpu, gpu and auto are OpenVINO's.",
    )(function)
    return click.option(
        "--threads",
        type=click.IntRange(1, 256),
        default=1,
        show_default=True,
        envvar="EARNEST_THREADS",
        help="Cores for the network.",
    )(function)


def answer_options(function: F) -> F:
    """Add what is asked of an answer: ``--classes``, ``--no-abstain`` and ``--abstain-below``."""
    function = click.option(
        "--abstain-below",
        type=click.FloatRange(0, 1),
        metavar="P",
        help="Answers below this confidence (0 to 1) are unsure; default: the model's threshold.",
    )(function)
    function = click.option("--no-abstain", is_flag=True, help="Tell the likeliest emotion of unsure answers too.")(
        function
    )
    return click.option(
        "--classes",
        metavar="A,B,…",
        help="Probabilities of these classes alone, renormalised, such as angry,happy,neutral,sad.",
    )(function)


def adapt_option(function: F) -> F:
    """Add ``--adapt``."""
    text = "Adapt to the speaker: auto (to what was heard before), off, or a recording of the speaker (repeatable)."
    return click.option(
        "--adapt", multiple=True, default=("off",), show_default="off", metavar="auto|off|FILE", help=text
    )(function)


def chosen_options(info: BundleInfo, classes: str | None, no_abstain: bool, abstain_below: float | None) -> Options:
    """Return what ``--classes``, ``--no-abstain`` and ``--abstain-below`` ask for; names are checked."""
    if no_abstain and abstain_below is not None:
        raise click.UsageError("--no-abstain and --abstain-below exclude each other.")
    options = Options.of(classes, 0.0 if no_abstain else abstain_below)
    return replace(options, classes=ClassChoice(info, options).classes) if options.classes else options


def chosen_adapter(predictor: Predictor, words: Sequence[str]) -> Adapter | None:
    """Return what ``--adapt`` asks for; "auto" is off where the model can't adapt."""
    if tuple(words) == ("off",) or (tuple(words) == ("auto",) and predictor.info.adaptation is None):
        return None
    if {"auto", "off"} & set(words) and len(words) > 1:
        raise click.UsageError("--adapt: auto and off stand alone.")
    return predictor.adapter() if tuple(words) == ("auto",) else predictor.adapter(words)


def recipe_options(function: F) -> F:
    """Add ``--scheme`` and ``--set``."""
    scheme = click.option(
        "--scheme",
        metavar="NAME",
        shell_complete=names_from(lambda: (*SCHEMES, "native")),
        help="Other classes than the recipe's, for comparing recipes on one task.",
    )
    setting = click.option(
        "--set",
        "settings",
        metavar="KEY=VALUE",
        multiple=True,
        help="Another setting than the recipe's, such as training.epochs=20; repeatable.",
    )
    return scheme(setting(function))


def changes_of(scheme: str | None, settings: tuple[str, ...]) -> Mapping[str, Any]:
    """Return what was typed as key → value; a value that is no TOML is a word."""
    changes: dict[str, Any] = {}
    for text in settings:
        key, sign, value = text.partition("=")
        if not (sign and key.strip()):
            raise click.UsageError(f"--set {text}: write KEY=VALUE, such as training.epochs=20.")
        changes[key.strip()] = _value(value.strip())
    return changes if scheme is None else {**changes, "scheme": scheme}


def words_of(scheme: str | None, settings: tuple[str, ...]) -> list[str]:
    """Return what to type for the same."""
    words = [] if scheme is None else ["--scheme", scheme]
    return words + [word for text in settings for word in ("--set", text)]


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
