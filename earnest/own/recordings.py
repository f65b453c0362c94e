"""Own recordings, heard and checked: which can be learnt from, and why the others can't; what a model keeps of them.

It keeps embeddings (those of speech alone) and labels, so that more recordings can be added.
"""

import io
import json
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from earnest.audio.parts import load_waveforms
from earnest.audio.source import AudioInput, Part, Source, file_and_channel
from earnest.augment.base import build_choice, generator_for
from earnest.bundle import Bundle, BundleInfo, load_bundle, sha256_of
from earnest.corpora.base import CORPORA
from earnest.corpora.check import audio_digests
from earnest.corpora.load import rows_by_name
from earnest.corpora.manifest import Utterance
from earnest.corpora.own import OwnData, Refused
from earnest.corpora.own.data import numbered
from earnest.errors import CorpusError, EarnestError
from earnest.files.reading import parsed_json, read_bytes, read_text
from earnest.files.writing import SUMS, write_atomically, write_sums
from earnest.labels import in_canonical_order
from earnest.learning.crossval import LabelledEmbeddings, LastLayer
from earnest.learning.domain import UNREADABLE
from earnest.onnx.surgery import SURE_FROM_S
from earnest.progress import SILENT, Progress
from earnest.runtime.formats import EmbeddedRecording
from earnest.runtime.predictor import Predictor

FEWEST_A_CLASS = 3
SAME = 1e-3  # of the embeddings' size: the same sound, heard in another batch, differs by less
CHANGES = (
    {"name": "coloured-noise", "probability": 0.4, "snr_db": [0, 30]},
    {"name": "reverb", "probability": 0.35, "rt60_s": [0.2, 1.0], "direct_db": [-6, 10]},
    {"name": "telephone", "probability": 0.25},
)
"""What an augmented copy has one of: those of the recipes of what ships that need no files beside."""
LONGEST_COPY_S = 60.0
OWN = "own recordings"  # what a bundle calls them among the corpora that it learnt from
N_NAMES = 20  # of recordings, looked at to tell a corpus
BY_HEART = 0.95  # of recordings that a base's answers tell apart: of emotions of new voices it never did so many
FOLDER = "learned"
ARRAYS, ROWS, PRIVACY = "embeddings.npz", "recordings.jsonl", "README.txt"
KEPT = ("embeddings", "seconds", "speech_s", "copies")
PRIVACY_TEXT = """These embeddings were made of people's voices, and recordings.jsonl names files and speakers.
Who spoke and how may be told from them: treat them as personal data, as manifest.csv, predictions.csv,
learn.json and the page beside the model. The model needs model.onnx, bundle.json, card.md and NOTICE.txt
alone; `--continue` needs this folder.
"""
MIXED = "its files don't fit together. Learn from all recordings again."
PROBLEMS = {
    "error": "not readable",
    "too-short": "too short",
    "no-speech": "no speech in it",
    "vocal-burst": "a voice without words (laugh, cry, sigh, scream), no speech",
}


@dataclass(frozen=True, eq=False)
class OwnRecording:
    """One recording: its embedding (width,), None where no speech was heard.

    Attributes
    ----------
    seconds : of the recording, NaN where it can't be read
    speech_s : of speech in it, 0 where there is none
    problem : why there is no embedding, "" where there is one
    """

    embedding: npt.NDArray[np.float32] | None
    seconds: float
    speech_s: float = 0.0
    problem: str = ""

    @classmethod
    def of(cls, row: EmbeddedRecording) -> "OwnRecording":
        """Keep the embedding of speech, and turn any other status into a problem."""
        seconds = float("nan") if row.duration_s is None else row.duration_s
        if row.status == "ok":
            return cls(row.vector, seconds, row.speech_s or 0.0)
        told = row.error if row.status == "error" else None
        return cls(None, seconds, problem=told or PROBLEMS[row.status])


