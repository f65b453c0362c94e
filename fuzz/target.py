"""One atheris target: ``python -m fuzz.target NAME FINDINGS CORPUS [libFuzzer's options]``, in a process of its own.

What isn't an `EarnestError` is written into FINDINGS, and the fuzzer goes on; a crash of native code ends the process,
which `fuzz.campaign` sees and starts again.
"""

import gc
import json
import os
import sys
import tempfile
import warnings
from pathlib import Path

import atheris
import numpy as np

gc.disable()  # nothing that an import makes goes away
with atheris.instrument_imports(include=["earnest"], enable_loader_override=False):
    from earnest.files.writing import write_atomically
    from fuzz.damage import Findings, one_call
    from fuzz.mutations import damaged
    from fuzz.readers import Reader, reader_called

    reader_called(sys.argv[1])
gc.enable()
LONGEST_INPUT = 1 << 15


def main(name: str, findings: Path, corpus: Path, options: list[str]) -> None:
    """Fuzz one reader until libFuzzer ends the process."""
    reader = reader_called(name)
    seeds = reader.seeds()
    for number, data in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(data)
    found, n_known = Findings(name), 0
    folder = Path(tempfile.mkdtemp(dir=os.environ.get("FUZZ_TEMP")))
    reader.beside(folder)

    def one(data: bytes) -> None:
        nonlocal n_known
        one_call(reader, folder, data, found)
        if len(found.crashes) > n_known:
            n_known = len(found.crashes)
            write_atomically(findings, json.dumps(found.to_dict()).encode())

    warnings.simplefilter("ignore")
    atheris.Setup([sys.argv[0], str(corpus), *options], one, custom_mutator=_mutator(reader, seeds))
    atheris.Fuzz()


def _mutator(reader: Reader, seeds: tuple[bytes, ...]):  # type: ignore[no-untyped-def]
    def mutate(data: bytes, most: int, seed: int) -> bytes:
        rng = np.random.default_rng(seed)
        if reader.kind == "bytes" or rng.random() < 0.5:
            return bytes(atheris.Mutate(data, most))
        return damaged(bytes(data), reader.kind, rng, seeds)[:most]

    return mutate


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
