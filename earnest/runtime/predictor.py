"""A bundle or several, ready to answer about recordings, folders and streams, without torch."""

from __future__ import annotations  # so that signatures show AudioInput, not all that it may be

import logging
import math
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import AbstractContextManager, contextmanager
from copy import copy
from dataclasses import replace
from functools import cache, cached_property, partial
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar, Unpack

import numpy as np

from earnest.audio.deadline import Deadline, current_deadline, until
from earnest.audio.io import MAX_SECONDS, SEPARATE, AudioStream, check_form
from earnest.audio.source import AudioInput, Source, path_of, rate_of, refuse_single, source_of
from earnest.audio.waveform import Waveform
from earnest.bundle import DEFAULT_BUNDLE, RULE, Bundle, BundleInfo, load_bundle
from earnest.errors import AudioError, BundleError, EarnestError, MissingExtraError, counted, printable, shown
from earnest.runtime.adaptation import Adaptation, Adapter, BatchAdapter, Listener
from earnest.runtime.bulk import BATCH_S, AnsweredRecording, BatchAnswers, Bulk
from earnest.runtime.decoders import Decoders, InProcess, Reading
from earnest.runtime.engine import Backend, Hint, Provider
from earnest.runtime.formats import EmbeddedRecording, Embeddings, PredictionRows
from earnest.runtime.graph import Graph, engine_for, network_of
from earnest.runtime.picture import Picture
from earnest.runtime.prediction import ClassChoice, Classes, Envelope, Event, Options, OptionWords, Prediction
from earnest.runtime.profile import Profile
from earnest.runtime.spectrogram import draw
from earnest.runtime.stream import Stream
from earnest.runtime.timeline import Timeline
from earnest.runtime.windows import Windowing
from earnest.settings.limits import require_seconds

Answer = TypeVar("Answer")

_log = logging.getLogger("earnest")
_AGAIN = "Export the bundle again."
_UNKNOWN = "\0"  # ends the name of a speaker whom nobody named; no text of a file or a command line has it
_TOGETHER = "Give array and sample rate together: model.predict((array, 16000))."
_TWO_SPEAKERS = (
    "channels take turns, like two sides of a call, so more than one speaker is adapted to. Give one channel: "
    "--channel 1, in Python earnest.Channel(path, 1)."
)
TIMELINE_MAX_SECONDS = 48 * 3600.0  # blocks pass through; what grows is the answer


class AdaptedWords(OptionWords, total=False):
    """Keywords of `Predictor.predict`."""

    adapter: Listener | None


class RowWords(AdaptedWords, total=False):
    """Keywords of `Predictor.predict_many`."""

    speakers: Iterable[str | float | None] | str | None


class TimelineWords(AdaptedWords, total=False):
    """Keywords of `Predictor.timeline`."""

    windowing: Windowing | None
    max_seconds: float


