"""Train the shipped bundles anew, on all recordings of their corpora, and export them with their results.

Usage: python scripts/make_models.py [NAME ...]

Corpora come from $EARNEST_DATA. Trainings and evaluations that are finished in runs/ are not repeated. What the two
sizes start from is in the bundles and beside them; these write it anew, with Whisper's encoder from $EARNEST_MODELS:

    python scripts/speak.py $EARNEST_DATA/spoken
    python -m research finetune recipes/finetuning/encoder.toml --protocol crema-d-5fold --fold f1 --output runs/encoder
    python -m research distil recipes/distillation/encoder.toml --output runs/encoder-again
    python -m research finetune recipes/finetuning/large.toml --protocol crema-d-5fold --fold f1 \
      --output runs/large-encoder
    python -m research distil recipes/distillation/student-start.toml --output runs/student-start
    python -m research distil recipes/distillation/student.toml --output runs/student

What is exported then gets its heads (speech, vocal bursts and other sound; distance; calibration), once, in place:

    python scripts/make_sounds.py cache/sounds
    python scripts/speak.py cache/speech 1500
    python scripts/speak.py cache/letters 1500 letters
    python scripts/hear_sounds.py runs/heard base small large research-small
    earnest evaluate recipes/base.toml --protocol leave-one-corpus-out --output runs/left-out/base \\
      --set 'network.weights="runs/encoders/{fold}"'    # encoders that know no speaker of the corpus left out
    python scripts/left_out_table.py base    # then small, large, research-base, research-small
    python scripts/fit_heads.py earnest/bundles/base runs/heard/base.npz
    python scripts/fit_heads.py earnest/bundles/research-base earnest/bundles/base    # it hears as base does
    # or, where linear layers alone are new, BEFORE being the bundle as it was: fit_heads.py earnest/bundles/base BEFORE
    python scripts/fit_overlap.py earnest/bundles/NAME ...    # several people at once
    python scripts/fit_mismatch.py earnest/bundles/NAME ...    # whispered, in wind, slowed ...
    python scripts/fit_adaptation.py runs/adaptation base large small research-base research-small
    python scripts/fit_intensity.py runs/adaptation base large small
    python scripts/fit_affect.py runs/adaptation base large small    # again whenever embeddings change

Whatever changes a graph changes the bundle's version below: people know by it that a profile is of an earlier one, and
`tests/unit/test_shipped_bundles.py` lists them. This writes the versions into bundle.json and card.md alone:

    python scripts/make_models.py --versions
"""

import shlex
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from earnest.bundle import load_bundle
from earnest.export.card import write_bundle
from earnest.onnx.surgery import SURE_FROM_S

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Shipped:
    """Version, licence and notes of a bundle, and the protocols that its recipe is scored under."""

    version: str

    licence: str
    notes: str
    protocols: tuple[str, ...]


