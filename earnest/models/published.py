"""Weights that others published, by the names of our networks: strict by tensor.

Nothing is unpickled and no graph is run: tensors alone are taken, and each must have the name and shape that our copy
of the network expects. From Moody's ONNX they are taken in the order of its nodes, as names in it are the exporter's.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from earnest.bundle import TrainingCorpus
from earnest.corpora.base import CORPORA
from earnest.errors import EarnestError, needs_extra
from earnest.files.reading import read_bytes
from earnest.files.writing import refuse_existing, write_atomically
from earnest.frontends.image import ImageSize
from earnest.labels import CORE_EMOTIONS, SCHEMES
from earnest.models.classifier import MODELS
from earnest.models.imagenet import ImagenetNetwork
from earnest.models.pretrained import COUNTER, ENVIRONMENT, all_tensors, fitting
from earnest.onnx.check import check_onnx

LARGEST_BYTES = 2_000_000_000
PIXELS = ImageSize(3, 256, 256)
_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8})\.pth$")  # torchvision's files are named after their SHA-256


@dataclass(frozen=True)
class CorpusShare:
    """A training corpus of published weights, and how much of it, as far as their authors say."""

    corpus: str
    n_utterances: int
    n_speakers: int
    hours: float = 0.0  # where nobody said it

    def line(self) -> TrainingCorpus:
        """Return the line of the licence ledger."""
        known = CORPORA.get(self.corpus)
        return TrainingCorpus(
            self.corpus, known.licence, self.n_utterances, self.n_speakers, self.hours, known.citation
        )


@dataclass(frozen=True)
class ReadTensors:
    """Tensors read from a file, by our names, with its metadata.

    Attributes
    ----------
    classes : in the order of the outputs
    temperature : by which logits are divided
    """

    by_name: Mapping[str, Tensor]
    classes: tuple[str, ...]
    temperature: float = 1.0


@dataclass(frozen=True)
class EpochChoice:
    """The choice of a published checkpoint's epoch.

    Attributes
    ----------
    selected_on : as in metrics.json, "test" or "nothing"; "test" too where nobody says it
    words : the same for cards
    """

    selected_on: str
    words: str


@dataclass(frozen=True)
class PublishedNetwork:
    """A network that others trained and published.

    Attributes
    ----------
    read : file and our network → `ReadTensors`
    origin : for cards: whose
    heard : training data
    choices : how a file's name begins → how its epoch was chosen; the first that fits counts
    """

    read: Callable[[Path, nn.Module], ReadTensors]
    origin: str
    heard: tuple[CorpusShare, ...]
    choices: Mapping[str, EpochChoice]

    def choice_of(self, path: Path) -> EpochChoice:
        """Return how the epoch of a file was chosen."""
        return next(choice for beginning, choice in self.choices.items() if path.name.startswith(beginning))


# EmoCatcher's names → ours.
_CABG = {
    "gru_layernorm": "norm",
    "attention.linear_q": "attention.query",
    "attention.linear_k": "attention.key",
    "attention.linear_z": "attention.score",
    "linear1.0": "hidden",
    "linear1.1": "hidden_norm",
    "linear2": "output",
} | {
    f"conv_block{number + 1}.conv_block.{theirs}": f"blocks.{number}.{ours}"
    for number in range(3)
    for theirs, ours in (("0", "convolution"), ("1.layer_norm", "norm"))
}


def emocatcher_name(theirs: str) -> str:
    """Return our name of a tensor in EmoCatcher's checkpoints."""
    layer, _, parameter = theirs.rpartition(".")
    return f"{_CABG.get(layer, layer)}.{parameter}"


def _emocatcher(path: Path, _network: nn.Module) -> ReadTensors:
    return ReadTensors({emocatcher_name(key): tensor for key, tensor in all_tensors(path).items()}, CORE_EMOTIONS)


def _moody(path: Path, network: nn.Module) -> ReadTensors:
    """Take the tensors of a graph in the order of its nodes, from the first that has the first of ours' shape on."""
    graph = _graph(path)
    wanted = [(key, tensor) for key, tensor in network.state_dict().items() if not key.endswith(COUNTER)]
    found = list(_parameters(graph))
    first = next((n for n, (_, tensor) in enumerate(found) if tensor.shape == wanted[0][1].shape), None)
    if first is None:
        shape = tuple(wanted[0][1].shape)
        raise EarnestError(f"{path}: holds no tensor of the shape {shape}, the network's first ('{wanted[0][0]}').")
    found = found[first:]
    if len(found) != len(wanted):
        raise EarnestError(
            f"{path}: from '{found[0][0]}' on there are {len(found)} tensors, the network has {len(wanted)} "
            f"({', '.join(key for key, _ in wanted)}). Export it without merging layers."
        )
    tensors = {key: tensor for (key, _), (_, tensor) in zip(wanted, found, strict=True)}
    order, temperature = _behind(graph)
    classes = _classes_said(graph)
    if order is not None and classes:  # ours: rows are in the training's order, and gathered into Moody's
        classes = tuple(name for _, name in sorted(zip(order, classes, strict=True)))
    if classes is None:  # Moody's: eight outputs, of which the eighth was never trained
        classes = SCHEMES["moody7"].classes
        tensors |= {key: tensors[key][: len(classes)] for key in tensors if key.rpartition(".")[0].endswith("output")}
    return ReadTensors(tensors, classes, temperature)