class Predictor:
    """A bundle, ready to answer; of several the probabilities are averaged.

    A recording no longer than a window and a hop (4 s) is heard at once, without the noise of a room far from its
    speech. In a longer one speech is found and cut into windows, the same for every face: `predict` gives their mean
    where there is one segment of speech, and what held longest over time where there are several, or where the
    recording is longer than the bundle's ``longest_s``.

    Methods that answer take two options: ``classes``, the names of those asked for (a list, or a text with commas),
    whose probabilities are then renormalised; and ``abstain_below``, the confidence below which the answer is "unsure"
    (None: the bundle's own; 0: tell every answer). `apredict`, `apredict_many` and `atimeline` are the same for
    ``await``: a thread works, and the event loop goes on.

    It can be pickled, for other processes: in the pickle are the bundle's name or path and the settings, and who
    unpickles it loads the bundle anew.

    Attributes
    ----------
    activity : what finds speech, see `earnest.audio.activity`
    decoders : what decodes recordings; for those of strangers, child processes: `earnest.runtime.decoders`
    file_s, if_too_long : seconds for reading one recording, and what to do about one that is too long, see
        `earnest.runtime.decoders.Reading`
    """

    def __init__(
        self,
        bundle: Bundle | Sequence[Bundle],
        threads: int = 1,
        max_seconds: float = MAX_SECONDS,
        provider: Provider = "cpu",
        batch_s: float = BATCH_S,
        tta: str = "none",
        backend: Backend = "auto",
        hint: Hint = "latency",
    ) -> None:
        bundles = [bundle] if isinstance(bundle, Bundle) else _bundles_in(bundle)
        require_seconds(batch_s=batch_s)
        self.max_seconds, self.batch_s, self.activity = max_seconds, batch_s, "auto"
        self.decoders: Decoders = InProcess()
        self.file_s, self.if_too_long = math.inf, ""
        self.graph, self.info = network_of(bundles, threads, provider, tta, backend, hint)
        self._bundles = bundles
        self._tta = tta
        self._engine_of = partial(engine_for, threads=threads, provider=provider, backend=backend, hint=hint)

    @classmethod
    def load(
        cls,
        name_or_path: str | Path | Sequence[str | Path] = DEFAULT_BUNDLE,
        threads: int = 1,
        provider: Provider = "cpu",
        batch_s: float = BATCH_S,
        tta: str = "none",
        backend: Backend = "auto",
        hint: Hint = "latency",
    ) -> Predictor:
        """Load a bundle, or several, whose probabilities are averaged, as `earnest.load` does.

        Parameters
        ----------
        batch_s : seconds of sound, padding included, that share a run of the network
        hint : what OpenVINO is tuned to: "latency", or "throughput" for many recordings at once
        """
        if isinstance(name_or_path, str | bytes | Path) or not isinstance(name_or_path, Iterable):
            name_or_path = [name_or_path]
        if not name_or_path:
            raise BundleError("There is no model in the list. Name at least one bundle.")
        bundles = [load_bundle(name) for name in name_or_path]
        folders = [bundle.folder.resolve() for bundle in bundles]
        for number, bundle in enumerate(bundles):
            if folders[number] in folders[:number]:
                raise BundleError(f"The model '{bundle.info.name}' is there twice. Name each model once.")
            if told := bundle.info.forbidden_use:
                _warn_once(f"{bundle.info.name}: {told}.")
        return cls(bundles, threads, provider=provider, batch_s=batch_s, tta=tta, backend=backend, hint=hint)

    def __repr__(self) -> str:
        return f"<Predictor {self.info.headline}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what loads the same again."""
        if not isinstance(self.decoders, InProcess):
            raise EarnestError("A model with decoders of its own can't be pickled. Pickle the one that was loaded.")
        settings = {"tta": self._tta, "max_seconds": self.max_seconds, "batch_s": self.batch_s}
        settings |= self._engine_of.keywords
        return _loaded_again, ([_origin(bundle) for bundle in self._bundles], settings, self.activity, self.file_s)

    def __copy__(self) -> Predictor:
        """Share the network with a copy, whose settings are its own; `copy.copy` would else load the bundle anew."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    def watched(self, heard: Callable[[str, float], object]) -> Predictor:
        """Return a copy that shares the network, and tells how far it is within recordings.

        Parameters
        ----------
        heard : is called with the recording's path and the seconds that were heard of it so far, again and again, by
            the thread that reads it; one that is heard in parts may be opened twice, and begin again
        """
        made = copy(self)
        made.decoders = _WatchedDecoders(heard, self.decoders)
        return made

    @property
    def _called(self) -> str:
        return f"{self.info.name} {self.info.version} ({self.info.network_digest})"

    def _check_adapter(self, adapter: Listener | None) -> None:
        if adapter is not None and not hasattr(adapter, "hear"):
            told = _TOGETHER if isinstance(adapter, int) else "Make one with model.adapter(…)."
            raise EarnestError(f"The second argument is an adapter to a speaker, got {shown(adapter)}. {told}")
        if isinstance(adapter, Adapter) and adapter.model not in ("", self._called):
            made_by = f"made by the model {shown(adapter.model)}, not by {shown(self._called)}"
            raise EarnestError(f"The adapter was {made_by}. Make it with this model's adapter(…).")

    @property
    def can_adapt(self) -> bool:
        """Whether a bundle holds what adapts to a speaker; that of earlier versions can't be used, which is told."""
        if self.info.adaptation is None and any(RULE in bundle.info.files for bundle in self._bundles):
            _warn_once(f"{self.info.name}: its adaptation is of an earlier version, and is not used. {_AGAIN}")
        return self.info.adaptation is not None

    @property
    def adapts_folders(self) -> bool:
        """Whether the recordings of a folder are adapted to unless told otherwise; see `AdaptationEntry.folders`."""
        return self.can_adapt and all(entry.folders for bundle in self._bundles if (entry := bundle.info.adaptation))

    @cached_property
    def adaptation(self) -> Adaptation:
        """The network that adapts, of the first bundle that has one.

        Raises `BundleError` when there is none, or it can't be run.
        """
        for bundle in self._bundles if self.can_adapt else ():
            if found := Adaptation.of(bundle, self._engine_of(bundle)):
                return found
        raise BundleError(f"The model '{self.info.name}' can't adapt to a speaker. Use another one, or no adaptation.")

    def adapter(self, known: Iterable[AudioInput] | Profile | str | os.PathLike[str] = ()) -> Adapter:
        """Return an adapter to one speaker and its channel; see `earnest.runtime.adaptation`.

        Raises `EarnestError` when the model can't adapt, a recording can't be read or holds no speech, or the profile
        is of another model.

        Parameters
        ----------
        known : recordings of the speaker to learn from beforehand, or their profile or its file (.json, of `earnest
            adapt`); without, it learns from what it hears
        """
        if isinstance(known, str | os.PathLike):
            if Path(known).suffix != ".json":
                refuse_single(known)
            known = Profile.read(Path(known))
        if not isinstance(known, Profile):
            refuse_single(known)
            sources = list(known)
            return Adapter(self.adaptation, self.profile(sources) if sources else None, self._called)
        adaptation = self.adaptation  # where there is none, another profile would not help
        known.check(self.info)
        return Adapter(adaptation, known, self._called)

    def profile(
        self, sources: Iterable[AudioInput], unreadable: Callable[[EarnestError], None] | None = None
    ) -> Profile:
        """Hear recordings of one speaker, and return what others are adapted with; see `adapter`.

        Parameters
        ----------
        unreadable : is told of each recording that can't be read, which is then left out; None raises its error
        """
        refuse_single(sources)
        listener = BatchAdapter(self.adaptation)
        bulk, separate = self._bulk(listener), list[str]()
        for source in sources:
            try:
                if SEPARATE in (told := bulk.predict_one(source)).quality:
                    separate.append(told.path)
            except (AudioError, MissingExtraError) as error:
                if unreadable is None:
                    raise
                unreadable(error)
        if separate:
            more = f" and {len(separate) - 1} more" if len(separate) > 1 else ""
            _log.warning("%s%s: %s", printable(separate[0]), more, _TWO_SPEAKERS)
        return listener.profile(self.info)

    def predict(
        self,
        source: AudioInput,
        adapter: Listener | None = None,
        *,
        classes: Classes = None,
        abstain_below: float | None = None,
    ) -> Prediction:
        """Predict the emotion of one recording.

        Raises `AudioError` when the recording can't be read.

        Parameters
        ----------
        source : path, bytes, open binary file, (array, sample rate in Hz), or what else `AudioInput` says; or a picture
            that `spectrogram` made, as path or bytes
        adapter : of this speaker, None for the model as it is
        classes, abstain_below : the classes asked for, and the confidence below which it is "unsure": see `Predictor`
        """
        self._check_adapter(adapter)
        return self._bulk(adapter, Options.of(classes, abstain_below)).predict_one(source)

    def spectrogram(self, source: AudioInput) -> Picture:
        """Return the log-mel spectrogram of one recording, as a picture that `predict` takes in its place.

        Of a recording that is heard in windows (longer than 4 s) these stand side by side.

        Raises `AudioError` when the recording can't be read, is silent, too short or longer than the bundle's
        ``longest_s``; `BundleError` when there are several models, or the model works on raw samples.
        """
        graph = self._own_graph("spectrogram")
        with self._reading.open_audio(source_of(source)) as audio:
            return draw(graph, self.info, audio, self._windowing)

    def predict_many(
        self,
        sources: Iterable[AudioInput],
        jobs: int = 1,
        adapter: Listener | None = None,
        *,
        speakers: Iterable[str | float | None] | str | None = None,
        classes: Classes = None,
        abstain_below: float | None = None,
    ) -> PredictionRows:
        """Predict many recordings, in their order; what can't be read is a row with status "error".

        The rows are an iterator; ``predict_many(…).to_pandas()``, ``to_polars()`` or ``to_arrow()`` is a data frame.

        Recordings of similar length share a run of the network; at most some minutes of sound are held at a time.

        Parameters
        ----------
        jobs : threads that decode ahead; with 1 the recordings are decoded in turn. With more, arrays that a generator
            gives must not be filled anew: they are read later
        adapter : for recordings of one speaker, heard in this order; None for the model as it is
        speakers : who speaks in each recording, or one name for all of them: then a speaker's recordings are all heard
            before they are answered, adapted to all of them (batch adaptation), and rows tell the ``speaker``. Where it
            is unknown (None, NaN or "" in the list), a recording is a speaker of its own. None for the model as it is
        """
        refuse_single(sources)
        self._check_adapter(adapter)
        _check_jobs(jobs)
        options = Options.of(classes, abstain_below)
        chosen = ClassChoice(self.info, options).classes
        if speakers is None:
            return PredictionRows(self._bulk(adapter, options).predict(sources, jobs), chosen)
        if adapter is not None:
            raise EarnestError("Give an adapter, or speakers, not both.")
        # What is wrong with the names is told before anything is heard.
        if not isinstance(speakers, Iterable):
            raise EarnestError(f"speakers: expected one name, or a list with one for each, got {shown(speakers)}.")
        told = [] if isinstance(speakers, str) else [_speaker(name, number) for number, name in enumerate(speakers)]
        if isinstance(sources, Sized) and not isinstance(speakers, str):
            _check_count(told, len(sources))
        batch, heard = self.batch(options), list(self.hear_many(sources, jobs, options))
        names = [_speaker(speakers, number) for number in range(len(heard))] if isinstance(speakers, str) else told
        _check_count(names, len(heard))
        spoken = [one.spoken_by(_told_name(name)) for one, name in zip(heard, names, strict=True)]
        return PredictionRows(batch.answered(lambda: zip(names, spoken, strict=True)), chosen)

    def embed(self, sources: Iterable[AudioInput], jobs: int = 1) -> Embeddings:
        """Return the embeddings of recordings, the vectors before the last layer: shape (recordings, width), float32.

        They are plain: adaptation to a speaker works on probabilities, and moves no embedding.

        Raises `BundleError` when there are several models.
        """
        return Embeddings.of(self.embed_many(sources, jobs), self.embedding_width)

    def embed_many(self, sources: Iterable[AudioInput], jobs: int = 1) -> Iterator[EmbeddedRecording]:
        """Yield embeddings one by one, as `embed` gathers them."""
        refuse_single(sources)
        _check_jobs(jobs)
        graph = self._own_graph("embedding")
        return self._bulk(None, outputs=(*graph.predicted, "embedding")).embed(sources, jobs)

    @cached_property
    def embedding_width(self) -> int:
        """Values of one embedding."""
        graph = self._own_graph("embedding")
        if graph.embedding_width is not None:
            return graph.embedding_width
        second = np.zeros(self.info.sample_rate_hz, np.float32)  # a graph that leaves its width open tells by running
        return int(graph.run([second], ["embedding"])["embedding"].shape[1])

    def _own_graph(self, what: str) -> Graph:
        """Return the one graph; several models have no embedding or spectrogram in common."""
        if not isinstance(self.graph, Graph):
            raise BundleError(f"'{self.info.name}' has no {what} of its own. Name one model, without variants.")
        return self.graph

    @property
    def _reading(self) -> Reading:
        return Reading(self.max_seconds, self.decoders, self.file_s, self.if_too_long)

    @property
    def _windowing(self) -> Windowing:
        return Windowing(activity=self.activity)

    def hear_many(self, sources: Iterable[AudioInput], jobs: int, options: Options) -> Iterator[AnsweredRecording]:
        """Answer as `predict_many` does without adaptation, and keep what was heard: see `batch`."""
        return self._bulk(None, options).hear(sources, jobs)

    def batch(self, options: Options) -> BatchAnswers:
        """Return a batch adapter, which answers the recordings of `hear_many` again."""
        return BatchAnswers(self.adaptation, self.info, self._windowing, options)

    def stream(
        self,
        sample_rate_hz: int,
        windowing: Windowing | None = None,
        adapter: Listener | None = None,
        *,
        classes: Classes = None,
        abstain_below: float | None = None,
    ) -> Stream:
        """Open a stream; hand it sound with `Stream.accept_waveform`, end it with `Stream.finish`.

        Parameters
        ----------
        sample_rate_hz : of what will be handed over
        """
        self._check_adapter(adapter)
        if windowing is not None and not isinstance(windowing, Windowing):
            told = "An adapter is given by name: adapter=…" if hasattr(windowing, "hear") else _TOGETHER
            raise EarnestError(f"windowing must be a Windowing, got {shown(windowing)}. {told}")
        check_form("stream", sample_rate_hz := rate_of(sample_rate_hz, "stream"), 1)
        options = Options.of(classes, abstain_below)
        return Stream(self.graph, self.info, sample_rate_hz, windowing or self._windowing, adapter, options)

    def timeline(
        self,
        source: AudioInput,
        windowing: Windowing | None = None,
        adapter: Listener | None = None,
        max_seconds: float = TIMELINE_MAX_SECONDS,
        *,
        classes: Classes = None,
        abstain_below: float | None = None,
    ) -> Timeline:
        """Predict the emotion over time of a recording of any length; memory stays bounded.

        Raises `AudioError` when the recording can't be read, or lasts longer than ``max_seconds``.

        Parameters
        ----------
        source : path, bytes, open binary file, or (array, sample rate in Hz)
        windowing : length and distance of its windows, None for the usual ones
        adapter, classes, abstain_below : as for `predict`
        """
        recording = source_of(source)
        with Reading(max_seconds, self.decoders).open_audio(recording) as audio:
            rate_hz = audio.sample_rate_hz
            stream = self.stream(rate_hz, windowing, adapter, classes=classes, abstain_below=abstain_below)
            envelope = Envelope(rate_hz)
            events: list[Event] = []
            for block in audio.blocks:
                envelope.accept(block)
                events += stream.accept_waveform(block)
            events += stream.finish()
            notes = audio.notes()
        told = stream.prediction(path_of(recording), notes=notes)
        return Timeline.of(told, events, stream.activity, stream.classes, envelope)

    async def apredict(
        self, source: AudioInput, adapter: Listener | None = None, **request: Unpack[OptionWords]
    ) -> Prediction:
        """Run `predict` in a thread; where the task is cancelled, the thread stops soon."""
        return await _while_awaited(partial(self.predict, source, adapter, **request))

    async def apredict_many(
        self, sources: Iterable[AudioInput], jobs: int = 1, **request: Unpack[RowWords]
    ) -> AsyncIterator[Prediction]:
        """Run `predict_many` in a thread: ``async for row in model.apredict_many(paths)``."""
        rows = await _while_awaited(partial(self.predict_many, sources, jobs, **request))
        while (row := await _while_awaited(partial(next, rows, None))) is not None:
            try:
                yield row
            except BaseException:  # nobody wants the rest; threads that still work are waited for beside the loop
                await _while_awaited(rows.close)
                raise

    async def atimeline(self, source: AudioInput, **request: Unpack[TimelineWords]) -> Timeline:
        """Run `timeline` in a thread; where the task is cancelled, the thread stops soon."""
        return await _while_awaited(partial(self.timeline, source, **request))

    def _bulk(
        self, adapter: Listener | None, options: Options | None = None, outputs: Sequence[str] | None = None
    ) -> Bulk:
        asked = options or Options()
        return Bulk(self.graph, self.info, self._reading, adapter, self.batch_s, asked, self._windowing, outputs)


