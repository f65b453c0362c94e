"""Protobuf messages as their fields: reading and writing, by hand.

A message is a row of fields. Each begins with a varint, the key: the field's number times 8 plus the wire type. Wire
type 0 is another varint, 1 and 5 are 8 and 4 bytes, 2 is a length (a varint) and that many bytes: text, or a message.
https://protobuf.dev/programming-guides/encoding
"""

from collections.abc import Sequence
from typing import NamedTuple

MOST_FIELDS = 200_000  # each costs memory before anything is known about it


class Field(NamedTuple):
    """One field of a message: its number, its content, and both as they are written."""

    number: int
    content: memoryview | int
    raw: memoryview

    @property
    def message(self) -> memoryview:
        """The content, where it is bytes."""
        if isinstance(self.content, int):
            raise ValueError("a number where bytes belong")
        return self.content


def fields_of(message: memoryview | bytes, most: int = MOST_FIELDS) -> list[Field]:
    """Split a protobuf message into its fields; more than ``most`` are a `ValueError`."""
    view, position = memoryview(message), 0
    found: list[Field] = []
    while position < len(view):
        if len(found) >= most:
            raise ValueError("too many fields")
        start = position
        key, position = _varint(view, position)
        number, wire_type = key >> 3, key & 7
        content: memoryview | int
        if wire_type == 0:
            content, position = _varint(view, position)
        elif wire_type in (1, 2, 5):
            size = {1: 8, 5: 4}.get(wire_type)  # None: the length is written there
            if size is None:
                size, position = _varint(view, position)
            content, position = view[position : position + size], position + size
        else:
            raise ValueError("unknown wire type")
        if position > len(view) or number == 0:
            raise ValueError("truncated message")
        found.append(Field(number, content, view[start:position]))
    return found


def text_of(message: memoryview, number: int) -> str:
    """Read the first text field ``number`` of a message, "" where there is none."""
    return next((decoded(field.message) for field in fields_of(message) if field.number == number), "")


def decoded(text: memoryview) -> str:
    """Decode UTF-8; damaged text is a `ValueError`."""
    return str(text, "utf-8")


def numbers_of(fields: Sequence[Field], number: int) -> list[int]:
    """Read the repeated whole numbers ``number``, written one by one or together, as int64."""
    found: list[int] = []
    for field in fields:
        if field.number == number and isinstance(field.content, int):
            found.append(field.content)
        elif field.number == number:
            position = 0
            while position < len(field.message):
                value, position = _varint(field.message, position)
                found.append(value)
    return [value - (1 << 64) if value >> 63 else value for value in found]  # two's complement


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    # Seven bits a byte, the lowest first; the eighth bit says that another byte follows.
    value = shift = 0
    while True:
        byte = view[position]
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:  # ten bytes hold all 64 bits
            raise ValueError("varint too long")


def written_field(number: int, message: memoryview | bytes) -> bytes:
    """Write a protobuf field that holds a message."""
    return _written_varint(number << 3 | 2) + _written_varint(len(message)) + bytes(message)  # wire type 2


def written_number(number: int, value: int) -> bytes:
    """Write a protobuf field that holds an int64."""
    return _written_varint(number << 3) + _written_varint(value & (1 << 64) - 1)  # wire type 0, two's complement


def _written_varint(value: int) -> bytes:
    written = bytearray()
    # Seven bits a byte, the lowest first; the eighth bit is set where another byte follows.
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])
