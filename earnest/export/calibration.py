"""Clips of a run's own split for 8 bits: what ranges are measured on, and what shows whether accuracy was lost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from earnest.audio.io import load_waveform
from earnest.audio.waveform import Waveform
from earnest.corpora.load import load_utterances
from earnest.corpora.manifest import Utterance
from earnest.errors import CorpusError, EarnestError
from earnest.files.reading import read_json
from earnest.settings.recipe import read_recipe
from earnest.training.record import read_record
from earnest.training.run import scheme_of

SEED = 0
PARTS = ("train", "valid", "test")
N_CALIBRATION = 120
N_VALIDATION = 400


@dataclass(frozen=True)
class QuantisationClips:
    """Recordings at the model's rate, and the indices of their classes."""

    waveforms: Sequence[Waveform]
    targets: npt.NDArray[np.int64]

    def feeds(self) -> list[dict[str, npt.NDArray[np.float32] | npt.NDArray[np.int64]]]:
        """Return what the graph takes, a clip at a time."""
        return [
            {"waveform": waveform[None], "lengths": np.array([len(waveform)], np.int64)} for waveform in self.waveforms
        ]


def int8_clips(run: Path, folders: Mapping[str, Path]) -> tuple[QuantisationClips, QuantisationClips]:
    """Draw at most 120 training clips of a run, to measure ranges on, and at most 400 validation clips, to judge by.

    Validation speakers were not trained on, unless the run was refitted; test clips are left alone.
    """
    found = split_clips(run, folders)
    return _drawn(run, "train", found, N_CALIBRATION), _drawn(run, "valid", found, N_VALIDATION)


def split_clips(run: Path, folders: Mapping[str, Path]) -> dict[str, list[tuple[Utterance, int]]]:
    """Return the utterances of a run's split, with their classes' indices, under "train", "valid" and "test".

    Parameters
    ----------
    folders : corpus name → folder, see `earnest.corpora.load.corpus_root`
    """
    path = run / "split.json"
    split = read_json(path)
    try:
        keys = {part: list(split[part]) for part in PARTS}
    except (ValueError, KeyError, TypeError) as error:
        raise EarnestError(f"{path}: not the split of a run ({error!r}).") from error
    recipe, classes = read_recipe(run), read_record(run).classes
    rows = {row.key: row for row in load_utterances(recipe.corpora, folders)}
    missing = [key for part in PARTS for key in keys[part] if key not in rows]
    if missing:
        raise CorpusError(f"{path}: {missing[0]} is not in the corpora. Say with --data where the run's corpora are.")
    scheme = scheme_of(recipe, list(rows.values()))
    found: dict[str, list[tuple[Utterance, int]]] = {}
    for part in PARTS:
        chosen = [rows[key] for key in keys[part]]
        named = [(row, scheme.class_of(row.emotion, row.corpus, row.native_emotion)) for row in chosen]
        found[part] = [(row, classes.index(name)) for row, name in named if name in classes]
    return found


def load_clips(run: Path, rows: Sequence[tuple[Utterance, int]]) -> QuantisationClips:
    """Read utterances at the rate of a run's model."""
    rate_hz = read_recipe(run).front_end.sample_rate_hz
    waveforms = [load_waveform(row.path, rate_hz, row.start_s, row.end_s) for row, _ in rows]
    return QuantisationClips(waveforms, np.array([target for _, target in rows], np.int64))


def _drawn(
    run: Path, part: str, found: Mapping[str, Sequence[tuple[Utterance, int]]], n_most: int
) -> QuantisationClips:
    rows = found[part]
    if not rows:
        raise CorpusError(f"{run}: its split has no {part} recordings, which INT8 needs. Train with a {part} set.")
    chosen = np.random.default_rng(SEED).permutation(len(rows))[:n_most]
    return load_clips(run, [rows[index] for index in sorted(chosen)])


MOST_LOST = 0.005  # of accuracy, as a share of clips
MOST_CHANGED = 0.015  # of labels; 0.03 may, on clips that nobody has heard: more change there, 400 clips err by 0.005
BY_CHANCE = 1.645  # standard errors; one time in twenty chance alone goes further

