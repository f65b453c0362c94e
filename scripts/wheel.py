"""Build sdist and wheel, install each extra alone in a clean environment, and try what it is for.

    python scripts/wheel.py                     # or `make wheel`; what passed for this very wheel is not done again
    python scripts/wheel.py --extras server     # these alone

One environment after the other, in build/wheel, each removed before the next: training takes gigabytes. What an
environment said lies beside it as EXTRA.json. An extra without a trial of its own is installed, and tried as "light".
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
import venv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "wheel"
LIGHT = "light"
SKIPPED = {"dev": "everything at once, for those who change earnest: `make dev`"}
BUILD = "import sys, setuptools.build_meta as it; to = sys.argv[1]; it.build_sdist(to); it.build_wheel(to)"
HOLDS = ("py.typed", "recipes/emocatcher.toml", "bundles/base/model.onnx", "audio/silero_vad.onnx")
PAGE = ("apps/web/index.html", "apps/web/licences.txt")


@dataclass(frozen=True)
class Outcome:
    """The outcome of one extra's trial."""

    extra: str
    wheel: str  # sha256
    passed: bool
    said: str
    seconds: float
    packages: int = 0
    megabytes: float = 0.0


def extras() -> list[str]:
    """Return the names of all extras, "light" for none before them."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return [LIGHT, *table["project"]["optional-dependencies"]]


def build() -> Path:
    """Build page, sdist and wheel; return the wheel."""
    subprocess.run(["sh", "scripts/page.sh"], cwd=ROOT, check=True)
    dist = WORK / "dist"
    for folder in (dist, ROOT / "build" / "lib"):  # setuptools keeps in build/lib what is no longer in the package
        shutil.rmtree(folder, ignore_errors=True)
    dist.mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(dist)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr[-4000:])
    sys.stdout.write("".join(f"{line}\n" for line in done.stderr.splitlines() if line.startswith("earnest:")))
    (wheel,) = dist.glob("*.whl")
    return wheel


def lacking(wheel: Path) -> list[str]:
    """Return files missing in the wheel; the page only where it was built."""
    done = subprocess.run(
        [sys.executable, "-m", "zipfile", "--list", str(wheel)], capture_output=True, text=True, check=True
    )
    held = {line.split()[0] for line in done.stdout.splitlines()[1:]}
    wanted = HOLDS + (PAGE if (ROOT / "earnest" / PAGE[0]).exists() else ())
    return [file for file in wanted if f"earnest/{file}" not in held]


class Trial:
    """One extra in an environment of its own."""

    def __init__(self, extra: str, wheel: Path) -> None:
        self.extra, self.wheel = extra, wheel
        self.folder = WORK / extra
        self.python = self.folder / "bin" / "python"

    def run(self) -> Outcome:
        """Install and try."""
        start = time.monotonic()
        digest = hashlib.sha256(self.wheel.read_bytes()).hexdigest()
        try:
            self.install()
            said, passed = self.tried(), True
        except subprocess.CalledProcessError as error:
            said, passed = f"{' '.join(map(str, error.cmd))}: {(error.stderr or '')[-1500:]}", False
        n, size = (self.packages(), self.megabytes()) if passed else (0, 0.0)
        shutil.rmtree(self.folder, ignore_errors=True)
        return Outcome(self.extra, digest, passed, said, round(time.monotonic() - start, 1), n, size)

    def install(self) -> None:
        """Make the environment, and let pip choose what the wheel asks for, under constraints.txt."""
        shutil.rmtree(self.folder, ignore_errors=True)
        venv.create(self.folder, with_pip=True)
        name = str(self.wheel) if self.extra == LIGHT else f"{self.wheel}[{self.extra}]"
        words = ["-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--constraint"]
        self._call(str(self.python), *words, str(ROOT / "constraints.txt"), name)

    def tried(self) -> str:
        """Try what every installation does, and then what this extra is for; return what was said."""
        said = self._call(str(self.python), str(ROOT / "scripts" / "smoke.py")).strip()
        trials = ROOT / "scripts" / "wheel_trials.py"
        return f"{said} {self._call(str(self.python), str(trials), self.extra).strip()}".strip()

    def packages(self) -> int:
        """Return how many packages are installed, pip left out."""
        return sum(
            not path.name.startswith("pip-") for path in self.folder.glob("lib/python*/site-packages/*.dist-info")
        )

    def megabytes(self) -> float:
        """Return the size of the environment."""
        files = (path for path in self.folder.rglob("*") if path.is_file() and not path.is_symlink())
        return round(sum(path.stat().st_size for path in files) / 1e6, 1)

    def _call(self, *words: str) -> str:
        self.folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(words, cwd=self.folder, env=_environment(), capture_output=True, text=True, check=True)
        return done.stdout


def _environment() -> Mapping[str, str]:
    hidden = {"PYTHONPATH", "EARNEST_MODEL", "VIRTUAL_ENV"}  # the wheel is tried, not the checkout
    return {name: value for name, value in os.environ.items() if name not in hidden}


def before(extra: str, wheel: Path) -> Outcome | None:
    """Return the earlier outcome of this wheel's trial; None where it failed or was another wheel's."""
    try:
        outcome = Outcome(**json.loads((WORK / f"{extra}.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return outcome if outcome.passed and outcome.wheel == hashlib.sha256(wheel.read_bytes()).hexdigest() else None


def main(words: Sequence[str]) -> int:
    """Build, install, try; 1 where something failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--extras", nargs="*", choices=extras(), default=extras(), help="default: all")
    parser.add_argument("--built", type=Path, help="try this wheel instead of building one")
    asked = parser.parse_args(words)
    wheel = asked.built.resolve() if asked.built else build()
    missing = lacking(wheel)
    if missing:
        raise SystemExit(f"{wheel.name} lacks {', '.join(missing)}.")
    failed = False
    for extra in asked.extras:
        if extra in SKIPPED:
            sys.stdout.write(f"{extra:<10} skipped: {SKIPPED[extra]}\n")
            continue
        outcome = before(extra, wheel) or Trial(extra, wheel).run()
        (WORK / f"{extra}.json").write_text(json.dumps(asdict(outcome), indent=1), encoding="utf-8")
        verdict = "works" if outcome.passed else "FAILED"
        size = f"{outcome.packages} packages, {outcome.megabytes:.0f} MB, {outcome.seconds:.0f} s"
        sys.stdout.write(f"{extra:<10} {verdict} ({size}): {outcome.said}\n")
        sys.stdout.flush()
        failed |= not outcome.passed
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