class _WatchedDecoders:
    """Has decoders decode, and says how far they are: ``heard`` is called with a path and the seconds so far."""

    def __init__(self, heard: Callable[[str, float], object], decoders: Decoders) -> None:
        self._heard, self._decoders = heard, decoders

    @contextmanager
    def open_audio(self, source: Source, max_seconds: float) -> Iterator[AudioStream]:
        """Open a recording whose blocks are counted."""
        with self._decoders.open_audio(source, max_seconds) as audio:
            yield replace(audio, blocks=self._blocks(path_of(source), audio))

    def kept_open(self) -> AbstractContextManager[None]:
        """See `Decoders`."""
        return self._decoders.kept_open()

    def read_picture(self, source: Source) -> Picture:
        """See `Decoders`."""
        return self._decoders.read_picture(source)

    def close(self) -> None:
        """See `Decoders`."""
        self._decoders.close()

    def _blocks(self, path: str, audio: AudioStream) -> Iterator[Waveform]:
        n_samples = 0
        for block in audio.blocks:
            yield block
            n_samples += len(block)
            self._heard(path, n_samples / audio.sample_rate_hz)


async def _while_awaited(work: Callable[[], Answer]) -> Answer:
    """Do work in a thread, until the current deadline, and no longer than somebody waits for it."""
    from asyncio import CancelledError, to_thread

    deadline = Deadline(current_deadline().left_s)

    def done() -> Answer:
        with until(deadline):
            return work()

    try:
        return await to_thread(done)
    except CancelledError:
        deadline.end()
        raise


