"""Plain data crosses whole; nothing else crosses; what arrives is checked."""

from __future__ import annotations

import json
import math
import struct

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from optbias.grading import codec
from optbias.grading.codec import CodecError, Opaque, decode, encode
from optbias.seeding import generator

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.complex_numbers(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(
            st.text() | st.integers() | st.floats(allow_nan=False) | st.booleans() | st.none(), inner, max_size=4
        )
    ),
    max_leaves=12,
)


def same(a, b):
    if isinstance(a, float) and math.isnan(a):
        return isinstance(b, float) and math.isnan(b)
    if type(a) in (list, tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, str):
        return b == a.encode("utf-8", "replace").decode("utf-8")
    return type(a) is type(b) and a == b


@given(PLAIN)
def test_plain_data_arrives_as_it_was_sent(value):
    assert same(value, decode(encode(value)))


@pytest.mark.parametrize("name", codec.DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (0, 4)])
def test_tensors_and_arrays_arrive_with_dtype_shape_and_every_bit(name, shape):
    tensor = (10 * torch.randn(shape, dtype=torch.float64, generator=generator(1))).to(getattr(torch, name))
    back = decode(encode(tensor))
    assert back.dtype == tensor.dtype
    assert back.shape == tensor.shape
    assert torch.equal(back, tensor)
    if name in codec.NUMPY_DTYPES:
        array = tensor.numpy()
        found = decode(encode(array))
        assert found.dtype == array.dtype
        assert np.array_equal(found, array)


class Magic(torch.Tensor):
    """A tensor that is equal to everything."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if getattr(func, "__name__", "") == "eq":
            return torch.tensor(True)
        return super().__torch_function__(func, types, args, kwargs or {})


class Liar(list):
    """A list that says it is another one."""

    def __iter__(self):
        return iter([1, 2, 3])


class Float(float):
    """A float that equals everything."""

    def __eq__(self, other):
        return True

    __hash__ = None


def test_what_pretends_arrives_as_the_plain_thing_that_it_is():
    back = decode(
        encode(
            {
                "a": torch.ones(2).as_subclass(Magic),
                "b": Liar([9]),
                "c": Float(2.5),
                "d": torch.nn.Parameter(torch.zeros(1)),
            }
        )
    )
    assert type(back["a"]) is type(back["d"]) is torch.Tensor
    assert not back["d"].requires_grad
    assert back["b"] == [9]
    assert type(back["c"]) is float


@pytest.mark.parametrize(
    "thing", [object(), len, {1, 2}, range(3), iter([]), torch, np.array(["x"], dtype=object), b"x"]
)
def test_other_things_arrive_as_the_name_of_their_type(thing):
    back = decode(encode([thing]))[0]
    assert isinstance(back, Opaque)
    assert not callable(back)
    assert back != thing


def test_what_is_too_much_is_refused():
    ring: list[object] = []
    ring.append(ring)
    for much in (ring, [0] * (codec.MOST_ENTRIES + 1), torch.zeros(codec.LARGEST_FRAME // 8 + 1), {(1, 2): 3}):
        with pytest.raises(CodecError):
            encode(much)


def frame(head, body=b""):
    data = head if isinstance(head, bytes) else json.dumps(head).encode()
    return struct.pack("!IQ", len(data), len(body)) + data + body


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"\xff" * 12,
        frame(b"not json"),
        frame(["x", 1]),
        frame([]),
        frame(5),
        frame("text"),
        frame({"a": 1}),
        frame(["s", 5]),
        frame(["i", "0x" + "f" * 5000]),
        frame(["f", 0]),
        frame(["T", "float64", [3]]),
        frame(["T", "object", [0]]),
        frame(["T", "float64", [-1]]),
        frame(["T", "float64", [1e9]]),
        frame(["T", "float64", [2**40, 2**40]]),
        frame(["d", [["l"], None]]),
        frame(["d", ["x"]]),
        frame(b"[" * 100_000),
        frame(b"1" * 100),
        frame(b'["s", "x"'),
    ],
)
def test_a_frame_that_is_none_is_refused_with_a_clear_error(bad):
    with pytest.raises(CodecError):
        decode(bad)


@given(st.binary(max_size=60))
def test_whatever_bytes_arrive_nothing_but_plain_data_or_an_error_comes_out(data):
    try:
        value = decode(frame(data))
    except CodecError:
        return
    assert value is None or isinstance(
        value, (bool, int, float, str, list, tuple, dict, complex, Opaque, torch.Tensor, np.ndarray, np.generic)
    )


def test_a_function_crosses_only_where_it_is_asked_for():
    passed = []
    sent = encode((len, 1), lambda function: passed.append(function) or 0)
    assert passed == [len]
    assert decode(sent, lambda number: ("function", number)) == (("function", 0), 1)
    with pytest.raises(CodecError):
        decode(sent)
