"""Gather the desktop application's texts into ``translations/de.ts``, and compile it.

    python scripts/desktop_texts.py            # new texts are added without a translation, old ones go away
    python scripts/desktop_texts.py --check    # end with 1 where a text has no translation, or de.qm is another

Texts are what `earnest.apps.desktop.texts.tr` is called with, found with `ast`, and the words that `word` knows.
Qt's own lrelease (it comes with PySide6) makes ``de.qm``.
"""

import argparse
import ast
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree

import PySide6

from earnest.apps.desktop.texts import FOLDER, SAID, TEXTS, WORDS

Texts = Mapping[tuple[str, str], str]


def main() -> int:
    """Write or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    checks = parser.parse_args().check
    source, compiled = FOLDER / "de.ts", FOLDER / "de.qm"
    known = read_translations(source)
    texts = {key: known.get(key, "") for key in gathered()}
    missing = [text for (_, text), said in texts.items() if not said]
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "de.ts"
        write_translations(texts, written)
        release(written, made := Path(folder) / "de.qm")
        same = source.exists() and written.read_bytes() == source.read_bytes()
        if not checks:
            source.write_bytes(written.read_bytes())
            compiled.write_bytes(made.read_bytes())
        elif not same or not compiled.exists() or made.read_bytes() != compiled.read_bytes():
            sys.stderr.write("de.ts or de.qm is not of these texts: python scripts/desktop_texts.py\n")
            return 1
    for text in missing:
        sys.stderr.write(f"not translated: {text}\n")
    return 1 if missing else 0


def gathered() -> list[tuple[str, str]]:
    """Return (context, text) of everything that is said, sorted."""
    found = {(TEXTS, text) for path in FOLDER.parent.glob("*.py") for text in texts_of(path)}
    return sorted(found | {(WORDS, name) for name in SAID})


def texts_of(path: Path) -> Iterator[str]:
    """Yield the texts that one module translates; each must be a constant."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "tr":
            (text,) = node.args
            assert isinstance(text, ast.Constant) and isinstance(text.value, str), f"{path}:{node.lineno}"
            yield text.value


def read_translations(path: Path) -> Texts:
    """Return (context, text) → translation of a file for Qt Linguist."""
    if not path.exists():
        return {}
    return {
        (context.findtext("name", ""), message.findtext("source", "")): message.findtext("translation", "")
        for context in ElementTree.parse(path).iter("context")
        for message in context.iter("message")
    }


def write_translations(texts: Texts, path: Path) -> None:
    """Write a file for Qt Linguist."""
    root = ElementTree.Element("TS", version="2.1", language="de_DE", sourcelanguage="en")
    for name in (TEXTS, WORDS):
        context = ElementTree.SubElement(root, "context")
        ElementTree.SubElement(context, "name").text = name
        for (where, text), said in texts.items():
            if where == name:
                message = ElementTree.SubElement(context, "message")
                ElementTree.SubElement(message, "source").text = text
                translation = ElementTree.SubElement(message, "translation")
                translation.text = said
                if not said:
                    translation.set("type", "unfinished")
    ElementTree.indent(root)
    body = ElementTree.tostring(root, encoding="unicode")
    path.write_text(f'<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE TS>\n{body}\n', encoding="utf-8")


def release(source: Path, target: Path) -> None:
    """Compile a file for Qt Linguist."""
    tool = Path(PySide6.__file__).parent / "lrelease"
    subprocess.run([tool, "-silent", "-compress", source, "-qm", target], check=True)


if __name__ == "__main__":
    sys.exit(main())
