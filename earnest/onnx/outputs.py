"""What a model answers with, read from its file: names and sizes of outputs, without anything that runs it.

Field numbers: ModelProto.graph (7); GraphProto.output (12); ValueInfoProto.name (1), .type (2); TypeProto.tensor_type
(1); TypeProto.Tensor.shape (2); TensorShapeProto.dim (1); Dimension.dim_value (1).
"""

from collections.abc import Mapping

from earnest.errors import BundleError
from earnest.onnx.protobuf import fields_of, text_of

_TO_DIMENSIONS = (2, 1, 2)  # type → tensor_type → shape


def output_widths(data: bytes) -> Mapping[str, int | None]:
    """Return output → size of its last axis, None where the file leaves it open or there is no such axis.

    Raises
    ------
    BundleError
        When the bytes are no ONNX model.
    """
    try:
        graph = next(field.message for field in fields_of(data) if field.number == 7)
        outputs = [field.message for field in fields_of(graph) if field.number == 12]
        return {text_of(output, 1): _last_size(output) for output in outputs}
    except (IndexError, ValueError, StopIteration):
        raise BundleError("not an ONNX model whose outputs can be read. Export it again.") from None


def _last_size(message: memoryview) -> int | None:
    for number in _TO_DIMENSIONS:
        inside = [field.message for field in fields_of(message) if field.number == number]
        if not inside:
            return None
        message = inside[0]
    dimensions = [field.message for field in fields_of(message) if field.number == 1]
    if len(dimensions) < 2:  # the batch alone
        return None
    return next((field.content for field in fields_of(dimensions[-1]) if isinstance(field.content, int)), None)
