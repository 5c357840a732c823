"""Values survive the crossing, and no bytes whatever do harm on arrival."""

import contextlib
import json
import math
import random
import struct
from fractions import Fraction

import numpy as np
import pytest
import torch

from lmlib.grading.examination.codec import (
    CodecError,
    Decoder,
    Encoder,
    Handle,
    RemoteTensor,
)

VALUES = [
    None,
    True,
    0,
    -(2**200),
    1.5,
    Fraction(1, 3),
    Fraction(-7, 2**90),
    math.inf,
    -0.0,
    "text with \x00 and 漢字",
    b"\x00\xff",
    [1, [2, "three"]],
    (1, (2.0,), []),
    {"a": 1, (1, 2): [None], 3: {"nested": True}},
    slice(1, None, 2),
    ...,
    torch.float64,
    torch.Size([2, 3]),
    Handle(7, "Module", "student"),
]
ARRAYS = [
    torch.arange(6).reshape(2, 3),
    torch.randn(2, 3).mT,  # not contiguous
    torch.zeros(0, 3),
    torch.tensor(3.5, dtype=torch.bfloat16),
    torch.tensor([1 + 2j]),
    np.arange(6, dtype=np.int16).reshape(3, 2),
    np.float32(2.5),
    np.array(True),
    np.asfortranarray(np.eye(3)),
]


def there_and_back(value):
    return Decoder().decode(Encoder().encode(value))


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_plain_values_cross_unchanged(value):
    assert there_and_back(value) == value
    assert type(there_and_back(value)) is type(value)
    assert str(there_and_back(value)) == str(value)  # tells −0.0 from 0


@pytest.mark.parametrize(
    "terms", [(1, 0), (1, -2), (1, 2, 3), (1.5, 2), (True, 2), [1, 2], 3, (1, 2**1001)]
)
def test_no_fraction_arrives_but_of_two_short_integers(terms):
    tree = json.dumps({"fraction": json.loads(tree_of(terms))}).encode()
    with pytest.raises(CodecError):
        Decoder().decode(struct.pack("<II", len(tree), 0) + tree)


def tree_of(value):
    return Encoder().encode(value)[8:]


def test_a_long_fraction_does_not_cross():
    with pytest.raises(CodecError, match="1000 bits"):
        Encoder().encode(Fraction(1, 3**1000))


def test_nan_crosses():
    assert math.isnan(there_and_back(math.nan))


@pytest.mark.parametrize("value", ARRAYS, ids=lambda a: f"{type(a).__name__}-{a.dtype}")
def test_arrays_cross_with_dtype_and_shape(value):
    back = there_and_back(value)
    assert type(back) is type(value)
    assert back.dtype == value.dtype
    assert back.shape == value.shape
    assert (as_numpy(back) == as_numpy(value)).all()


def as_numpy(value):
    return value.to(torch.complex128).numpy() if torch.is_tensor(value) else value


class Sly(int):
    def __eq__(self, other):
        return True

    __hash__ = int.__hash__


@pytest.mark.parametrize(
    "value",
    [Sly(3), {1, 2}, object(), print, np.ma.array([1]), np.array([object()])],
    ids=lambda v: type(v).__name__,
)
def test_other_types_and_subclasses_do_not_cross(value):
    with pytest.raises(CodecError):
        Encoder().encode(value)
    handle = Decoder().decode(
        Encoder(lambda v: Handle(1, type(v).__name__)).encode(value)
    )
    assert type(handle) is Handle


def test_cyclic_deep_and_large_values_are_refused_on_both_sides():
    circle: list = []
    circle.append(circle)
    for value in (circle, [0] * 300_000, torch.zeros(1).expand(1 << 28)):
        with pytest.raises(CodecError):
            Encoder().encode(value)
    for tree in ("[" * 100_000, "[" * 50 + "]" * 50, "[" + "0," * 300_000 + "0]"):
        with pytest.raises(CodecError):
            Decoder().decode(message(tree))


def message(tree: str, *buffers: bytes) -> bytes:
    sizes = struct.pack(f"<{len(buffers)}Q", *map(len, buffers))
    head = struct.pack("<II", len(tree.encode()), len(buffers)) + sizes
    return head + tree.encode() + b"".join(buffers)


@pytest.mark.parametrize(
    "tree",
    [
        '{"tensor": 0, "dtype": "float32", "shape": [3]}',  # 8 bytes are two
        '{"tensor": 0, "dtype": "float32", "shape": [-1]}',
        '{"tensor": 0, "dtype": "float32", "shape": [-1, -2]}',
        '{"tensor": 0, "dtype": "float32", "shape": [1e9, 1e9]}',
        '{"tensor": 0, "dtype": "object", "shape": [1]}',
        '{"tensor": 5, "dtype": "float32", "shape": [2]}',
        '{"array": 0, "dtype": "object", "shape": [1]}',
        '{"array": 0, "dtype": "float32", "shape": null}',
        '{"array": 0, "dtype": "float32", "shape": ' + str([1] * 40 + [2]) + "}",
        '{"int": "0x' + "f" * 9_000 + '"}',
        '{"handle": ["x", "y", "z"]}',
        '{"dict": [[[1], 2]]}',
        '{"what": 1}',
        "not json",
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
        "9" * 10_000,
    ],
)
def test_lies_are_refused(tree):
    with pytest.raises(CodecError):
        Decoder().decode(message(tree, bytes(8)))


def test_random_bytes_and_random_changes_never_do_harm():
    generator = random.Random(0)
    whole = Encoder().encode({"a": [torch.ones(3), (1, "x")], "b": b"12"})
    for _ in range(2000):
        data = bytearray(whole)
        for _ in range(generator.randint(1, 6)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        damaged = bytes(data[: generator.randint(0, len(data))])
        for candidate in (bytes(data), damaged):
            with contextlib.suppress(CodecError):  # the only error that may come out
                Decoder().decode(candidate)


def test_remote_tensor_carries_its_leaves():
    back = there_and_back(RemoteTensor(3, torch.ones(2), (1, 2)))
    assert (back.number, back.leaves) == (3, (1, 2))
    assert torch.equal(back.data, torch.ones(2))
