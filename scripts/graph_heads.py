"""Heads on a network's embedding that are fitted after training, as parts of the graph: every runtime has them.

What `fit_heads.py`, `fit_overlap.py`, `fit_mismatch.py`, `fit_intensity.py` and `fit_affect.py` add to the bundles that
ship, beside the ``distance`` d that `earnest.export.onnx.add_distance` adds to every one:

* ``sound`` (batch, sounds): probabilities of speech, of vocal bursts by their kind and of all other sound,
  softmax(W e + b);
* ``overlap`` (batch,): probability that several people speak at once, p = 1 / (1 + e^−o) with o = max(W e + b), of one
  other and of several others;
* ``distance`` (batch,) is larger for speech that is heard well and told badly (whispered, in wind …), of which training
  had none: max(d, Σₖ pₖ·(d₀ + ln sₖ)), with pₖ the share of each such kind of mismatch in softmax(W e + b), beside that
  of usual speech; answers to it are to be sₖ times less sure;
* ``intensity`` (batch,): how strongly the emotion is expressed, clip(w·e + b, 0, 1);
* ``affect_derived`` (batch, 2): valence and arousal, learnt from emotions and not from ratings, clip(W e + b, 0, 1);
* ``probabilities`` of strange sound, of overlapped and of short speech are less sure: softmax(z·min(t/t₀, 1) / (T·s·v))
  with ln s = max(d − d₀, 0), d₀ being the distance from which sound is out of domain, v = max(p/(1 − p), 1), t the
  seconds that are heard once silence at both ends is cut off, and t₀ = 1.5 s. Of a word cut out of a recording a
  network is as sure as of the whole and right far less often; odds whose logarithm grows with the time mend that in
  every corpus (docs/results/experiments.md, "Words: half the time, half as sure").
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, numpy_helper

from earnest.onnx.surgery import (
    FLOAT,
    HEADS,
    LARGEST_LOG,
    SURE_FROM_S,
    GraphParts,
    Table,
    add_length,
    add_sharper,
)

OVERLAP = HEADS + "overlap_score"
"""The log-odds o of overlapped speech, (batch, 1)."""
DISTANCES, FARTHER = HEADS + "distances", HEADS + "farther"
"""The distance d, (batch, 1), from the training utterances alone and with what mismatch makes of it."""


@dataclass(frozen=True, eq=False)
class SoundHead:
    """W, shape (width, sounds), and b, shape (sounds,)."""

    weight: Table
    bias: Table


@dataclass(frozen=True, eq=False)
class OverlapHead:
    """W, shape (width, scores), and b, shape (scores,); the largest score counts."""

    weight: Table
    bias: Table


@dataclass(frozen=True, eq=False)
class MismatchHead:
    """W, shape (width, 1 + kinds), and b, shape (1 + kinds,), usual speech first; s, shape (kinds,), above one."""

    weight: Table
    bias: Table
    softer: Table


def add_sounds(proto: ModelProto, head: SoundHead) -> None:
    """Add the output ``sound``, in place."""
    with GraphParts.appended(proto) as add:
        inputs = ["embedding", add.constant("sound_weight", head.weight), add.constant("sound_bias", head.bias)]
        add.node("Softmax", [add.node("Gemm", inputs, "sound_scores")], "sound", axis=-1)
        add.output("sound", head.weight.shape[1])


def refit_sounds(proto: ModelProto, head: SoundHead) -> None:
    """Give the output ``sound`` another W and b, in place; each is stored with as many bits as the one before."""
    tables = {HEADS + "sound_weight": head.weight, HEADS + "sound_bias": head.bias}
    for tensor in proto.graph.initializer:
        # Stored with 16 bits, the name is longer.
        for table in (table for name, table in tables.items() if tensor.name.startswith(name)):
            kind = numpy_helper.to_array(tensor).dtype
            tensor.CopyFrom(numpy_helper.from_array(table.astype(kind), tensor.name))


def add_overlap(proto: ModelProto, head: OverlapHead) -> None:
    """Add the output ``overlap``, in place; one that is there already is replaced. `soften` has to follow."""
    is_told = any(told.name == "overlap" for told in proto.graph.output)
    _forget(proto, "probabilities")
    _forget(proto, "overlap")
    with GraphParts.appended(proto) as add:
        scores = _linear(add, "overlap", head.weight, head.bias, "overlap_each")
        axis = add.constant("overlap_axis", [1], np.int64)
        score = add.node("ReduceMax", [scores, axis], "overlap_score", keepdims=1)
        flat = add.node("Reshape", [score, add.constant("overlap_flat", [-1], np.int64)], "overlap_scores")
        add.node("Sigmoid", [flat], "overlap")
        if not is_told:
            add.output("overlap")


def add_mismatch(proto: ModelProto, head: MismatchHead, out_of_domain_from: float) -> None:
    """Raise the output ``distance``, in place; a head that is there already is replaced. `soften` has to follow."""
    _forget(proto, "probabilities")
    _forget(proto, "distance", kept=DISTANCES)
    with GraphParts.appended(proto) as add:
        scores = _linear(add, "mismatch", head.weight, head.bias, "mismatch_scores")
        reach = np.concatenate([[0.0], out_of_domain_from + np.log(head.softer)])
        shares = [add.node("Softmax", [scores], "mismatch_shares", axis=-1), add.constant("reach", reach[:, None])]
        strange = add.node("MatMul", shares, "mismatch")  # (batch, 1)
        farther = add.node("Max", [DISTANCES, strange], FARTHER.removeprefix(HEADS))
        add.node("Squeeze", [farther, add.constant("mismatch_axis", [1], np.int64)], "distance")


def add_intensity(proto: ModelProto, weight: Table, bias: float) -> None:
    """Add the output ``intensity``, in place.

    Parameters
    ----------
    weight : shape (width,)
    """
    with GraphParts.appended(proto) as add:
        column = add.constant("intensity_weight", weight[:, None])
        inputs = ["embedding", column, add.constant("intensity_bias", [bias])]
        limits = [add.constant("intensity_least", 0.0), add.constant("intensity_most", 1.0)]
        clipped = add.node("Clip", [add.node("Gemm", inputs, "intensity_score"), *limits], "intensities")  # (batch, 1)
        axis = add.constant("intensity_axis", [1], np.int64)
        add.node("Squeeze", [clipped, axis], "intensity")
        add.output("intensity")


def add_affect(proto: ModelProto, weight: Table, bias: Table) -> None:
    """Add the output ``affect_derived``, in place; one that is there already is replaced.

    Parameters
    ----------
    weight, bias : shapes (width, 2) and (2,), of valence and of arousal; the weight is stored with 16 bits
    """
    is_told = any(told.name == "affect_derived" for told in proto.graph.output)
    _forget(proto, "affect_derived")
    with GraphParts.appended(proto) as add:
        scores = _linear(add, "affect", weight, bias, "affect_scores")
        limits = [add.constant("affect_least", 0.0), add.constant("affect_most", 1.0)]
        add.node("Clip", [scores, *limits], "affect_derived")
        if not is_told:
            add.output("affect_derived", weight.shape[1])


def _linear(add: GraphParts, head: str, weight: Table, bias: npt.ArrayLike, output: str) -> str:
    """Add W e + b, (batch, outputs), with W (width, outputs) stored with 16 bits; return its name."""
    half = add.constant(f"{head}_weight", weight, np.float16)
    inputs = ["embedding", add.node("Cast", [half], f"{head}_weights", to=FLOAT)]
    return add.node("Gemm", [*inputs, add.constant(f"{head}_bias", bias)], output)


def _forget(proto: ModelProto, output: str, kept: str = "") -> None:
    """Take away what makes an output, with all of ours but one value that nothing else is made of.

    The output stays announced.
    """
    graph, unused = proto.graph, {output}
    while unused:
        for node in [node for node in graph.node if unused.intersection(node.output)]:
            graph.node.remove(node)
        used = {name for node in graph.node for name in node.input} | {told.name for told in graph.output}
        unused = {name for node in graph.node for name in node.output if name.startswith(HEADS)} - {*used, kept}
    there = used.union(*(node.output for node in graph.node))
    for values in (graph.initializer, graph.value_info):
        for one in [one for one in values if one.name.startswith(HEADS) and one.name not in there]:
            values.remove(one)


def _alone(add: GraphParts) -> str:
    """Add 1/v = exp(clip(−o, −3, 0)), the odds that one voice is alone, at most 1; return its name, (batch, 1)."""
    limits = [add.constant("alone_lowest", -LARGEST_LOG), add.constant("alone_highest", 0.0)]
    odds = add.node("Neg", [OVERLAP], "alone_odds")
    return add.node("Exp", [add.node("Clip", [odds, *limits], "alone_log")], "alone")


def soften(proto: ModelProto, temperature: float, out_of_domain_from: float, frames_per_s: float) -> None:
    """Let the ``probabilities`` of a graph with a distance be those of the module's formula, in place.

    Parameters
    ----------
    frames_per_s : of the graph's value ``n_frames`` (batch,), what is left between the silences
    """
    _forget(proto, "probabilities")
    made = {name for node in proto.graph.node for name in node.output}
    with GraphParts.appended(proto) as add:
        sharper = add_sharper(add, FARTHER if FARTHER in made else DISTANCES, out_of_domain_from)
        if OVERLAP in made:
            sharper = add.node("Mul", [sharper, _alone(add)], "sharper_alone")
        frames = add.node("Cast", ["n_frames"], "frames", to=FLOAT)
        heard = add.node("Mul", [frames, add.constant("enough", 1 / (SURE_FROM_S * frames_per_s))], "heard")
        by_length = add_length(add, heard)
        sharpness = add.node("Div", [sharper, add.constant("temperature", temperature)], "sharpness")  # 1 / (T·s)
        scaled = add.node("Mul", ["logits", add.node("Mul", [sharpness, by_length], "sureness")], "scaled")
        add.node("Softmax", [scaled], "probabilities", axis=-1)
