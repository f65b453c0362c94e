"""A model cut between its front end and its network: each side is a model of its own."""

from collections.abc import Collection
from typing import Literal, TypeAlias

from earnest.errors import BundleError
from earnest.onnx.protobuf import Field, decoded, fields_of, text_of, written_field

Part: TypeAlias = Literal["whole", "front_end", "network"]
CUT = ("log_mel", "n_frames")
"""Values between the front end and the network: (batch, rows, frames) float32 and (batch,) int64."""


class CutError(BundleError):
    """A model has no values between front end and network to be cut at."""

    def __init__(self) -> None:
        super().__init__("the model has no spectrogram inside to be cut at. Export a model that has one again.")


def part_of(data: bytes, part: Part) -> bytes:
    """Cut a checked model between front end and network, at the values `CUT`.

    Raises
    ------
    CutError
        When the model has no such values: it works on raw samples, or an earlier version exported it.
    BundleError
        When it is damaged where `check_onnx` doesn't look.
    """
    if part == "whole":
        return data
    try:
        return _cut(data, part)
    except (IndexError, ValueError):
        raise BundleError("not an ONNX model that can be cut. Export it again.") from None


def _cut(data: bytes, part: Part) -> bytes:
    fields = fields_of(data)
    graph = next(fields_of(field.message) for field in fields if field.number == 7)
    known = {text_of(field.message, 1): field.message for field in graph if field.number == 13}
    if not known.keys() >= set(CUT):
        raise CutError
    cut = [known[name] for name in CUT]
    outside = {name: [field.message for field in graph if field.number == name] for name in (11, 12)}  # inputs, outputs
    inputs, outputs = (outside[11], cut) if part == "front_end" else (cut, outside[12])
    kept = _needed(graph, {text_of(value, 1) for value in outputs}, {text_of(value, 1) for value in inputs})
    kept += [written_field(11, value) for value in inputs] + [written_field(12, value) for value in outputs]
    whole = written_field(7, b"".join(kept))
    return b"".join(whole if field.number == 7 else bytes(field.raw) for field in fields)


def _needed(graph: list[Field], wanted: set[str], given: Collection[str]) -> list[bytes]:
    """Return the nodes that ``wanted`` follow from, in their order, and the constants that those use."""
    wanted, nodes = set(wanted), []
    # Makers stand before users in a graph: so backwards each node is met after all that need it.
    for field in reversed([field for field in graph if field.number == 1]):
        names = {
            number: [decoded(value.message) for value in fields_of(field.message) if value.number == number]
            for number in (1, 2)
        }
        # What makes a value that is given from outside is the other side's.
        if wanted.intersection(names[2]) and not set(names[2]) & set(given):
            nodes.append(bytes(field.raw))
            wanted.update(names[1])
    constants = [bytes(item.raw) for item in graph if item.number == 5 and text_of(item.message, 8) in wanted]
    named = [bytes(item.raw) for item in graph if item.number == 2]  # the graph's name
    return [*named, *reversed(nodes), *constants]
