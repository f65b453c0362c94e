"""What is installed: files that someone has exchanged, and builds with known faults."""

import zipfile
from pathlib import Path

from attacks import Attack

PACKAGE, VERSION = "mdurl", "0.1.2"  # small, pure Python, in every lock


def exchanged_wheel(folder: Path) -> Path:
    """Write a wheel with the name and version of a package that we need, and other content."""
    path = folder / f"{PACKAGE}-{VERSION}-py3-none-any.whl"
    about = f"{PACKAGE}-{VERSION}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{PACKAGE}/__init__.py", "print('not what was tested')\n")
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {VERSION}\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    return path


ATTACKS = (
    Attack(
        "a package that we need, exchanged on the way or at its index, same name and version",
        "`make light`, `make dev` and the container took it: constraints.txt names versions alone",
        "refused by its hash, by all three; torch alone is not locked (scripts/make_locks.py says why)",
        "tests/unit/scripts/test_make_locks.py::test_an_exchanged_package_is_refused",
    ),
    Attack(
        "PyAV 14 to 17.0, which corrupt memory while decoding",
        "`av>=14` took them where they were installed already",
        "`av>=17.1,<19`; `make floors` installs and tries 17.1",
        "tests/unit/scripts/test_make_locks.py::test_decoders_with_known_memory_corruption_are_refused",
    ),
    Attack(
        "distilling with `listeners = 1` from a process whose libraries have threads of their own",
        "forked with their locks and without their threads; a CI run ended with a segmentation fault there",
        "spawned; nothing forks",
        "tests/unit/research/test_distillation.py::test_a_teacher_beside_the_training_teaches_the_same",
    ),
)
