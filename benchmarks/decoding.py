"""CPU seconds to decode a recipe's recordings for training: without the cache, while it is filled, out of it.

    python benchmarks/decoding.py [--recipe recipes/emocatcher.toml]

Corpora are in EARNEST_DATA. The cache is a folder made for this, which is removed.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

RECIPE = Path(__file__).parents[1] / "recipes" / "emocatcher.toml"


def main() -> None:
    """Decode three times, and say how long it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    asked = parser.parse_args()
    import torch

    from earnest.corpora.load import load_utterances
    from earnest.experiments.task import examples_of
    from earnest.settings.recipe import read_recipe

    torch.set_num_threads(1)
    recipe = read_recipe(asked.recipe)
    rows = load_utterances(recipe.corpora, {})
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EARNEST_CACHE"] = folder
        for what, gigabytes in (("without", "0"), ("filling", "10"), ("out of it", "10")):
            os.environ["EARNEST_CACHE_GB"] = gigabytes
            begin = time.process_time()
            hours = sum(example.duration_s for example in examples_of(recipe, rows).values()) / 3600
            seconds = time.process_time() - begin
            sys.stdout.write(f"{what}: {len(rows)} recordings, {hours:.2f} h, {seconds:.1f} CPU s\n")


if __name__ == "__main__":
    main()