def _bundles_in(given: object) -> list[Bundle]:
    bundles = list(given) if isinstance(given, Iterable) else []
    if not bundles or not all(isinstance(one, Bundle) for one in bundles):
        raise BundleError(f"Expected one bundle or a list of them, got {shown(given)}. By name: earnest.load('small').")
    return bundles


def _check_count(speakers: Sequence[str], n_recordings: int) -> None:
    if len(speakers) != n_recordings:
        raise EarnestError(
            f"{counted(len(speakers), 'speaker')} for {counted(n_recordings, 'recording')}. Name one for each."
        )


def _speaker(name: object, number: int) -> str:
    """Return the speaker of a recording; an unknown one is a speaker of its own."""
    if isinstance(name, str) and name:
        return str(name)  # NumPy's texts are of a type of their own
    if isinstance(name, Real) and not math.isnan(name):  # an empty cell of a table is NaN, and 7 beside it is 7.0
        return str(name).removesuffix(".0")
    if name is None or isinstance(name, str | Real) or type(name).__name__ == "NAType":  # pandas' own
        return f"recording {number}{_UNKNOWN}"
    raise EarnestError(f"speakers: expected a name, or None where it is unknown, got {shown(name)}.")


def _told_name(speaker: str) -> str | None:
    """Return the name of a speaker of `_speaker`, None for one who is unknown."""
    return None if speaker.endswith(_UNKNOWN) else speaker


def _check_jobs(jobs: int) -> None:
    if not isinstance(jobs, Integral) or jobs < 1:
        raise EarnestError(f"jobs must be a whole number of threads, 1 or more; got {shown(jobs)}.")


def _origin(bundle: Bundle) -> tuple[str, BundleInfo]:
    """Return where a bundle is found again, by name where it is shipped, and what it says, with its files' digests."""
    return bundle.folder.name if bundle.is_shipped else str(bundle.folder.absolute()), bundle.info


def _loaded_again(
    origins: Sequence[tuple[str, BundleInfo]], settings: Mapping[str, Any], activity: str, file_s: float
) -> Predictor:
    """Make the predictor that was pickled; a bundle that has changed since then is refused."""
    bundles = [load_bundle(where) for where, _ in origins]
    for bundle, (where, info) in zip(bundles, origins, strict=True):
        if bundle.info != info:
            raise BundleError(f"{where}: the bundle has changed since it was pickled. Load it, and pickle it again.")
    predictor = Predictor(bundles, **settings)
    predictor.activity, predictor.file_s = activity, file_s
    return predictor


@cache
def _warn_once(message: str) -> None:
    _log.warning(message)
