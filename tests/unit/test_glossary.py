"""One thing, one word: names of the package follow the field's terms, and no two public classes share a name."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(path for room in ("earnest", "research") for path in (ROOT / room).rglob("*.py"))
RECIPES = sorted((ROOT / "recipes").rglob("*.toml"))
# What is not said: the word to say instead. A word is a whole part of a name, such as "voice" in "known_voice".
WORDS = {
    "asked": "request, options",
    "beside": "auxiliary corpora",
    "companion": "runtime statistics",
    "companions": "runtime statistics",
    "dividing": "splitter",
    "divided": "split",
    "imitating": "student",
    "imitation": "distillation",
    "imitator": "student",
    "imitators": "students",
    "joining": "alignment",
    "lesson": "distillation target",
    "lessons": "distillation targets",
    "narrowed": "pruned",
    "narrower": "pruned",
    "narrowing": "pruning",
    "rotated": "out-of-fold",
    "taught": "fit; taught only for distillation",
    "teach": "fit; teach only for distillation",
    "vad": "voice activity detection (activity), or affect",
    "variety": "between-window variance",
    "wording": "label mapping",
}
PHRASES = {
    "again": "condition",
    "by_voice": "speaker-dependent",
    "data_curve": "learning curve",
    "evaluate_less": "learning curve",
    "known_voices": "enrolled speakers",
    "steps_a_token": "tokens_per_step",
    "takes_turns": "speaker cross-fitting",
    "told_apart": "separability",
    "voice_prior": "speaker prior",
}
# Keys of shipped bundles' bundle.json, which the adaptation of the next networks replaces.
DISTILLATION = {"teach", "taught"}  # said where a teacher teaches a student


def public_names(tree: ast.Module) -> Iterator[str]:
    """Yield names of classes, functions, parameters and fields that others use."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node.name
            if not isinstance(node, ast.ClassDef):
                yield from (one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs))
            else:
                fields = (item.target for item in node.body if isinstance(item, ast.AnnAssign))
                yield from (field.id for field in fields if isinstance(field, ast.Name) and field.id[0] != "_")


def words_of(name: str) -> list[str]:
    """Return the parts of a name, small: ``SpeakerDependentHead`` and ``by_voice`` have the same."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|-", "_", name).lower().split("_")


@pytest.mark.parametrize("path", [*MODULES, *RECIPES], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_names_are_the_fields_words(path: Path) -> None:
    found = {}
    within = public_names(ast.parse(path.read_text(encoding="utf-8"))) if path in MODULES else ()
    for name in {path.stem, *within}:
        words = words_of(name)
        whole = "_".join(words)
        known = WORDS.keys() - (DISTILLATION if path.parts[-2] == "research" else set())
        wrong = {word: WORDS[word] for word in words if word in known}
        wrong |= {phrase: say for phrase, say in PHRASES.items() if re.search(rf"(^|_){phrase}(_|$)", whole)}
        if wrong:
            found[name] = wrong
    assert found == {}


def test_no_two_public_classes_share_a_name() -> None:
    places = defaultdict(list)
    for path in MODULES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(path.relative_to(ROOT).as_posix())
    assert {name: where for name, where in places.items() if len(where) > 1} == {}