def hear(predictor: Predictor, sources: Iterable[AudioInput], jobs: int = 1) -> Iterator[OwnRecording]:
    """Yield the embeddings of each recording, in order, by `earnest.runtime.predictor.Predictor.embed_many`."""
    yield from map(OwnRecording.of, predictor.embed_many(sources, jobs))


@dataclass(frozen=True, eq=False)
class OwnEmbeddings:
    """Labelled recordings and what a model heard in them, row by row.

    Attributes
    ----------
    rows : the recordings; a row's ``native_emotion`` is its label
    embeddings : shape (rows, width), float32
    seconds, speech_s : shape (rows,)
    copies : of each row, an augmented copy's embedding; (0, width) without
    """

    rows: tuple[Utterance, ...]
    embeddings: npt.NDArray[np.float32]
    seconds: npt.NDArray[np.float64]
    speech_s: npt.NDArray[np.float64]
    copies: npt.NDArray[np.float32]

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels, in the order of the model's answers."""
        return in_canonical_order(row.native_emotion for row in self.rows)

    @property
    def knows_speakers(self) -> bool:
        """Whether each recording has a speaker, and there are two or more."""
        return self.n_speakers > 1

    @property
    def n_speakers(self) -> int:
        """Number of speakers; 0 where a recording names none."""
        return len({row.speaker for row in self.rows}) if all(row.speaker for row in self.rows) else 0

    @property
    def sure_from_s(self) -> float:
        """Speech from which a head is as sure as of its recordings: half of them have less, if that is not much."""
        return min(SURE_FROM_S, float(np.median(self.speech_s)))

    def take(self, rows: Sequence[int]) -> "OwnEmbeddings":
        """Return some rows."""
        chosen = list(rows)
        copies = self.copies[chosen] if len(self.copies) else self.copies
        return OwnEmbeddings(
            tuple(self.rows[row] for row in chosen),
            self.embeddings[chosen],
            self.seconds[chosen],
            self.speech_s[chosen],
            copies,
        )

    def after(self, earlier: "OwnEmbeddings") -> "OwnEmbeddings":
        """Return earlier recordings and these, each with a name of its own; copies stay where both have some."""
        both = len(self.copies) and len(earlier.copies)
        return OwnEmbeddings(
            tuple(numbered((*earlier.rows, *self.rows))),
            np.concatenate([earlier.embeddings, self.embeddings]),
            np.concatenate([earlier.seconds, self.seconds]),
            np.concatenate([earlier.speech_s, self.speech_s]),
            np.concatenate([earlier.copies, self.copies]) if both else self.copies[:0],
        )

    def labelled(self, base: LastLayer | None) -> LabelledEmbeddings:
        """Return the embeddings that a head is fitted on: the recordings, then their copies.

        Recordings of one speaker stay together, or parts and channels of one file where speakers are unknown.
        """
        place = {label: number for number, label in enumerate(self.classes)}
        targets = np.array([place[row.native_emotion] for row in self.rows], np.int64)
        groups = [row.speaker if self.knows_speakers else file_and_channel(row.path.as_posix())[0] for row in self.rows]
        repeats = 2 if len(self.copies) else 1
        return LabelledEmbeddings(
            np.concatenate([self.embeddings, self.copies]).astype(np.float64),
            np.tile(targets, repeats),
            groups * repeats,
            len(place),
            np.repeat([False, True][:repeats], len(targets)),
            base,
        )