ADAPTED = ("--adapt", "causal", "--adapt", "ten", "--adapt", "all", "--adapt", "one-emotion")
ENCODER = (
    "The encoder was fine-tuned on the labels of 68 speakers of CREMA-D, pruned, distilled from the whole one on "
    "their sound and on made-up words that espeak-ng and flite spoke, and rounded to 8 bits; the linear layer was "
    "fitted on all clips and a changed copy of each (noise, rooms, telephone, codecs)."
)
LARGE_ENCODER = (
    "The encoder was fine-tuned on the labels of 68 speakers of CREMA-D, pruned and rounded to 8 bits; the linear "
    "layer was fitted on all clips and a changed copy of each (noise, rooms, telephone, codecs)."
)
STUDENT = (
    "The student learnt from the sound of CREMA-D without its labels, and from made-up words that espeak-ng and flite "
    "spoke; only the linear layer saw labels, of all clips and two changed copies of each."
)
TUNED_STUDENT = (
    "The student learnt from the sound of CREMA-D without its labels, and from made-up words that espeak-ng and flite "
    "spoke; then it was fine-tuned on the labels of training speakers and rounded to 8 bits; the linear layer was "
    "fitted on all clips and two changed copies of each."
)
HEARD = "CREMA-D: ODbL-1.0, EmoDB: CC0-1.0, EmoGator: Apache-2.0, ESC-10: CC-BY-3.0"
OPEN = f"any use, with attribution ({HEARD}, {{}})"
RESEARCH = f"CC BY-NC-SA 4.0, as RAVDESS' speech and song ask for ({HEARD}, {{}})"
NEW_ACTORS = (
    "Results are of the same {} with a linear layer fitted on all four corpora but the actors of RAVDESS who are "
    "tested, songs included."
)
SHORT = f"Speech of less than {SURE_FROM_S:g} s is answered less surely, in proportion to its length."
AND_MORE = "ravdess-6fold-and-more"  # its folds are written by scripts/research_splits.py
OF_FOLDS = (
    "Results are of the same {} with a linear layer fitted on the protocol's own training speakers; none of its test "
    "speakers' labels was seen."
)
OF_TUNED_FOLDS = (
    "Results are of the same student, fine-tuned on the protocol's own training speakers and on CREMA-D's; none of the "
    "test speakers' labels was seen."
)
BUNDLES = {
    "base": Shipped(
        "0.2.1",
        OPEN.format("encoder: MIT"),
        f"{ENCODER} {OF_FOLDS.format('encoder')}",
        ("ravdess-6fold", "emodb-loso"),
    ),
    "small": Shipped(
        "0.2.1",
        OPEN.format("distilled from Whisper tiny.en: MIT"),
        f"{TUNED_STUDENT} {OF_TUNED_FOLDS}",
        ("ravdess-6fold", "emodb-loso", "crema-d-5fold"),
    ),
    "large": Shipped(
        "0.3.1",
        OPEN.format("encoder: multilingual Whisper base, MIT"),
        f"{LARGE_ENCODER} {OF_FOLDS.format('encoder')}",
        ("emodb-loso",),
    ),
    "research-base": Shipped(
        "0.3.0",
        RESEARCH.format("encoder: MIT"),
        f"{ENCODER} {NEW_ACTORS.format('encoder')}",
        (AND_MORE,),
    ),
    "research-small": Shipped(
        "0.2.1",
        RESEARCH.format("distilled from Whisper tiny.en: MIT"),
        f"{STUDENT} {NEW_ACTORS.format('student')}",
        (AND_MORE,),
    ),
}


def main(names: list[str]) -> None:
    """Make these bundles, or all."""
    for name in names or BUNDLES:
        make(name, BUNDLES[name])


def make(name: str, shipped: Shipped) -> None:
    """Train, evaluate and export one."""
    results = {protocol: f"runs/results/{name}-{protocol}" for protocol in shipped.protocols}
    recipe = f"recipes/{name}.toml"
    for protocol, folder in results.items():
        earnest("evaluate", recipe, *folds_of(protocol), *ADAPTED, "--output", folder)
    earnest("train", recipe, "--all-data", "--output", f"runs/{name}")
    told = [word for folder in results.values() for word in ("--results", folder)]
    words = ("--leave-out", "distance", "--licence", shipped.licence, "--notes", f"{shipped.notes} {SHORT}")
    words += ("--bundle-version", shipped.version)
    earnest("export", f"runs/{name}", "--output", f"earnest/bundles/{name}", "--overwrite", *words, *told)


def write_versions() -> None:
    """Write the versions into the bundles as they are; their graphs stay, byte for byte."""
    for name, shipped in BUNDLES.items():
        bundle = load_bundle(name)
        files = {told: bundle.listed_bytes(told) for told in bundle.info.files}
        write_bundle(bundle.folder, files, replace(bundle.info, version=shipped.version))


def folds_of(protocol: str) -> tuple[str, str]:
    """Return the option that names the folds."""
    if protocol != AND_MORE:
        return "--protocol", protocol
    folder = f"runs/{AND_MORE}"
    subprocess.run([sys.executable, "scripts/research_splits.py", folder], check=True, cwd=ROOT)
    return "--splits", folder


def earnest(*words: str) -> None:
    """Run a command of ours; an error ends it all."""
    sys.stderr.write(f"{shlex.join(['earnest', *words])}\n")
    subprocess.run([sys.executable, "-m", "earnest", *words], check=True, cwd=ROOT)


if __name__ == "__main__":
    if sys.argv[1:] == ["--versions"]:
        write_versions()
        sys.exit()
    if unknown := set(sys.argv[1:]) - set(BUNDLES):
        sys.exit(f"{', '.join(sorted(unknown))}: no such bundle; there are {', '.join(BUNDLES)}.\n\n{__doc__}")
    main(sys.argv[1:])
