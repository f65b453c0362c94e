"""`recipes/wavlm.toml` and docs/how-to/encoder.md, with an encoder in a folder: trained, exported and asked."""

import json
import re
from pathlib import Path

import pytest
from command_line import earnest_cli
from made_up_corpus import NAME

from earnest.models.classifier import MODELS

transformers = pytest.importorskip("transformers", reason="the extra 'ssl' is not installed")

ROOT = Path(__file__).parents[2]


def train(recipe: Path, made_up: Path, folder: Path, *settings: str) -> dict[str, object]:
    """Train with a WavLM of random weights into ``folder``/run; return the metrics."""
    config = transformers.AutoConfig.for_model("wavlm", **MODELS.get("ssl").reduced["sizes"])
    transformers.AutoModel.from_config(config).save_pretrained(folder / "encoder")
    changes = (f'corpus="{NAME}"', 'scheme="four"', f'network.source="{folder / "encoder"}"', *settings)
    words = [word for change in changes for word in ("--set", change)]
    earnest_cli("train", recipe, "--data", f"{NAME}={made_up}", *words, "--output", folder / "run")
    metrics = json.loads((folder / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert isinstance(metrics, dict)
    return metrics


def test_an_encoder_from_a_folder_is_heard_once_and_ships_in_the_graph(made_up: Path, tmp_path: Path) -> None:
    metrics = train(ROOT / "recipes" / "wavlm.toml", made_up, tmp_path)
    assert metrics["ua"] > 0.5  # chance is 0.25; the encoder is random, the discriminant is not
    earnest_cli("export", tmp_path / "run", "--output", tmp_path / "bundle", "--licence", "CC0-1.0")
    clip = next(made_up.parent.glob("**/*.wav"))
    row = json.loads(earnest_cli("predict", clip, "--model", tmp_path / "bundle", "--json", "--no-abstain"))
    assert row["status"] == "ok" and [*row["probabilities"]] == metrics["classes"]


def test_the_recipe_of_the_page_fine_tunes(made_up: Path, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "how-to" / "encoder.md").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"^```toml\n(.*?)^```", page, re.M | re.S)
    (tmp_path / "recipe.toml").write_text(recipe, encoding="utf-8")
    train(tmp_path / "recipe.toml", made_up, tmp_path, "training.epochs=1", "training.warmup_epochs=0")
    run = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert run["origin"] == str(tmp_path / "encoder")