def hear_own(
    data: OwnData, predictor: Predictor, jobs: int, augment: bool, seed: int, progress: Progress = SILENT
) -> tuple[OwnEmbeddings, list[Refused]]:
    """Hear all recordings; what can't be read, is too short or holds no speech is refused.

    Parameters
    ----------
    augment : hear a changed copy of each, too
    seed : of the changes
    """
    n_rows = len(data.utterances)
    listening = hear(predictor, (row.source for row in data.utterances), jobs)
    heard = list(progress.counted("Listening", listening, n_rows))
    kept = [place for place, one in enumerate(heard) if one.embedding is not None]
    pairs = zip(data.utterances, heard, strict=True)
    refused = [Refused.because(_place(row), one.problem) for row, one in pairs if one.embedding is None]
    rows = [data.utterances[place] for place in kept]
    found = [heard[place] for place in kept]
    copies: list[OwnRecording] = []
    if augment and rows:
        changed = _copies(rows, predictor.info.sample_rate_hz, seed)
        copies = list(progress.counted("Listening to changed copies", hear(predictor, changed, jobs), len(rows)))
    seconds, speech_s = (np.array([getattr(one, name) for one in found]) for name in ("seconds", "speech_s"))
    return OwnEmbeddings(tuple(rows), _stacked(found), seconds, speech_s, _stacked_copies(copies, found)), refused


def _stacked(found: Sequence[OwnRecording]) -> npt.NDArray[np.float32]:
    embeddings = [one.embedding for one in found if one.embedding is not None]
    return np.stack(embeddings) if embeddings else np.zeros((0, 0), np.float32)


def _stacked_copies(copies: Sequence[OwnRecording], found: Sequence[OwnRecording]) -> npt.NDArray[np.float32]:
    """Stack the copies' embeddings; where the change left no speech, that of the recording itself stands."""
    if not copies:
        return _stacked(found)[:0]
    pairs = zip(copies, found, strict=True)
    return _stacked([copy if copy.embedding is not None else own for copy, own in pairs])


def _copies(rows: Sequence[Utterance], rate_hz: int, seed: int) -> Iterator[Source]:
    change = build_choice(CHANGES, rate_hz)
    ends_s = (row.start_s + LONGEST_COPY_S if row.end_s is None else row.end_s for row in rows)
    parts = (Part(str(row.path), row.start_s, end_s) for row, end_s in zip(rows, ends_s, strict=True))
    for row, waveform in zip(rows, load_waveforms(parts, rate_hz), strict=True):
        yield change(waveform, generator_for(f"{seed} {row.key}")), rate_hz


def _place(row: Utterance) -> str:
    part = "" if not row.start_s and row.end_s is None else f" from {row.start_s:g} s"
    return f"{row.path}{part}"


def without_doubles(own: OwnEmbeddings, n_earlier: int = 0) -> tuple[OwnEmbeddings, list[Refused]]:
    """Leave out recordings with the same sound as another: all but the first, or all where their labels differ.

    Parameters
    ----------
    n_earlier : rows, the first ones, that the model before was learnt from
    """
    refused: dict[int, Refused] = {}
    for same in _same_sound(own):
        labels = {own.rows[place].native_emotion for place in same}
        first = _place(own.rows[same[0]])
        for place in same if len(labels) > 1 else same[1:]:
            where = _place(own.rows[place])
            see = "" if where == first else f": see {first}"  # else there is no other recording to look at
            if len(labels) > 1:
                why = f"the same sound has several labels ({', '.join(sorted(labels))}){see}"
            elif same[0] < n_earlier:
                why = "learnt from before"
            else:
                why = f"the same sound as another{see}" if see else "named by a row before"
            refused[place] = Refused(where, why, first)
    kept = [place for place in range(len(own.rows)) if place not in refused]
    return own.take(kept), list(refused.values())


def _same_sound(own: OwnEmbeddings) -> list[list[int]]:
    """Return the places of recordings with the same samples, of those that last equally long and sound the same."""
    by_length: dict[int, list[int]] = defaultdict(list)
    for place, seconds in enumerate(own.seconds.tolist()):
        by_length[round(1000 * seconds)].append(place)
    found = []
    for places in by_length.values():
        left = places
        while len(left) > 1:
            first = own.embeddings[left[0]]
            size = SAME * float(np.linalg.norm(first))
            alike = [place for place in left if np.linalg.norm(own.embeddings[place] - first) <= size]
            left = [place for place in left if place not in alike]
            found += _of_same_samples(own, alike) if len(alike) > 1 else []
    return found


