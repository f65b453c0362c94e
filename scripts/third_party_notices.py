"""Write THIRD_PARTY_NOTICES.md: whose work is used, and under which licences; ``make notices``.

What a package says about itself is read from its metadata. What lies inside its files is in `INSIDE`, which a person
has looked up: where a package's version changes, look again.
"""

import importlib.metadata
import json
import re
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "THIRD_PARTY_NOTICES.md"
SETS = ("light", "server", "full")
PINNED = re.compile(r"^([\w.-]+)==([^ ;\\]+)", re.MULTILINE)
LONGEST = 60

INSIDE = {
    "soundfile": (
        "libsndfile (LGPL-2.1-or-later), with mpg123 (LGPL-2.1), LAME (LGPL-2.0-or-later), FLAC, Ogg, Vorbis and "
        "Opus (BSD-3-Clause) in one shared library",
        "Replace: put your build of libsndfile in the place of `_soundfile_data/libsndfile_*.so` (`.dylib`, "
        "`.dll`), or delete that file: then the system's libsndfile is used.",
    ),
    "soxr": (
        "soxr itself and libsoxr (LGPL-2.1-or-later), PFFFT (BSD-like), in one extension module",
        "Replace: build it from its source package against your libsoxr: `pip install --no-binary soxr soxr==VERSION`.",
    ),
    "av": (
        "FFmpeg (LGPL-3.0-or-later as built), LAME, GnuTLS, nettle, GMP, libunistring, ALSA (LGPL), dav1d, SVT-AV1,"
        " libvpx, libwebp, Opus, oneVPL, xcb (BSD and MIT), opencore-amr (Apache-2.0), **x264 and x265 "
        "(GPL-2.0-or-later)**, each a shared library in `av.libs/`",
        "Replace: put your build in place of the file in `av.libs/`, or build PyAV against your FFmpeg: `pip "
        "install --no-binary av av==VERSION`. earnest only decodes sound and uses neither x264 nor x265; but who "
        "hands on an image that holds this wheel hands on these two, under the GPL. Leave out `[media]`, or build "
        "PyAV against an FFmpeg without them.",
    ),
    "openvino": (
        "oneTBB, oneDNN, hwloc and others (Apache-2.0, BSD); listed in its `licensing/` folder",
        "",
    ),
    "onnxruntime": (
        "oneDNN, Eigen, protobuf and others; listed in its `ThirdPartyNotices.txt`",
        "",
    ),
    "numpy": (
        "OpenBLAS (BSD-3-Clause), libgfortran and libquadmath (GPL-3.0 with the GCC runtime exception)",
        "",
    ),
    "scipy": (
        "OpenBLAS (BSD-3-Clause), libgfortran and libquadmath (GPL-3.0 with the GCC runtime exception)",
        "",
    ),
    "scikit-learn": (
        "libgomp (GPL-3.0 with the GCC runtime exception)",
        "",
    ),
    "torch": (
        "libgomp (GPL-3.0 with the GCC runtime exception), oneDNN and others; builds with CUDA add NVIDIA's terms",
        "",
    ),
    "pyside6-essentials": (
        "Qt 6 (LGPL-3.0-only), ICU (Unicode-3.0), FreeType, HarfBuzz, libpng, zlib and "
        "others (permissive), each Qt module a shared library in `PySide6/Qt/lib/`",
        "Replace: put your build of the Qt libraries in place of the files in `PySide6/Qt/lib/`.",
    ),
    "sounddevice": (
        "PortAudio (MIT) in the wheels for Windows and macOS; on Linux the system's is used",
        "",
    ),
    "pillow": (
        "libjpeg-turbo, FreeType, HarfBuzz, libtiff, libwebp and others (permissive)",
        "",
    ),
    "pyarrow": (
        "Apache Arrow C++ and what it bundles; listed in its `LICENSE.txt`",
        "",
    ),
}
HEAD = """# Third-party notices

Written by `make notices`. earnest itself is under the Apache License 2.0 (LICENSE).

## What lies in earnest's own packages

| part | from | licence |
|---|---|---|
| weights of the bundles, as far as they come from Whisper | OpenAI | MIT, text: `earnest/models/notices/whisper.txt` |
| weights of `research-base`, `research-small` | RAVDESS, Livingstone and Russo | CC BY-NC-SA 4.0, non-commercial |
| weights of voice activity detection | Silero Team | MIT, text: `earnest/audio/silero_vad.txt` |
| the page of `earnest serve` (`earnest/apps/web`): {npm} | npm | texts: `licences.txt` beside the page |

The terms of the research weights: https://creativecommons.org/licenses/by-nc-sa/4.0/. Who can't have non-commercial
files deletes these two folders of `earnest/bundles`; nothing else needs them.

The demo clips were spoken by espeak-ng, which asks nothing for what it says. What each bundle was trained on, and under
which terms, is on its card (`earnest/bundles/*/card.md`).

## What is installed beside it

pip fetches these from their makers; earnest's packages do not contain them. An image or an installer that you build
does, and then their licences ask things of you: keep their texts (each package has its own in its `.dist-info` folder),
and for those under the LGPL let people replace them, as told here. earnest loads all of them unchanged and keeps nobody
from that.

### Parts within them
"""


def pinned(name: str) -> dict[str, str]:
    """Return the packages of a lock and their versions."""
    return dict(PINNED.findall((ROOT / "locks" / f"{name}.txt").read_text(encoding="utf-8")))


def licence(package: Distribution) -> str:
    """Return a package's licence, in its shortest form."""
    said = package.metadata
    if expression := said.get("License-Expression"):
        return str(expression)
    classifiers = [line.split(" :: ")[-1] for line in said.get_all("Classifier", []) if line.startswith("License ::")]
    classifiers = [line for line in classifiers if line not in ("OSI Approved", "DFSG approved")]
    if classifiers:
        return ", ".join(classifiers)
    lines = (said.get("License") or "").strip().splitlines()
    return lines[0][:LONGEST] if lines else "not said in its metadata"


def rows() -> list[str]:
    """Return a line of the table for each package, with the smallest set that installs it."""
    smallest = {name: word for word in reversed(SETS) for name in pinned(word)}
    versions = pinned("full")
    lines = ["| package | version | licence, as it says | installed by |", "|---|---|---|---|"]
    for name in sorted([*versions, "torch"]):
        try:
            package = importlib.metadata.distribution(name)
        except PackageNotFoundError:
            lines.append(f"| {name} | {versions[name]} | not installed on Linux | {smallest[name]} |")
            continue
        version = package.version.partition("+")[0]
        if versions.get(name, version) != version:
            raise SystemExit(f"{name} {version} is installed, locked is {versions[name]}. Run `make dev` first.")
        lines.append(f"| {name} | {version} | {licence(package)} | {smallest.get(name, 'full')} |")
    return lines


def page() -> str:
    """Return the whole as Markdown."""
    web = (ROOT / "web" / "build.mjs").read_text(encoding="utf-8")
    lists = dict(re.findall(r"^const (BUNDLED|LEARNING) = \[(.*)\];", web, re.MULTILINE))
    names = json.loads(f"[{lists['BUNDLED'].replace('...LEARNING', lists['LEARNING'])}]")
    packages = json.loads((ROOT / "web" / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    found = [(name, packages[f"node_modules/{name}"]) for name in names]
    npm = ", ".join(f"{name} {package['version']} ({package['license']})" for name, package in found)
    inside = [f"* **{name}**: {parts}. {replace}".rstrip() for name, (parts, replace) in sorted(INSIDE.items())]
    return "\n".join([HEAD.format(npm=npm), *inside, "", "### All packages", "", *rows()]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
