"""``earnest new``: a package of your own that adds a corpus, a network or an augmentation."""

import re
import sys
from collections.abc import Callable, Mapping
from importlib.resources import files
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path

import click

from earnest.apps.cli import say
from earnest.apps.cli._typed import FOLDER, output_options
from earnest.errors import EarnestError, told
from earnest.files.writing import new_file

EXAMPLES = {"corpus": "kitchen-talk", "network": "small-tdnn", "augmentation": "peak-clipping"}
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@click.command()
@click.argument("kind", type=click.Choice([*EXAMPLES]))
@click.argument("name")
@click.option("-o", "--output", type=FOLDER, help="Folder to write. Default: NAME, in the working folder.")
@output_options
def command(kind: str, name: str, output: Path | None) -> None:
    """Write a package that adds a corpus, network or augmentation.

    NAME is what recipes and commands will call it: small letters, digits and hyphens. The package works as it is: it
    holds an example, which you change, and a test that runs earnest's own checks. Nothing in earnest has to be changed.
    The pages docs/how-to/corpus.md, network.md and augmentation.md explain what earnest expects.

    \b
    Examples:
      earnest new corpus kitchen-talk
      earnest new network small-tdnn --output packages/small-tdnn
      earnest new augmentation peak-clipping
    """
    refuse_name(kind, name)
    folder = output or Path(name)
    with told(folder):
        if folder.exists() and any(folder.iterdir()):
            raise EarnestError(f"{folder}: holds files already. Name a new folder with --output.")
        texts = package(kind, name)
        for file, text in texts.items():
            with new_file(folder / file) as place:
                place.write_text(text, encoding="utf-8")
    module = f"{name.replace('-', '_')}.py"
    if say.answer({"folder": folder, "kind": kind, "name": name, "files": [*texts]}):
        return
    say.line(f"{folder}: {', '.join(texts)}")
    say.hint(f"Change {folder / module}; its class is an example. Then: cd {folder}; pip install --editable .; pytest")


def package(kind: str, name: str) -> dict[str, str]:
    """Name → text of the files of a package that adds ``name``: those of the example, with this name in its place."""
    renamed = dict(zip(_spellings(EXAMPLES[kind]), _spellings(name), strict=True))
    texts = {
        _replaced(item.name.removesuffix(".txt"), renamed): _replaced(item.read_text(encoding="utf-8"), renamed)
        for item in (files("earnest") / "templates" / kind).iterdir()
    }
    return dict(sorted(texts.items()))


def refuse_name(kind: str, name: str) -> None:
    """Raise a usage error for what can't be the name of an entry and of a module, and for a name that is taken."""
    module = name.replace("-", "_")
    if not _NAME.fullmatch(name) or iskeyword(module):
        example = f"small letters, digits and hyphens, such as {EXAMPLES[kind]}"
        raise click.UsageError(f"{name!r} can't be a name: {example}.")
    if name in _known(kind):
        raise click.UsageError(f"{name} is the name of {'an' if kind[0] == 'a' else 'a'} {kind} already. Name another.")
    if module in sys.stdlib_module_names or find_spec(module) is not None:
        raise click.UsageError(f"A Python module called {module} is installed already. Name another.")


def _known(kind: str) -> list[str]:
    from earnest.augment.base import AUGMENTATIONS
    from earnest.corpora.base import CORPORA
    from earnest.registry import Registry

    names: Mapping[str, Callable[[], list[str]]] = {
        "corpus": CORPORA.names,
        "network": Registry[object]("MODELS", "model", "earnest.models").names,  # without torch
        "augmentation": AUGMENTATIONS.names,
    }
    return names[kind]()


def _spellings(name: str) -> tuple[str, str, str, str]:
    """Return a name as an entry, a module, a class and a title."""
    words = name.split("-")
    return name, "_".join(words), "".join(map(str.capitalize, words)), " ".join(words).capitalize()


def _replaced(text: str, renamed: Mapping[str, str]) -> str:
    pattern = re.compile("|".join(map(re.escape, renamed)))
    return pattern.sub(lambda found: renamed[found.group()], text)
