"""Options that commands share: which model, for whom, with what; and what a shell offers for their values."""

import logging
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import wraps
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import click
from click.shell_completion import CompletionItem

from earnest.apps.cli._lists import CHANNEL_NUMBERS, is_folder
from earnest.apps.cli._recordings import NamedRecordings
from earnest.apps.cli._typed import FILE
from earnest.audio.source import MAX_CHANNELS
from earnest.augment.tta import VARIANTS
from earnest.bundle import DEFAULT_BUNDLE, BundleInfo, shipped_bundles
from earnest.corpora.base import CORPORA
from earnest.errors import CorpusError, shown, suggestion
from earnest.files.writing import sha256_of_file
from earnest.runtime.adaptation import Adapter
from earnest.runtime.bulk import BATCH_S
from earnest.runtime.engine import Backend, Hint, Provider
from earnest.runtime.prediction import ClassChoice, Options
from earnest.runtime.predictor import Predictor
from earnest.runtime.profile import Profile
from earnest.runtime.windows import LONGEST_S, SHORTEST_S, Windowing

_log = logging.getLogger("earnest")

F = TypeVar("F", bound=Callable[..., Any])
Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def names_from(names: Callable[[], Iterable[str]], files: bool = False) -> Completer:
    """Return a completer that offers ``names()``, and with ``files`` also the files and folders there are."""

    def complete(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        found = [CompletionItem(name) for name in names() if name.startswith(incomplete)]
        return [*found, CompletionItem(incomplete, type="file")] if files else found

    return complete


VARIANT_HELP = (
    "gain: ±6 dB; speed: 5 % slower and faster; gain-and-speed: both; noise: white, 22.5 dB below; stretch: to 0.75 "
    "and 1.25 times the speed; pitch: a semitone; masks: a band and a stretch of time; multitask: the last four"
)


class NumberRange(click.FloatRange):
    """A range of numbers; NaN, which passes all comparisons, is in none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read a number, or fail as other values do."""
        number = float(super().convert(value, param, ctx))
        return self.fail(f"{value} is no number.", param, ctx) if math.isnan(number) else number


def option(*names: str, **settings: Any) -> Any:
    """Return a field of a dataclass of options: what is typed for it, and the settings of `click.option`."""
    return field(metadata={"names": names, "settings": settings})


def options(parameter: str, group: type[Any]) -> Callable[[F], F]:
    """Add the options of a dataclass to a command, which is handed one object in place of a parameter an option.

    Parameters
    ----------
    parameter : the command's, which gets the object
    group : a frozen dataclass whose fields are each an `option`, in the order of ``--help``; what doesn't go together
        is refused by its ``__post_init__`` with a `click.UsageError`; inherited ones come last
    """

    members = sorted(fields(group), key=lambda one: one.name not in group.__annotations__)

    def grouped(function: F) -> F:
        @wraps(function)
        def called(*words: Any, **values: Any) -> Any:
            own = {one.name: values.pop(one.name) for one in members}
            return function(*words, **{parameter: group(**own)}, **values)

        wrapped: Any = called
        for one in reversed(members):
            wrapped = click.option(*one.metadata["names"], one.name, **one.metadata["settings"])(wrapped)
        return cast(F, wrapped)

    return grouped


def listed(words: str | None) -> tuple[str, ...]:
    """Return the words between commas."""
    return tuple(word.strip() for word in (words or "").split(",") if word.strip())


def numbers(words: str, option: str, example: str) -> tuple[float, ...]:
    """Return the numbers between commas."""
    try:
        return tuple(float(word) for word in listed(words))
    except ValueError:
        raise click.UsageError(f"{option} expects numbers with commas, such as {example}; got '{words}'.") from None


MODEL: Mapping[str, Any] = {
    "default": DEFAULT_BUNDLE,
    "show_default": True,
    "envvar": "EARNEST_MODEL",
    "metavar": "NAME|PATH",
    "shell_complete": names_from(shipped_bundles, files=True),
    "help": "The bundle that answers.",
}
MODELS: Mapping[str, Any] = {
    "multiple": True,
    "default": (DEFAULT_BUNDLE,),
    "show_default": True,
    "envvar": "EARNEST_MODEL",
    "type": click.Path(),  # so that several in EARNEST_MODEL are split as in PATH
    "metavar": "NAME|PATH",
    "shell_complete": names_from(shipped_bundles, files=True),
}
CORPUS: Mapping[str, Any] = {
    "multiple": True,
    "metavar": "NAME|PATH",
    "shell_complete": names_from(CORPORA.names, files=True),
}
SECONDS: Mapping[str, Any] = {"type": NumberRange(SHORTEST_S, LONGEST_S), "show_default": True}


@dataclass(frozen=True)
class WindowOptions:
    """Options of windows, which every command has that answers over time."""

    window_s: float = option(
        "--window", **SECONDS, default=Windowing.window_s, help="Seconds that the network hears at once."
    )
    hop_s: float = option("--hop", **SECONDS, default=Windowing.hop_s, help="Seconds from one window to the next.")

    def __post_init__(self) -> None:
        if self.hop_s > self.window_s:
            told = f"--hop {self.hop_s:g} is longer than --window {self.window_s:g}"
            raise click.UsageError(f"{told}: what lies between two windows would not be heard.")

    def windowing(self, activity: str = Windowing.activity) -> Windowing:
        """Return how sound is cut into windows."""
        return Windowing(self.window_s, self.hop_s, activity)


CHANNEL = "One channel by itself, such as one side of a call; 1 is the left one. Default: the mean of all."


class ChannelNumber(click.IntRange):
    """The number of a channel, from 1."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number, or say what is expected."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{CHANNEL_NUMBERS}; got '{value}'.", param, ctx)


CHANNEL_NUMBER = ChannelNumber(1, MAX_CHANNELS)
CHANNELS: Mapping[str, Any] = {
    "type": CHANNEL_NUMBER,
    "multiple": True,
    "metavar": "N",
    "help": f"{CHANNEL} Repeatable: a row for each, called NAME#N. A recording found in a folder has rows for the "
    "channels that it has. A channel is a speaker of its own.",
}


def channel_option(told: str = "") -> Callable[[F], F]:
    """Return a decorator that adds ``--channel`` to a command that hears one at a time; ``told`` ends its help."""
    settings: dict[str, Any] = {"type": CHANNEL_NUMBER, "multiple": True, "metavar": "N", "callback": _one_channel}
    return click.option("--channel", "channels", help=f"{CHANNEL}{told}", **settings)


def _one_channel(_context: click.Context, _parameter: click.Parameter, given: tuple[int, ...]) -> tuple[int, ...]:
    if len(given) > 1:
        raise click.BadParameter("one channel at a time. Give the command once for each, with another --output.")
    return given


THREADS: Mapping[str, Any] = {
    "type": click.IntRange(1, 256),
    "default": 1,
    "show_default": True,
    "envvar": "EARNEST_THREADS",
    "help": "Cores for the network.",
}


JOBS: Mapping[str, Any] = {
    "type": click.IntRange(1, 256),
    "default": os.cpu_count() or 1,
    "show_default": "the number of cores",
}


@dataclass(frozen=True)
class EngineOptions:
    """Options of the engine that does the work; a command adds how many at a time."""

    engine: Literal["processes", "ray"] = option(
        "--engine",
        type=click.Choice(["processes", "ray"]),
        default="processes",
        show_default=True,
        help="Where the work is done: on this machine, or on a Ray cluster. The numbers are the same.",
    )
    address: str | None = option(
        "--address",
        metavar="HOST:PORT",
        help="Address of the Ray cluster. Default: a cluster on this machine, for this command.",
    )

    def __post_init__(self) -> None:
        if self.address and self.engine != "ray":
            raise click.UsageError("--address needs --engine ray.")


@dataclass(frozen=True)
class ReadingOptions:
    """Options of reading many recordings: batches, isolation, time."""

    batch_s: float = option(
        "--batch",
        type=NumberRange(1, 3600),
        default=BATCH_S,
        show_default=True,
        help="Seconds of sound that the network hears in one run.",
    )
    isolate: bool = option(
        "--isolate", is_flag=True, help="Decode in processes without files and network: for files from strangers."
    )
    file_s: float = option(
        "--timeout",
        type=NumberRange(0, min_open=True),
        default=math.inf,
        show_default="no limit",
        metavar="SECONDS",
        help="Time for reading one recording. A slower one becomes a row with an error.",
    )


@dataclass(frozen=True)
class ComputingOptions:
    """Options of computation: threads, provider, backend."""

    threads: int = option("--threads", **THREADS)
    provider: Provider = option(
        "--provider",
        type=click.Choice(["cpu", "cuda", "gpu", "auto"]),
        default="cpu",
        show_default=True,
        envvar="EARNEST_PROVIDER",
        help="Processor or GPU. cuda needs onnxruntime-gpu; gpu and auto are OpenVINO's.",
    )
    backend: Backend = option(
        "--backend",
        type=click.Choice(["auto", "onnxruntime", "openvino"]),
        default="auto",
        show_default=True,
        envvar="EARNEST_BACKEND",
        help="Runtime of the network. auto is OpenVINO for bundles that were exported for it, else onnxruntime.",
    )


@dataclass(frozen=True)
class ModelOptions(ComputingOptions):
    """Options of the model: bundle and computation."""

    model: str = option("--model", **MODEL)

    def load(self, batch_s: float = BATCH_S, hint: Hint = "latency") -> Predictor:
        """Load the bundle; ``batch_s`` and ``hint`` as for `Predictor.load`."""
        return Predictor.load(self.model, self.threads, self.provider, batch_s, backend=self.backend, hint=hint)


@dataclass(frozen=True)
class AveragingOptions(ComputingOptions):
    """Options of averaging: models (ensemble), variants of each recording (test-time augmentation), computation."""

    models: tuple[str, ...] = option(
        "--model",
        **MODELS,
        help="The bundle that answers. Repeatable: the probabilities of several are averaged; the first one adapts.",
    )
    tta: str = option(
        "--tta",
        default="none",
        show_default=True,
        metavar="VARIANTS",
        shell_complete=names_from(lambda: VARIANTS),
        help=f"Average over changed copies of each recording: {VARIANT_HELP}. Each copy costs one more answer.",
    )

    def load(self, batch_s: float = BATCH_S, hint: Hint = "latency") -> Predictor:
        """Load the bundles; ``batch_s`` and ``hint`` as for `Predictor.load`."""
        return Predictor.load(self.models, self.threads, self.provider, batch_s, self.tta, self.backend, hint)


@dataclass(frozen=True)
class AnswerOptions:
    """Options of answers: classes, abstention."""

    classes: str | None = option(
        "--classes",
        metavar="A,B,…",
        help="Answer among these classes alone, such as angry,happy,neutral,sad; their probabilities sum to 1. Write "
        "a name with a comma in double quotes. neutral=0.6 says how frequent a class is in your recordings, as in "
        "conversations; without it all classes are treated as equally frequent.",
    )
    no_abstain: bool = option("--no-abstain", is_flag=True, help="Tell the likeliest emotion of unsure answers too.")
    abstain_below: float | None = option(
        "--abstain-below",
        type=NumberRange(0, 1),
        metavar="P",
        help="Answers below this confidence (0 to 1) are unsure. Default: the model's threshold.",
    )

    def of(self, info: BundleInfo) -> Options:
        """Return the options; the classes are checked for a bundle."""
        if self.no_abstain and self.abstain_below is not None:
            raise click.UsageError("--no-abstain and --abstain-below can't be used together.")
        options = Options.of(self.classes, 0.0 if self.no_abstain else self.abstain_below)
        ClassChoice(info, options)
        return options


@dataclass(frozen=True)
class AdaptationOptions:
    """To whom a model adapts."""

    adapt: tuple[str, ...] = option(
        "--adapt",
        multiple=True,
        show_default="off",
        metavar="off|auto|DIR|FILE",
        help="Speaker adaptation without labels: off, auto (to what was heard before), or recordings of the speaker "
        "(repeatable).",
    )
    profile: Path | None = option(
        "--profile", type=FILE, help="Adapt to the speaker of this profile; see `earnest adapt`."
    )

    def __post_init__(self) -> None:
        if {"auto", "off"} & set(self.adapt) and len(self.adapt) > 1:
            raise click.UsageError("--adapt: auto and off can't be used with other values.")
        if profile := next((word for word in self.adapt if word.endswith(".json")), None):
            raise click.UsageError(f"--adapt {profile}: expected recordings. A profile is given with --profile.")
        if absent := next((word for word in self.adapt if not _is_adaptation(word)), None):
            raise click.UsageError(f"--adapt {absent}: say auto, off, or recordings that are there.")
        if self.profile and self.adapt:
            raise click.UsageError("--adapt and --profile can't be used together.")

    @property
    def profile_digest(self) -> str:
        """SHA-256 of the profile that is named; "" for none."""
        return sha256_of_file(self.profile) if self.profile else ""

    def adapter(self, predictor: Predictor, channels: Sequence[int] = ()) -> Adapter | None:
        """Return the adapter; None for "off", and for "auto" where the model can't adapt.

        Parameters
        ----------
        channels : that are heard; recordings to adapt to are heard in the same one
        """
        if len(set(channels)) > 1 and (self.profile or not {"auto", "off"} >= set(self.adapt)):
            raise click.UsageError("Several channels are several speakers: adapt to one with one --channel.")
        if self.profile:
            profile = Profile.read(self.profile)
            if predictor.can_adapt:  # else that is what is told
                profile.check(predictor.info, str(self.profile))
            return predictor.adapter(profile)
        if self.adapt in ((), ("off",)):
            return None
        if self.adapt == ("auto",):
            if predictor.can_adapt:
                return predictor.adapter()
            _log.warning("'%s' can't adapt to a speaker: its answers are plain.", predictor.info.name)
            return None
        return predictor.adapter(NamedRecordings(self.adapt).sources(channels))


def _is_adaptation(word: str) -> bool:
    return word in ("auto", "off", "-") or os.path.exists(word)  # noqa: PTH110 - never raises, whatever the word


@dataclass(frozen=True)
class SpeakerOptions(AdaptationOptions):
    """To whom a model adapts that answers many recordings."""

    adapt: tuple[str, ...] = option(
        "--adapt",
        multiple=True,
        show_default="auto where PATHS are folders and the model's card allows it, else off",
        metavar="off|auto|DIR|FILE",
        help="Speaker adaptation without labels: off, auto (to each speaker's recordings among PATHS, all heard before "
        "they are answered), or recordings of the speaker (repeatable).",
    )
    speaker_pattern: str | None = option(
        "--speaker-pattern",
        metavar="REGEX",
        help="Adapt to each speaker. The pattern finds the speaker in a path below its folder, by the group "
        "(?P<speaker>…) or the first group. Default: the column speaker of a list, else the sub-folder, else the "
        "folder.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.speaker_pattern is not None and (self.profile or self.adapt not in ((), ("auto",))):
            raise click.UsageError("--speaker-pattern works only with --adapt auto.")

    def is_batch(self, predictor: Predictor, paths: Sequence[str]) -> bool:
        """Whether all recordings of a speaker are heard before they are answered."""
        if self.adapt == ("auto",) or self.speaker_pattern is not None:  # who tells speakers apart wants it
            return predictor.can_adapt
        is_told = bool(self.adapt or self.profile)
        return not is_told and predictor.adapts_folders and any(map(is_folder, paths))

    def words(self, adapter: Adapter | None, is_batch: bool) -> list[str]:
        """Return the options that say the same of ``adapter``, or of all recordings of a speaker."""
        if is_batch:
            return ["--adapt auto", *[f"--speaker-pattern {one}" for one in (self.speaker_pattern,) if one]]
        if adapter is None:
            return ["--adapt off"]
        return ["--profile"] if self.profile else [f"--adapt {os.path.normpath(one)}" for one in self.adapt]


OWN = "own"


def named_corpus(text: str) -> tuple[str, Path | None]:
    """Return the name of a corpus, and of own recordings where they are; their name is their file's or folder's.

    Raises `CorpusError` when there is neither such a corpus nor such a path, with the nearest right name.
    """
    if text in CORPORA:
        return text, None
    path = Path(text).expanduser()
    if not path.exists():
        raise CorpusError(f"{shown(text)} is not a corpus, a folder or a file.{suggestion(text, CORPORA.names())}")
    stem = path.resolve().stem if path.is_file() else path.resolve().name
    name = re.sub(r"[^\w.]+", "-", stem.lower()).strip("-.") or OWN
    return f"{OWN}-{name}" if name in CORPORA else name, path