RANKED = 4  # layers are ranked by every fourth clip

Probabilities: TypeAlias = npt.NDArray[np.float32]
Model = TypeVar("Model")


@dataclass(frozen=True)
class Judge:
    """Clips of validation speakers, and what the exact graph says about them.

    Attributes
    ----------
    exact : shape (clips, classes)
    """

    clips: QuantisationClips
    exact: Probabilities

    def slack(self, found: Probabilities) -> float:
        """Return how far answers are from the limits on lost accuracy and changed labels: negative beyond them.

        Of a few hundred clips half a point is one or two, so accuracy counts as lost only beyond chance
        (McNemar, 1947): were a changed answer as likely to become right as wrong, lost minus won would vary by the root
        of their sum.
        """
        was_right, is_right = (answers.argmax(axis=1) == self.clips.targets for answers in (self.exact, found))
        # The two cells that McNemar's test looks at.
        lost, won = (was_right & ~is_right).sum(), (is_right & ~was_right).sum()
        # (lost − won − 1.645·√(lost + won)) / n
        surely_lost = (lost - won - BY_CHANCE * np.sqrt(lost + won)) / len(self.exact)
        return float(min(MOST_LOST - surely_lost, MOST_CHANGED - self.changed(found)))

    def changed(self, found: Probabilities) -> float:
        """Return the share of labels that change.

        How far each clip moves is held against how sure each other one was too: by these pairs the share varies half as
        much from one set of clips to the next as by counting the few labels that did change.
        """
        margins = self._margins(self.exact)
        moves = margins - self._margins(found)  # (clips,): how far the label's lead shrinks
        return float((moves[:, None] > margins).mean())  # over all pairs (clip that moves, clip that leads)

    def _margins(self, answers: Probabilities) -> Probabilities:
        """Return by how much the exact label's log-probability exceeds the best other one's, shape (clips,)."""
        logs = np.log(np.maximum(answers, np.finfo(np.float32).tiny))
        is_label = np.arange(logs.shape[1]) == self.exact.argmax(axis=1)[:, None]
        best_other: Probabilities = np.where(is_label, -np.inf, logs).max(axis=1)
        # Each row has one True, so the boolean index gives (clips,).
        margins: Probabilities = logs[is_label] - best_other
        return margins

    def moved(self, found: Probabilities) -> float:
        """Return the mean absolute difference of probabilities."""
        return float(np.abs(found - self.exact).mean())

    def only(self, numbers: Sequence[int]) -> "Judge":
        """Return a judge of some of the clips."""
        waveforms = [self.clips.waveforms[number] for number in numbers]
        return Judge(QuantisationClips(waveforms, self.clips.targets[numbers]), self.exact[numbers])


def controlled(
    layers: Sequence[str],
    quantised: Callable[[Sequence[str]], Model],
    answers: Callable[[Model, QuantisationClips], Probabilities],
    judge: Judge,
    ranking: Callable[[], Sequence[str]],
) -> Model:
    """Quantise as many layers as the judge allows.

    Where all of them are too many, those that ``ranking`` names last stay in float, one more until the limits are kept.
    """
    found = quantised(layers)
    if judge.slack(answers(found, judge.clips)) >= 0:
        return found
    left = list(ranking())
    while left:
        left.pop()
        found = quantised(left)
        if judge.slack(answers(found, judge.clips)) >= 0:
            break
    return found


def ranked(
    layers: Sequence[str],
    quantised: Callable[[Sequence[str]], Model],
    answers: Callable[[Model, QuantisationClips], Probabilities],
    judge: Judge,
) -> list[str]:
    """Try each layer alone; those that move probabilities most come last."""
    few = judge.only(range(0, len(judge.exact), RANKED))
    harm = {layer: few.moved(answers(quantised([layer]), few.clips)) for layer in layers}
    return sorted(layers, key=lambda layer: harm[layer])
