"""Example trees of the corpora: their published layout and label files, with made-up audio."""

from pathlib import Path

import numpy as np
import soundfile

from earnest.corpora.load import corpus_called


def build_example(name: str, root: Path, suffix: str = "", seed: int = 0) -> dict[str, str]:
    """Write the example tree of a corpus; return relative path → canonical emotion."""
    corpus = corpus_called(name)
    rng = np.random.default_rng(seed)
    written = {}
    for relative, emotion in corpus.example.items():
        path = (root / relative).with_suffix(suffix or Path(relative).suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        form = path.suffix[1:].upper()
        soundfile.write(path, rng.normal(0, 0.1, 4_000).astype(np.float32), 16_000, format=form)
        written[path.relative_to(root).as_posix()] = emotion
    for relative, text in corpus.extra_files.items():
        (root / relative).parent.mkdir(parents=True, exist_ok=True)
        (root / relative).write_text(text, encoding="utf-8")
    return written