def _of_same_samples(own: OwnEmbeddings, places: Sequence[int]) -> list[list[int]]:
    """Divide recordings that sound alike by their samples; one that isn't there any more counts as the first."""
    digests = [_digest(own.rows[place]) for place in places]
    usual = next((digest for digest in digests if digest), "")
    by_digest: dict[str, list[int]] = defaultdict(list)
    for place, digest in zip(places, digests, strict=True):
        by_digest[digest or usual].append(place)
    return [same for same in by_digest.values() if len(same) > 1]


def _digest(row: Utterance) -> str:
    try:
        return audio_digests([row])[row.key]
    except EarnestError:
        return ""


def without_rare(own: OwnEmbeddings) -> tuple[OwnEmbeddings, list[Refused]]:
    """Leave out classes of fewer than three recordings: nothing could be learnt and tested."""
    counts = Counter(row.native_emotion for row in own.rows)
    kept = [place for place, row in enumerate(own.rows) if counts[row.native_emotion] >= FEWEST_A_CLASS]
    refused = [
        Refused(_place(row), f"'{row.native_emotion}' has {counts[row.native_emotion]} of the 3 recordings needed")
        for row in own.rows
        if counts[row.native_emotion] < FEWEST_A_CLASS
    ]
    return own.take(kept), refused


def known_corpora(rows: Sequence[Utterance], names: Iterable[str]) -> tuple[str, ...]:
    """Return which of some corpora the recordings seem to be of, as far as their names say.

    Parameters
    ----------
    names : of corpora that a model has learnt from
    """
    places = np.linspace(0, len(rows) - 1, min(N_NAMES, len(rows))).round().astype(int)
    some = [rows[place] for place in places.tolist()]
    return tuple(name for name in names if name in CORPORA and _is_of(name, some))


def last_layer(own: OwnEmbeddings, base: Bundle) -> LastLayer | None:
    """Return the base's last layer, to learn from its scores; None where it may have learnt from these recordings.

    Those it would answer by heart, and cross-validation would not see it: EmoDB, which `base` learnt from, would have
    99.6 UA in place of 90. It learnt from them where their names say so, where own recordings are in it already, and
    where its answers tell three labels or more apart, whatever these are called, hardly ever wrongly; two are often as
    different in voices that it never heard.
    """
    names = [line.name for line in base.info.training_corpora]
    may_know = OWN in names or known_corpora(own.rows, names)
    layer = None if may_know else LastLayer.of(base)
    if layer is None or layer.weights.shape[1] != own.embeddings.shape[1]:
        return None
    answers = layer.scores(own.embeddings.astype(np.float64)).argmax(axis=1).tolist()
    pairs = Counter(zip(answers, (row.native_emotion for row in own.rows), strict=True))
    # Purity: (1/n)·Σ_k max_c n_kc, with n_kc the recordings of label c that the base answers with its class k.
    most = [max(n for (answer, _), n in pairs.items() if answer == one) for one in set(answers)]
    return None if len(own.classes) > 2 and sum(most) > BY_HEART * len(answers) else layer


def _is_of(name: str, rows: Sequence[Utterance]) -> bool:
    if any(row.corpus == name for row in rows):
        return True
    return sum(1 for _ in rows_by_name(name, (row.path for row in rows))) > len(rows) / 2


def write_kept(folder: Path, own: OwnEmbeddings, base: Bundle) -> None:
    """Write embeddings and labels for `read_kept`."""
    stored = io.BytesIO()
    np.savez_compressed(stored, **{name: getattr(own, name) for name in KEPT})
    first = {"base": base.info.files["model.onnx"], "arrays": sha256_of(stored.getvalue())}
    text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in (first, *map(_plain, own.rows)))
    where = folder / FOLDER
    write_atomically(where / ARRAYS, stored.getvalue())
    write_atomically(where / ROWS, text.encode())
    write_atomically(where / PRIVACY, PRIVACY_TEXT.encode())
    write_sums(where, (ARRAYS, ROWS, PRIVACY))


