"""Plain data between two processes that do not trust each other: JSON and raw numbers, never pickles.

What crosses: ``None``, ``bool``, ``int``, ``float``, ``complex``, ``str``, ``list``, ``tuple``, ``dict`` (keys: plain
single values), dense numeric tensors and NumPy arrays. Every other object crosses as its type's name alone, an
:class:`Opaque`, and so does every subclass that is not known to be harmless: an object that pretends to be equal to
everything does not arrive. A subclass of Tensor (a ``Parameter``, say) arrives as a plain tensor of its numbers.

A message is a frame: four bytes with the length of the head, eight with that of the body, the head (JSON), the
body (the numbers of all arrays, one after the other). :func:`decode` trusts nothing that it reads.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from typing import Any

LARGEST_FRAME = 64 * 2**20
"""Bytes of one message: about eight million float64 numbers."""

DEEPEST = 64
"""Lists within lists."""

MOST_ENTRIES = 1_000_000
"""Single values in one message, those of arrays not counted."""

LARGEST_INTEGER_BITS = 4096

_FRAME = struct.Struct("!IQ")

DTYPES = (
    *("float64", "float32", "float16", "bfloat16", "complex128", "complex64"),
    *("int64", "int32", "int16", "int8", "uint8", "bool"),
)
NUMPY_DTYPES = tuple(name for name in DTYPES if name != "bfloat16")


class CodecError(ValueError):
    """Something cannot cross, or what arrived is not what this module writes."""


class Opaque:
    """What stands for an object that did not cross: it has the name of its type, and nothing else."""


def opaque(name: str) -> Opaque:
    """An object whose type bears ``name``, so that messages about types read as they would without a border."""
    clean = "".join(letter for letter in name if letter.isalnum() or letter in "_.")[:80] or "object"
    return type(clean, (Opaque,), {})()


# -- writing ---------------------------------------------------------------------------------------------------


class _Writer:
    def __init__(self, functions: Callable[[Any], int] | None) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self.entries = 0
        self.functions = functions

    def value(self, x: Any, depth: int = 0) -> Any:
        self.entries += 1
        if depth > DEEPEST or self.entries > MOST_ENTRIES:
            raise CodecError(f"more than {DEEPEST} lists within lists, or more than {MOST_ENTRIES:,} values")
        if x is None or x is True or x is False:
            return x
        kind = type(x)
        if kind is str:
            return ["s", x[: LARGEST_FRAME // 8].encode("utf-8", "replace").decode("utf-8")]
        if isinstance(x, int) and not isinstance(x, bool):
            return ["i", hex(int.__index__(x))] if int.bit_length(x) <= LARGEST_INTEGER_BITS else ["o", "huge integer"]
        if isinstance(x, float):
            return float.__float__(x)
        if kind is complex:
            return ["c", x.real, x.imag]
        if isinstance(x, tuple):
            return ["t", *[self.value(one, depth + 1) for one in tuple.__iter__(x)]]
        if isinstance(x, list):
            return ["l", *[self.value(one, depth + 1) for one in list.__iter__(x)]]
        if isinstance(x, dict):
            return ["d", *[[self.key(a), self.value(b, depth + 1)] for a, b in dict.items(x)]]
        if (array := self.array(x)) is not None:
            return array
        if self.functions is not None and callable(x):
            return ["f", self.functions(x)]
        return ["o", kind.__name__]

    def key(self, x: Any) -> Any:
        if x is None or isinstance(x, (bool, int, float, str)):
            return self.value(x)
        raise CodecError(f"a key of a dictionary is a {type(x).__name__}; a string or a number is allowed")

    def array(self, x: Any) -> Any:
        import numpy as np
        import torch

        if isinstance(x, torch.Tensor):
            with torch.no_grad():
                plain = torch.Tensor.detach(x).as_subclass(torch.Tensor)
                if plain.layout != torch.strided:
                    plain = plain.to_dense()
                plain = plain.resolve_conj().resolve_neg().to("cpu").contiguous()
            name = str(plain.dtype).removeprefix("torch.")
            if name not in DTYPES:
                return ["o", f"Tensor of {name}"]
            self.push(bytes(plain.reshape(-1).view(torch.uint8).numpy().tobytes()) if plain.numel() else b"")
            return ["T", name, list(plain.shape)]
        if isinstance(x, (np.ndarray, np.generic)):
            plain_array = np.asarray(x)
            if plain_array.dtype.name not in NUMPY_DTYPES:
                return ["o", f"array of {plain_array.dtype.name}"]
            self.push(np.ascontiguousarray(plain_array).tobytes())
            return ["N" if isinstance(x, np.ndarray) else "n", plain_array.dtype.name, list(plain_array.shape)]
        return None

    def push(self, data: bytes) -> None:
        self.parts.append(data)
        self.size += len(data)
        if self.size > LARGEST_FRAME:
            raise CodecError(f"more than {LARGEST_FRAME >> 20} MiB of numbers")


def encode(message: Any, functions: Callable[[Any], int] | None = None) -> bytes:
    """The frame of a message. ``functions`` gives a number to a function; without it none crosses.

    Raises CodecError for what is too large or too deep.
    """
    writer = _Writer(functions)
    try:
        head = json.dumps(writer.value(message), ensure_ascii=True, separators=(",", ":")).encode("ascii")
    except RecursionError:
        raise CodecError("a list that contains itself, or one that is nested too deeply") from None
    body = b"".join(writer.parts)
    if len(head) + len(body) > LARGEST_FRAME:
        raise CodecError(f"more than {LARGEST_FRAME >> 20} MiB")
    return _FRAME.pack(len(head), len(body)) + head + body


# -- reading ---------------------------------------------------------------------------------------------------


class _Reader:
    def __init__(self, body: memoryview, functions: Callable[[int], Any] | None) -> None:
        self.body = body
        self.at = 0
        self.entries = 0
        self.functions = functions

    def value(self, x: Any, depth: int = 0) -> Any:
        self.entries += 1
        if depth > DEEPEST + 1 or self.entries > MOST_ENTRIES:
            raise CodecError("nested too deeply, or too many values")
        if x is None or isinstance(x, (bool, float)):
            return x
        if not isinstance(x, list) or not x or not isinstance(x[0], str):
            raise CodecError("this is no value")
        tag, rest = x[0], x[1:]
        if tag == "l":
            return [self.value(one, depth + 1) for one in rest]
        if tag == "t":
            return tuple(self.value(one, depth + 1) for one in rest)
        if tag == "d":
            return self.dictionary(rest, depth)
        if tag in ("T", "N", "n"):
            return self.array(tag, rest)
        return self.single(tag, rest)

    def single(self, tag: str, rest: list[Any]) -> Any:
        if tag == "s" and len(rest) == 1 and isinstance(rest[0], str):
            return rest[0]
        if tag == "i" and len(rest) == 1 and isinstance(rest[0], str) and len(rest[0]) <= LARGEST_INTEGER_BITS // 4 + 3:
            return int(rest[0], 16)
        if tag == "c" and len(rest) == 2 and all(isinstance(part, float) for part in rest):
            return complex(*rest)
        if tag == "o" and len(rest) == 1 and isinstance(rest[0], str):
            return opaque(rest[0])
        if tag == "f" and len(rest) == 1 and type(rest[0]) is int and self.functions is not None:
            return self.functions(rest[0])
        raise CodecError(f"this is no value: {tag[:10]!r}")

    def dictionary(self, rest: list[Any], depth: int) -> dict[Any, Any]:
        made = {}
        for pair in rest:
            if not isinstance(pair, list) or len(pair) != 2:
                raise CodecError("this is no dictionary")
            key = self.value(pair[0], DEEPEST)
            if not (key is None or isinstance(key, (bool, int, float, str))):
                raise CodecError("this is no key of a dictionary")
            made[key] = self.value(pair[1], depth + 1)
        return made

    def array(self, tag: str, rest: list[Any]) -> Any:
        import numpy as np
        import torch

        if len(rest) != 2 or rest[0] not in (DTYPES if tag == "T" else NUMPY_DTYPES) or not isinstance(rest[1], list):
            raise CodecError("this is no array")
        name, shape = rest
        if len(shape) > 32 or not all(type(n) is int and 0 <= n <= LARGEST_FRAME for n in shape):
            raise CodecError("this is no shape")
        dtype = getattr(torch, name) if tag == "T" else np.dtype(name)
        size = math.prod(shape) * dtype.itemsize
        if self.at + size > len(self.body):
            raise CodecError("the numbers of an array are missing")
        data = bytearray(self.body[self.at : self.at + size])
        self.at += size
        if tag == "T":
            flat = torch.frombuffer(data, dtype=dtype) if size else torch.empty(0, dtype=dtype)
            return flat.reshape(shape)
        made = np.frombuffer(data, dtype=dtype).reshape(shape)
        return made if tag == "N" else made[()]


def decode(frame: bytes, functions: Callable[[int], Any] | None = None) -> Any:
    """The message in a frame; CodecError for anything that :func:`encode` does not write."""
    if len(frame) < _FRAME.size:
        raise CodecError("a frame is cut off")
    head, body = sizes(frame[: _FRAME.size])
    if len(frame) != _FRAME.size + head + body:
        raise CodecError("a frame is cut off")
    try:
        message = json.loads(frame[_FRAME.size : _FRAME.size + head].decode("ascii"), parse_int=_small)
        return _Reader(memoryview(frame)[_FRAME.size + head :], functions).value(message)
    except (ValueError, RecursionError, TypeError, OverflowError, RuntimeError) as error:
        raise CodecError(f"unreadable: {error}") from None


def _small(text: str) -> int:
    # Only shapes and numbers of functions are bare integers.
    if len(text) > 12:
        raise CodecError("an integer is too long")
    return int(text)


HEAD = _FRAME.size
"""Bytes from which :func:`sizes` reads how long the rest is."""


def sizes(start: bytes) -> tuple[int, int]:
    """The lengths of head and body of a frame that begins with ``start``; CodecError if they are too long."""
    head, body = _FRAME.unpack(start)
    if head + body > LARGEST_FRAME:
        raise CodecError(f"a message of {head + body:,} bytes; {LARGEST_FRAME:,} are allowed")
    return head, body
