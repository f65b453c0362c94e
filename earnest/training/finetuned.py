"""A fold's own fine-tuning: what a recipe's ``[finetune]`` table asks for, on the training clips alone."""

from collections.abc import Sequence
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from earnest.errors import RecipeError
from earnest.models.classifier import SpeechClassifier
from earnest.models.rounding import packed, unpacked
from earnest.models.student import StudentStatistics
from earnest.models.whisper import WhisperStatistics
from earnest.progress import SILENT, Progress
from earnest.recipe import Recipe
from earnest.run_files import write_atomically
from earnest.training.corpus_classes import classes_of_corpora
from earnest.training.data import Example
from earnest.training.moved import moved_by
from earnest.training.progress import csv_bytes
from earnest.training.resuming import HISTORY, WEIGHTS, drop_checkpoint
from earnest.training.two_head_loop import train_two_heads

FINETUNING, SAID = "finetuning", "said"


def finetune_embedding(
    classifier: SpeechClassifier,
    train: Sequence[Example],
    beside: Sequence[Example],
    recipe: Recipe,
    folder: Path,
    progress: Progress = SILENT,
) -> str:
    """Fine-tune the classifier's embedding in place, round it as it ships, and say what it learnt from.

    Parameters
    ----------
    train : the training clips; each corpus has classes of its own
    beside : clips of other corpora, of speakers who are in no other set
    folder : of the run; gets `FINETUNING`/history.csv and, until `drop_finetuned`, what a killed run resumes from
    """
    network = getattr(classifier.network, "network", classifier.network)
    if not isinstance(network, WhisperStatistics | StudentStatistics):
        raise RecipeError(
            f"[finetune] changes pooled tokens of a pre-trained network, and {type(network).__name__} has none. "
            'Use "whisper-statistics" or "student-statistics".'
        )
    folder /= FINETUNING
    folder.mkdir(parents=True, exist_ok=True)
    taught, corpora = classes_of_corpora([*train, *beside])
    network.tuned_on = frozenset(example.speaker for example in taught)
    if not (folder / WEIGHTS).exists():
        settings, seed = recipe.finetune, recipe.training.seed
        tuned, history = train_two_heads(
            network, taught, (), corpora, settings, recipe.front_end, seed, folder, progress
        )
        said = f"; fine-tuned on the labels of {', '.join(sorted(set(corpora)))}; "
        said += moved_by(network.trunk.state_dict(), tuned)
        rounded = {name: _rounded(tensor) for name, tensor in tuned.items()}
        write_atomically(folder / HISTORY, csv_bytes(list(history[-1]), history))
        write_atomically(folder / WEIGHTS, save(rounded, {SAID: said}))
        drop_checkpoint(folder)
    with safe_open(folder / WEIGHTS, framework="pt") as file:
        network.trunk.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        return str(file.metadata()[SAID])


def drop_finetuned(folder: Path) -> None:
    """Remove the fine-tuned tensors from the folder of a run, which has them in its own weights."""
    (folder / FINETUNING / WEIGHTS).unlink(missing_ok=True)


def _rounded(tensor: Tensor) -> Tensor:
    return unpacked(*packed(tensor)) if tensor.ndim > 1 else tensor
