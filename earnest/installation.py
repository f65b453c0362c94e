"""The installed version, how it was installed, commands that add its extras, and limits of these."""

import sys
from pathlib import Path

__version__ = "0.1.0"
GIT = "git"


def without_telemetry() -> None:
    """Have OpenVINO and NNCF find no ``openvino_telemetry``, with which each import of them tells their makers."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def install_command(extra: str) -> str:
    """Return the shell command that adds an extra, and where to type it.

    What pip remembers of an installation (PEP 610) says whether it came from a folder of sources or from a wheel; else
    it came from an index. Folders are not named: servers and files of results tell these words to others.
    """
    return f"{_installer()} {_requirement(extra)}"


def _requirement(extra: str) -> str:
    if _is_checkout():
        return f"--editable '.[{extra}]' (in the folder of earnest's sources)"
    name, is_folder = _origin()
    if is_folder:
        return f"'.[{extra}]' (in the folder of earnest's sources)"
    if name == GIT:
        return f"'earnest[{extra}] @ git+ADDRESS' (with the address that it came from)"
    return f"'./{name}[{extra}]' (where this file lies)" if name else f"'earnest[{extra}]'"


def _installer() -> str:
    """Return the command that installs into this environment: pipx and uv keep the shell's pip out of theirs."""
    environment = Path(sys.prefix)
    if (environment / "pipx_metadata.json").is_file():
        return "pipx install --force"  # `pipx runpip` works in another folder, and finds no file
    if (environment / "uv-receipt.toml").is_file():
        return "uv tool install --force"
    return "uv pip install" if _is_of_uv(environment / "pyvenv.cfg") else "pip install"


def _is_of_uv(settings: Path) -> bool:
    """Whether uv made an environment: it puts no pip there, and the shell's would install elsewhere."""
    try:
        lines = settings.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return False
    return any(line.partition("=")[0].strip() == "uv" for line in lines)


def _is_checkout() -> bool:
    folder = Path(__file__).parents[1]
    return (folder / "pyproject.toml").is_file() and (folder / "recipes").is_dir()


def _origin() -> tuple[str, bool]:
    """Return the name of the file or folder that pip installed from, and whether it was a folder.

    It is `GIT` for a repository, "" for an index.
    """
    import json
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import unquote, urlsplit

    try:
        text = distribution("earnest").read_text("direct_url.json")
        told = json.loads(text) if text else {}
        url = urlsplit(told.get("url", ""))
    except (PackageNotFoundError, ValueError, AttributeError):
        return "", False
    if "vcs_info" in told:
        return GIT, False
    name = Path(unquote(url.path)).name if url.scheme == "file" else ""
    return name, bool(name) and "dir_info" in told
