"""Which earnest this is, how it was installed, what to type for one of its extras, and what these may not do."""

import sys
from pathlib import Path

__version__ = "0.1.0"


def without_telemetry() -> None:
    """Have OpenVINO and NNCF find no ``openvino_telemetry``, with which each import of them tells their makers."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def install_command(extra: str) -> str:
    """Return the shell command that adds an extra, and where to type it.

    What pip remembers of an installation (PEP 610) says whether it came from a folder of sources or from a wheel; else
    it came from an index. Folders are not named: servers and files of results tell these words to others.
    """
    if _is_checkout():
        return f"pip install --editable '.[{extra}]' (in the folder of earnest's sources)"
    name, is_folder = _origin()
    if is_folder:
        return f"pip install '.[{extra}]' (in the folder of earnest's sources)"
    return f"pip install './{name}[{extra}]' (where this file lies)" if name else f"pip install 'earnest[{extra}]'"


def _is_checkout() -> bool:
    folder = Path(__file__).parents[1]
    return (folder / "pyproject.toml").is_file() and (folder / "recipes").is_dir()


def _origin() -> tuple[str, bool]:
    """Return the name of the file or folder that pip installed from, "" for an index, and whether it was a folder."""
    import json
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import unquote, urlsplit

    try:
        text = distribution("earnest").read_text("direct_url.json")
        told = json.loads(text) if text else {}
        url = urlsplit(told.get("url", ""))
    except (PackageNotFoundError, ValueError, AttributeError):
        return "", False
    name = Path(unquote(url.path)).name if url.scheme == "file" else ""
    return name, bool(name) and "dir_info" in told