def _graph(path: Path) -> Any:
    with needs_extra("Reading ONNX files", "train"):
        import onnx
    data = read_bytes(path, most=LARGEST_BYTES)
    check_onnx(data, path)
    return onnx.load_model_from_string(data)


_LAYERS = {"Conv", "BatchNormalization", "Gemm", "LayerNormalization", "MatMul", "Mul", "Add"}


def _parameters(model: Any) -> Iterator[tuple[str, Tensor]]:
    """Yield name and tensor of what the nodes of layers use, in their order; single numbers are no parameters."""
    from onnx import numpy_helper

    held = {item.name: item for item in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in _LAYERS:
            for name in node.input:
                if name in held and held[name].data_type in (1, 10, 11) and len(held[name].dims):
                    yield name, torch.from_numpy(numpy_helper.to_array(held[name]).astype("float32"))


def _behind(model: Any) -> tuple[list[int] | None, float]:
    """Return the order in which outputs are gathered, None as they are, and what they are divided by at the end."""
    from onnx import numpy_helper

    held = {item.name: item for item in model.graph.initializer}
    order, temperature = None, 1.0
    last = max((n for n, node in enumerate(model.graph.node) if node.op_type == "Gemm"), default=0)
    for node in model.graph.node[last + 1 :]:
        values = [numpy_helper.to_array(held[name]) for name in node.input if name in held]
        if node.op_type == "Gather" and values:
            order = [int(value) for value in values[0].ravel()]
        elif node.op_type == "Div" and values:
            temperature = float(values[0])
    return order, temperature


def _classes_said(model: Any) -> tuple[str, ...] | None:
    said = {item.key: item.value for item in model.metadata_props}
    return tuple(said["classes"].split(",")) if said.get("profile") == "moody" and said.get("classes") else None


PUBLISHED: Mapping[str, PublishedNetwork] = {
    "emocatcher": PublishedNetwork(
        _emocatcher,
        "EmoCatcher (hwang9u, 2022), as published",
        (CorpusShare("ravdess", 1_152, 24, 1.18),),
        {
            "best_model_": EpochChoice("test", "its authors chose the epoch on test utterances"),
            "last_epoch_": EpochChoice("nothing", "the last epoch of its training"),
            "": EpochChoice("test", "the file's name doesn't say how its epoch was chosen"),
        },
    ),
    "moody-alexnet": PublishedNetwork(
        _moody,
        "Moody SER (COINS-SS21), as published; of the utterances told here 70 % were for training, their hours are not "
        "known",
        (
            CorpusShare("ravdess", 1_440, 24),
            CorpusShare("emodb", 535, 10),
            CorpusShare("tess", 2_800, 2),
            CorpusShare("jl-corpus", 1_441, 4),
        ),
        {"": EpochChoice("test", "its authors chose the epoch on the other utterances")},
    ),
}


def import_imagenet(name: str, path: Path, output: Path | None = None, overwrite: bool = False) -> Path:
    """Check torchvision's file of a network, tensor by tensor, and put it where our recipes look for it.

    Raises `EarnestError` when the file was damaged on its way, or a tensor doesn't fit; the last layer alone may
    differ.

    Parameters
    ----------
    name : alexnet, densenet121, resnet18 or vgg11
    output : the file to write; None for the recipes' place, ``imagenet/NAME.pth`` below ``$EARNEST_MODELS``
    """
    kind = MODELS.get(name)
    assert issubclass(kind, ImagenetNetwork)
    build: Callable[..., nn.Module] = kind
    data = read_bytes(path, most=LARGEST_BYTES)
    promised = _HASH_IN_NAME.search(path.name)
    digest = sha256(data).hexdigest()
    if promised and not digest.startswith(promised[1]):
        raise EarnestError(f"{path}: its SHA-256 begins with {digest[:8]}, not with {promised[1]}. Fetch it again.")
    with torch.device("meta"):  # shapes alone: no memory, no random start
        network = build(PIXELS, 2, kind.settings_type())
    tensors = all_tensors(path)
    fitting(network, {kind.published_name(key): tensor for key, tensor in tensors.items()}, path, kind.replaced)
    place = output or _place(name)
    refuse_existing(place, overwrite)
    place.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(place, data)
    return place


def _place(name: str) -> Path:
    if not os.environ.get(ENVIRONMENT):
        raise EarnestError(
            f"{ENVIRONMENT} names no folder. Set it to the folder where recipes look for weights, or name a file "
            "with --output."
        )
    return Path(os.environ[ENVIRONMENT]).expanduser() / "imagenet" / f"{name}.pth"
