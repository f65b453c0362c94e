"""A made-up sound card: a microphone that hears a recording, and a loudspeaker that keeps what it was given."""

import threading
from itertools import count
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt


def sound_card(heard: npt.NDArray[np.float32] | None = None, blocks_per_s: int = 100) -> Any:
    """Return a module like sounddevice; ``heard`` None is a computer without devices.

    What is added to ``plugged`` is found when it begins anew, which breaks what still records or plays.
    """
    module: Any = ModuleType("sounddevice")
    module.PortAudioError = type("PortAudioError", (Exception,), {})
    module.played, module.sounding = [], set()  # the devices whose threads run

    class Device:
        def __init__(self, callback: Any, blocksize: int = 1_600, **_: Any) -> None:
            if heard is None:
                raise module.PortAudioError("Error querying device -1")
            self._callback, self._n, self._over = callback, blocksize or 1_600, threading.Event()
            self._thread = threading.Thread(target=self._run, daemon=True)

        def __enter__(self) -> "Device":
            self.start()
            return self

        def __exit__(self, *_: object) -> None:
            self.close()

        def start(self) -> None:
            module.sounding.add(self)
            self._thread.start()

        @property
        def closed(self) -> bool:
            return self not in module.sounding

        def close(self) -> None:
            self._over.set()
            self._thread.join()
            module.sounding.discard(self)

    class InputStream(Device):
        def _run(self) -> None:
            assert heard is not None
            for start in count(0, self._n):
                if self._over.wait(1 / blocks_per_s):
                    return
                block = heard[start : start + self._n]  # and then silence, as long as somebody listens
                self._callback(np.pad(block, (0, self._n - len(block)))[:, None], self._n, None, None)

    class OutputStream(Device):
        def _run(self) -> None:
            while not self._over.wait(1 / blocks_per_s):
                data = np.zeros((self._n, 1), np.int16)
                self._callback(data, self._n, None, None)
                module.played.append(data)

    module.InputStream, module.OutputStream = InputStream, OutputStream
    module.plugged = [] if heard is None else ["Made-up microphone"]
    found = list[dict[str, Any]]()

    def begin() -> None:
        assert not module.sounding
        found[:] = [{"name": name, "max_input_channels": 1, "hostapi": 0} for name in module.plugged]

    begin()
    module._terminate, module._initialize = lambda: None, begin
    module.query_devices, module.query_hostapis = lambda: found, lambda: [{"name": "ALSA"}]
    return module