def forget_kept(folder: Path) -> None:
    """Delete what a model kept before of its recordings: it is personal data."""
    for name in (SUMS, ARRAYS, ROWS, PRIVACY):
        (folder / FOLDER / name).unlink(missing_ok=True)
    with suppress(OSError):  # there is none, or it holds something else
        (folder / FOLDER).rmdir()


def _plain(row: Utterance) -> dict[str, Any]:
    return asdict(row) | {"path": str(row.path.resolve())}


def read_kept(folder: Path, base: Bundle) -> OwnEmbeddings:
    """Read the embeddings and labels that a model keeps.

    Raises `EarnestError` when it keeps nothing, what is there is damaged, or it was heard by another base.
    """
    where = folder / FOLDER
    missing = "not there. Only a model that `earnest learn` made, and that kept its embeddings, can be continued."
    text = read_text(where / ROWS, EarnestError, missing)
    texts = text.removesuffix("\n").split("\n")  # names may hold what Unicode also counts as the end of a line
    lines = [parsed_json(line, f"{where / ROWS}:{number}") for number, line in enumerate(texts, 1)]
    try:
        if lines[0]["base"] != base.info.files["model.onnx"]:
            raise EarnestError(f"{folder}: {_other_base(folder, base.info)}")
        rows = [_row(line) for line in lines[1:]]
        data = read_bytes(where / ARRAYS)
        if lines[0].get("arrays", sha256_of(data)) != sha256_of(data):
            raise EarnestError(f"{where}: {MIXED}")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            # What was kept before the seconds of speech were counts as speech from end to end.
            found = OwnEmbeddings(tuple(rows), **{name: arrays.get(name, arrays["seconds"]) for name in KEPT})
    except (*UNREADABLE, CorpusError, IndexError, AttributeError, BadZipFile, zlib.error) as error:
        raise EarnestError(f"{where}: damaged ({error}). Learn from all recordings again.") from error
    _check(found, where)
    return found


def _other_base(folder: Path, base: BundleInfo) -> str:
    """Explain that a model was learnt from another base, or from an earlier one of this name."""
    origin = ""
    with suppress(EarnestError):
        origin = load_bundle(folder.absolute()).info.origin  # "base 0.1.0"
    if origin.rpartition(" ")[0] == base.name:
        return (
            f"was learnt from an earlier '{base.name}' ({origin}; here is {base.version}), and what that one heard "
            "can't be mixed with what this one hears. It goes on answering as it is. To add recordings, learn from all "
            "of them again, without --continue."
        )
    other = f"from '{origin}', not from '{base.name}'" if origin else f"from another model than '{base.name}'"
    return f"was learnt {other}. Name that: --from."


def _row(line: dict[str, Any]) -> Utterance:
    return Utterance(**{**line, "path": Path(line["path"])})


def _check(found: OwnEmbeddings, where: Path) -> None:
    n_rows = len(found.rows)
    has_copies = _is_table(found.copies, n_rows) or _is_table(found.copies, 0)
    tables = (found.embeddings, found.seconds, found.speech_s)
    fits = n_rows > 0 and all(_is_table(one, n_rows) for one in tables) and has_copies
    if not fits or found.embeddings.ndim != 2 or not (found.speech_s > 0).all():
        raise EarnestError(f"{where}: {MIXED}")


def _is_table(one: Any, n_rows: int) -> bool:
    """Members of an archive that are no arrays come as bytes, and an array may have no dimension."""
    is_array = isinstance(one, np.ndarray) and one.ndim > 0 and len(one) == n_rows
    return is_array and one.dtype.kind == "f" and bool(np.isfinite(one).all())
