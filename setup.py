"""What a wheel holds beyond the lists of pyproject.toml: the recipes of the repository, and word of a missing page."""

import os
import sys
from pathlib import Path

from setuptools import find_namespace_packages, setup

ROOT = Path(__file__).resolve().parent
OLDEST_IN_ZIP = "315532800"  # 1980-01-01, in seconds since 1970

# The same files make the same wheel, byte for byte: without it, those that the build writes bear the time of the build.
os.environ.setdefault("SOURCE_DATE_EPOCH", OLDEST_IN_ZIP)

if "bdist_wheel" in sys.argv and not (ROOT / "earnest" / "apps" / "web" / "index.html").is_file():
    sys.stderr.write(
        "earnest: this wheel has no page for `earnest serve`, as earnest/apps/web is not built. All else works.\n"
        "earnest: `make wheel` builds the page first, where npm and Node 20 are installed.\n"
    )

setup(
    packages=[*find_namespace_packages(include=["earnest*"]), "earnest.recipes"],
    package_dir={"earnest.recipes": "recipes"},
)
