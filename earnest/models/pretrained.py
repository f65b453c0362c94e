"""Published weights from a local file, read without pickle, names and shapes checked."""

import os
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from earnest.errors import EarnestError, MissingExtraError

ENVIRONMENT = "EARNEST_MODELS"
FILE_NAME = "model.safetensors"
SHIPPED = Path(__file__).parent / "weights"


def find_weights(name: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the file of pre-trained tensors: a file, a folder that holds ``model.safetensors``, or a name.

    A name is looked up below the folder that the variable ``EARNEST_MODELS`` names, and among those that come with the
    package.
    """
    places = [name, Path(environ[ENVIRONMENT]).expanduser() / name] if environ.get(ENVIRONMENT) else [name]
    places.append(SHIPPED / name)
    for place in places:
        for path in (place, place / FILE_NAME):
            if path.is_file():
                return path
    raise EarnestError(
        f"No pre-trained weights '{name}'. Put its {FILE_NAME} into a folder of that name and set {ENVIRONMENT} to the "
        "folder above it (Whisper's are public: openai/whisper-tiny.en)."
    )


def read_origin(name: Path) -> str:
    """Return what a file of tensors says about where they come from, "" where it says nothing."""
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        raise MissingExtraError("Reading weights", "train") from None
    path = find_weights(name)
    try:
        with safe_open(path, framework="pt") as file:
            return str((file.metadata() or {}).get("origin", ""))
    except SafetensorError as error:
        raise EarnestError(f"{path}: not a safetensors file ({error}).") from error


def read_tensors(name: Path, prefix: str, wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Read the tensors called ``prefix`` + a name in ``wanted`` as float32.

    Raises
    ------
    EarnestError
        When one is missing or has another shape.
    """
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        raise MissingExtraError("Reading weights", "train") from None
    path = find_weights(name)
    found = {}
    try:
        with safe_open(path, framework="pt") as file:
            # Whole models of the hub put "model." before the encoder's names.
            stored = {key.removeprefix("model."): key for key in list(file.keys())}
            for key, tensor in wanted.items():
                if prefix + key not in stored:
                    raise EarnestError(f"{path}: holds no tensor '{prefix + key}'.")
                found[key] = file.get_tensor(stored[prefix + key]).float()
                if found[key].shape != tensor.shape:
                    shapes = f"{tuple(found[key].shape)}, expected {tuple(tensor.shape)}"
                    raise EarnestError(f"{path}: '{prefix + key}' has the shape {shapes}.")
    except SafetensorError as error:
        raise EarnestError(f"{path}: not a safetensors file ({error}).") from error
    return found
