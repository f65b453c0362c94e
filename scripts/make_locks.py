"""Write locks/*.txt: each package with its version and the hashes of all its files; ``make locks``.

The versions are those of constraints.txt; for the release tools, which it does not name, those that the lock has
already (``--upgrade`` takes the newest). The locks hold for every platform, by markers.

torch is in no lock. Of its version the public index has a CUDA build for Linux, others have a CPU build of the same
version and other hashes, and people have reasons for either: `make dev` takes what their pip is set up for.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCKS = ROOT / "locks"
CONSTRAINTS = ROOT / "constraints.txt"
SETS = {
    "build": ("--group", "build"),
    "light": (),
    "server": ("--extra", "server", "--extra", "media"),
    "full": ("--extra", "dev"),
    "desktop": ("--extra", "desktop", "--group", "package"),
    "release": ("--group", "release"),
}
OF_TORCH = re.compile(r"(torch|triton|(cuda|nvidia)-[a-z0-9-]+)==")
HEAD = "# Written by `make locks`. Use: pip install --require-hashes --no-deps -r locks/{}.txt\n"


def lock(name: str, *options: str) -> str:
    """Return the lock of one set, as pip reads it."""
    path = LOCKS / f"{name}.txt"
    source = [] if options[:1] == ("--group",) else ["pyproject.toml"]
    command = ["uv", "pip", "compile", *source, *options, "--universal", "--python-version", "3.11"]
    command += ["--generate-hashes", "--constraint", CONSTRAINTS.name, "--no-annotate", "--no-header", "--quiet"]
    command += ["--no-emit-index-url", "--no-emit-find-links", "--output-file", f"{LOCKS.name}/{path.name}"]
    command += ["--upgrade"] if "--upgrade" in sys.argv[1:] else []
    subprocess.run([str(Path(sys.executable).parent / command[0]), *command[1:]], cwd=ROOT, check=True)
    blocks = re.split(r"^(?=\S)", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return HEAD.format(name) + "".join(block for block in blocks if not OF_TORCH.match(block))


if __name__ == "__main__":
    LOCKS.mkdir(exist_ok=True)
    for name, options in SETS.items():
        (LOCKS / f"{name}.txt").write_text(lock(name, *options), encoding="utf-8")
