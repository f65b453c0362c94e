"""One network for many threads: work of several requests in one run.

On a CPU with one thread a run of eight 3-s clips takes as long as eight runs (1.14 against 1.18 ms a clip with `small`,
15.0 against 15.1 with `base`) and moves probabilities by up to 4e-7, so windows of different requests share a run only
where that was asked for: on a GPU it is another matter.
"""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from threading import BoundedSemaphore, Lock

from earnest.audio.deadline import check_deadline, current_deadline, until
from earnest.audio.waveform import Waveform
from earnest.errors import NoPicturesError
from earnest.runtime.graph import LogMel, Network, Outputs, PictureNetwork

ALIKE = 1.25  # longest to shortest window of a run: more is padding that costs more than sharing saves


def pictures_of(network: Network) -> PictureNetwork:
    """Return the network, or refuse one that doesn't answer about spectrograms."""
    if not isinstance(network, PictureNetwork):
        raise NoPicturesError("This model answers about recordings alone.")
    return network


class _Wanted:
    """One window that waits for a run."""

    def __init__(self, waveform: Waveform, names: tuple[str, ...]) -> None:
        self.waveform, self.names = waveform, names
        self.deadline = current_deadline()
        self.outputs: Future[Outputs] = Future()
        self.is_taken = False


class Shared:
    """A network that answers windows which wait at the same time in one run; nobody waits for others to come.

    Several windows that are handed over together stay together: they are a batch already.
    """

    def __init__(self, network: Network, most: int, runs: int) -> None:
        self._network, self._most = network, most
        self._waiting: deque[_Wanted] = deque()
        self._lock, self._turns = Lock(), BoundedSemaphore(runs)
        self.predicted = network.predicted

    def run_log_mel(self, log_mel: LogMel, names: Sequence[str] | None = None) -> Outputs:
        """Answer about a spectrogram, which waits for no others."""
        network = pictures_of(self._network)
        with self._turns:
            return network.run_log_mel(log_mel, names)

    def run(self, waveforms: Sequence[Waveform], names: Sequence[str] | None = None) -> Outputs:
        """Answer a batch; see `earnest.runtime.graph.Graph.run`."""
        if len(waveforms) != 1:
            with self._turns:
                return self._network.run(waveforms, names)
        mine = _Wanted(waveforms[0], tuple(names or self.predicted))
        with self._lock:
            self._waiting.append(mine)
        while not mine.is_taken:
            with self._turns:
                self._run_first()
        check_deadline()
        return mine.outputs.result()

    def _run_first(self) -> None:
        """Run whoever waits longest, with those that are like it."""
        with self._lock:
            together = self._taken()
        if not together:
            return
        last = max((wanted.deadline for wanted in together), key=lambda deadline: deadline.ends)
        try:
            with until(last):
                outputs = self._network.run([wanted.waveform for wanted in together], together[0].names)
        except BaseException as error:
            for wanted in together:
                wanted.outputs.set_exception(error)
            return
        for row, wanted in enumerate(together):
            wanted.outputs.set_result({name: values[row : row + 1] for name, values in outputs.items()})

    def _taken(self) -> list[_Wanted]:
        together: list[_Wanted] = []
        for wanted in list(self._waiting):
            if len(together) < self._most and _alike([*together, wanted]):
                wanted.is_taken = True
                self._waiting.remove(wanted)
                together.append(wanted)
        return together


def _alike(some: Sequence[_Wanted]) -> bool:
    lengths = [len(wanted.waveform) for wanted in some]
    return len({wanted.names for wanted in some}) == 1 and max(lengths) <= ALIKE * min(lengths)
