"""The protobuf wire format, as far as the ML-Agents messages need it.

https://protobuf.dev/programming-guides/encoding. Proto3: a scalar field that holds its default is not written.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import ArrayLike

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_WORD = 1 << 64
_FLOAT = struct.Struct("<f")


class MalformedMessageError(ValueError):
    """The bytes are not a protobuf message."""


def varint(value: int) -> bytes:
    """An integer as base-128 digits, lowest first; a negative one as its 64-bit two's complement."""
    value %= _WORD
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)


def integer(number: int, value: int) -> bytes:
    """Field `number` of a type int32, bool or enum; nothing for 0."""
    return varint(number << 3 | VARINT) + varint(value) if value else b""


def float32(number: int, value: float) -> bytes:
    """Field `number` of type float; nothing for 0."""
    return varint(number << 3 | FIXED32) + _FLOAT.pack(value) if value else b""


def message(number: int, content: bytes) -> bytes:
    """Field `number` that holds a message, also an empty one, or an element of a repeated string or bytes field."""
    return varint(number << 3 | BYTES) + varint(len(content)) + content


def data(number: int, content: bytes) -> bytes:
    """Field `number` of type bytes; nothing when empty. A packed repeated field looks the same."""
    return message(number, content) if content else b""


def text(number: int, content: str) -> bytes:
    """Field `number` of type string; nothing when empty."""
    return data(number, content.encode())


def packed_integers(number: int, values: Iterable[int]) -> bytes:
    """Packed repeated field `number` of a type int32, bool or enum."""
    return data(number, b"".join(map(varint, values)))


def packed_floats(number: int, values: ArrayLike) -> bytes:
    """Packed repeated field `number` of type float, the values in C order."""
    return data(number, np.asarray(values, dtype="<f4").tobytes())


def fields(content: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message in the order of the wire: (number, value).

    A varint comes as an unsigned int (see `signed`), every other field as its bytes.
    Raises MalformedMessageError when the bytes end inside a field or hold an unknown wire type.
    """
    position = 0
    while position < len(content):
        key, position = _read_varint(content, position)
        number, wire_type = key >> 3, key & 7
        if wire_type == VARINT:
            value, position = _read_varint(content, position)
            yield number, value
            continue
        if wire_type == BYTES:
            length, position = _read_varint(content, position)
        elif wire_type in (FIXED32, FIXED64):
            length = 4 if wire_type == FIXED32 else 8
        else:
            raise MalformedMessageError(f"field {number} has the unknown wire type {wire_type}")
        if position + length > len(content):
            raise MalformedMessageError(f"field {number} claims {length} bytes, {len(content) - position} are left")
        yield number, content[position : position + length]
        position += length


def integers(value: int | bytes) -> list[int]:
    """The values of a repeated int32 field, from a packed run or from one unpacked element."""
    if isinstance(value, int):
        return [signed(value)]
    values, position = [], 0
    while position < len(value):
        element, position = _read_varint(value, position)
        values.append(signed(element))
    return values


def floats(value: int | bytes) -> list[float]:
    """The values of a repeated float field, from a packed run or from one unpacked element."""
    if isinstance(value, int) or len(value) % 4:
        raise MalformedMessageError(f"expected 32-bit floats, found {value!r}")
    return [number for (number,) in _FLOAT.iter_unpack(value)]


def signed(value: int | bytes) -> int:
    """An int32 from its varint."""
    if not isinstance(value, int):
        raise MalformedMessageError(f"expected an integer, found {len(value)} bytes")
    low = value & 0xFFFFFFFF
    return low - (1 << 32) if low >= 1 << 31 else low


def nested(value: int | bytes) -> bytes:
    """The content of a field that holds a message, a string or bytes."""
    if isinstance(value, int):
        raise MalformedMessageError(f"expected bytes, found the integer {value}")
    return value


def string(value: int | bytes) -> str:
    """The content of a field of type string."""
    try:
        return nested(value).decode()
    except UnicodeDecodeError as error:
        raise MalformedMessageError(f"a text is not UTF-8: {error}") from error


def _read_varint(content: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(content) or shift > 63:
            raise MalformedMessageError("an integer does not end")
        digit = content[position]
        position += 1
        value |= (digit & 0x7F) << shift
        if digit < 0x80:
            return value % _WORD, position
        shift += 7
