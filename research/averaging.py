"""The mean of several networks' weights."""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from earnest.errors import EarnestError
from earnest.files.writing import holding, write_atomically, write_sums
from earnest.models.pretrained import (
    SCALE,
    all_tensors,
    find_weights,
    read_known_speakers,
    read_origin,
    unpacked,
)
from earnest.training.finetune import WEIGHTS
from research.settings import metadata_of, packed_state


@holding("folder")
def average(networks: Sequence[Path], folder: Path) -> None:
    """Write the mean of the weights of networks that began alike.

    Between a network and what it became lies one that holds elsewhere too (Wortsman et al., 2022, "Robust fine-tuning
    of zero-shot models").

    Raises `EarnestError` where it is one alone, where their tensors have other names or shapes, and where the folder
    holds weights already.

    Parameters
    ----------
    networks : folders that `finetune` or `distil` wrote
    folder : gets model.safetensors
    """
    if len(networks) < 2:
        raise EarnestError("A mean is of two networks or more. Name their folders one after the other.")
    if (folder / WEIGHTS).exists():
        raise EarnestError(f"{folder}: holds {WEIGHTS} already. Choose another --output.")
    each = [tensors_of(network) for network in networks]
    for network, tensors in zip(networks[1:], each[1:], strict=True):
        if shapes_of(tensors) != shapes_of(each[0]):
            raise EarnestError(f"{network}: its tensors are not those of {networks[0]}. Average networks of one shape.")
    means = {name: torch.stack([tensors[name] for tensors in each]).mean(dim=0) for name in each[0]}
    known = frozenset[str]().union(*(read_known_speakers(network) for network in networks))
    origin = f"{read_origin(networks[-1])}; averaged with what it was before"
    write_atomically(folder / WEIGHTS, save(packed_state(means, ""), metadata_of(origin, known)))
    write_sums(folder, (WEIGHTS,))


def tensors_of(network: Path) -> dict[str, Tensor]:
    """Return the tensors of a folder of ours in float32."""
    stored = all_tensors(find_weights(network))
    return {
        name: unpacked(tensor, stored[name + SCALE]) if name + SCALE in stored else tensor.float()
        for name, tensor in stored.items()
        if not name.endswith(SCALE)
    }


def shapes_of(tensors: dict[str, Tensor]) -> dict[str, torch.Size]:
    """Return the shape of each tensor by its name."""
    return {name: tensor.shape for name, tensor in tensors.items()}
