"""Values as bytes, between the examiner and the code that it examines. No pickle.

What crosses: None, bool, int, float, Fraction, str, bytes, list, tuple, dict, slice,
Ellipsis, numpy arrays and scalars, torch tensors, dtypes and sizes. Everything else
stays where it is and crosses as a `Handle`, a number by which its owner finds it again.

A message is a JSON text and the raw bytes of its arrays and long texts. Decoding never
calls anything that a message names: types come from a fixed table, and a shape that
does not fit its bytes is refused. Types are compared exactly, so a subclass with an
`__eq__` of its own crosses as a handle, not as what it pretends to be.

Decoding is bounded for a message as a whole: its bytes, of which no two values share
any; its values, counted by their commas and brackets before there is an object of them;
and the keys that an attacker could give one hash.
"""

import json
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
import torch

MAX_BYTES = 64 << 20
MAX_TREE = 16 << 20  # bytes of the JSON
MAX_DEPTH = 40
MAX_NODES = 200_000
MAX_MARKS = 3 * MAX_NODES  # commas and brackets of the JSON
MAX_INT_BITS = 14_000  # more, and Python refuses to print it
MAX_FRACTION_BITS = 1_000  # each is brought to its lowest terms on arrival
MAX_KEYS = 1_000  # tuples and the like: many of one hash can be made of them
SHORT = 64  # characters of a text within the JSON; a longer one lies beside it

TORCH_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.bool,
        torch.uint8,
        torch.int8,
        torch.int16,
        torch.int32,
        torch.int64,
        torch.float16,
        torch.bfloat16,
        torch.float32,
        torch.float64,
        torch.complex64,
        torch.complex128,
    )
}
TORCH_NAMES = {dtype: name for name, dtype in TORCH_DTYPES.items()}
NUMPY_DTYPES = {
    dtype.name: dtype
    for dtype in map(np.dtype, "?BHILbhilefdFD")
    if dtype.itemsize <= 16
}


class CodecError(ValueError):
    """A value that cannot cross, or bytes that are no message."""


@dataclass(frozen=True)
class Handle:
    """Something that stayed on the other side.

    Attributes:
        number: by which its owner finds it.
        kind: the name of its type, for messages.
        origin: the module that it was defined in.
    """

    number: int
    kind: str = ""
    origin: str = ""


@dataclass(frozen=True)
class RemoteTensor:
    """A tensor that takes part in a computation of gradients on the other side.

    Attributes:
        number: by which its owner finds it.
        data: its values.
        leaves: numbers of the tensors whose gradients depend on it; empty if it is a
            leaf itself.
    """

    number: int
    data: torch.Tensor
    leaves: tuple[int, ...] = ()


class Encoder:
    """Turns one value into bytes; `keep` gives a Handle for what cannot cross.

    Raises:
        CodecError: too large, too deep, cyclic, or (without `keep`) of another type.
    """

    def __init__(self, keep: Callable[[Any], Handle | RemoteTensor] | None = None):
        self.keep = keep
        self.buffers: list[bytes] = []
        self.size = 0
        self.nodes = 0
        self.keys = 0

    def encode(self, value: Any) -> bytes:
        tree = json.dumps(self._tree(value, 0)).encode()
        _check_size(tree)
        head = struct.pack(
            f"<II{len(self.buffers)}Q",
            len(tree),
            len(self.buffers),
            *map(len, self.buffers),
        )
        return b"".join((head, tree, *self.buffers))

    def _room_for(self, size: int) -> None:
        if self.size + size > MAX_BYTES:
            raise CodecError(f"more than {MAX_BYTES >> 20} MiB of data")

    def _buffer(self, data: bytes) -> int:
        self._room_for(len(data))
        self.size += len(data)
        self.buffers.append(data)
        return len(self.buffers) - 1

    def _tree(self, value: Any, depth: int) -> Any:
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise CodecError(
                f"nested more than {MAX_DEPTH} deep (or in a circle), or more than "
                f"{MAX_NODES} values"
            )
        kind = type(value)
        if value is None or kind in (bool, float):
            return value
        if kind is int:
            if value.bit_length() > MAX_INT_BITS:
                raise CodecError(f"an integer of more than {MAX_INT_BITS} bits")
            return value if abs(value) < 1 << 63 else {"int": hex(value)}
        if kind is Fraction:
            return {"fraction": self._tree(_terms(value), depth + 1)}
        if kind is str:
            if len(value) <= SHORT:
                return value
            self._room_for(len(value))
            return {"text": self._buffer(value.encode("utf-8", "surrogatepass"))}
        if kind is bytes:
            return {"bytes": self._buffer(value)}
        if kind is list:
            return [self._tree(v, depth + 1) for v in value]
        if kind is tuple:
            return {"tuple": [self._tree(v, depth + 1) for v in value]}
        if kind is dict:
            pairs = list(value.items())
            self.keys = _counted(self.keys, [key for key, _ in pairs])
            return {
                "dict": [[self._tree(x, depth + 1) for x in pair] for pair in pairs]
            }
        if kind is torch.Tensor:
            return self._tensor(value, depth)
        if kind is np.ndarray and value.dtype.name in NUMPY_DTYPES:
            self._room_for(value.nbytes)
            data = self._buffer(np.ascontiguousarray(value).tobytes())
            return {"array": data, "dtype": value.dtype.name, "shape": value.shape}
        if isinstance(value, np.generic) and value.dtype.name in NUMPY_DTYPES:
            data = self._buffer(value.tobytes())
            return {"array": data, "dtype": value.dtype.name, "shape": None}
        if kind is slice:
            parts = (value.start, value.stop, value.step)
            return {"slice": [self._tree(v, depth + 1) for v in parts]}
        if value is Ellipsis:
            return {"ellipsis": True}
        if kind is torch.dtype:
            return {"dtype": str(value).removeprefix("torch.")}
        if kind is torch.Size:
            return {"size": list(value)}
        if kind is Handle:
            return {"handle": [value.number, value.kind, value.origin]}
        if kind is RemoteTensor:
            data = self._tensor(value.data, depth)
            return {
                "remote": data,
                "number": value.number,
                "leaves": list(value.leaves),
            }
        if self.keep is None:
            raise CodecError(f"a {kind.__name__} cannot cross to the student's process")
        return self._tree(self.keep(value), depth)

    def _tensor(self, value: torch.Tensor, depth: int) -> Any:
        if value.requires_grad and self.keep is not None:
            return self._tree(self.keep(value), depth)
        self._room_for(_crossing(value).nbytes)
        data, name = self._buffer(raw(value)), TORCH_NAMES[value.dtype]
        return {"tensor": data, "dtype": name, "shape": list(value.shape)}


def raw(tensor: torch.Tensor) -> bytes:
    """A tensor's values, in the order of its axes.

    Raises:
        CodecError: too large, or of a layout or type that cannot cross.
    """
    if _crossing(tensor).nbytes > MAX_BYTES:
        raise CodecError(f"more than {MAX_BYTES >> 20} MiB of data")
    if tensor.dtype is torch.bfloat16:  # which numpy lacks
        tensor = tensor.view(torch.int16)
    return tensor.numpy(force=True).tobytes()


def _crossing(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor; CodecError if it is of a kind that cannot cross."""
    kind = (
        "nested"
        if tensor.is_nested
        else "quantized"
        if tensor.is_quantized
        else "sparse"
        if tensor.layout is not torch.strided
        else "on no device"
        if tensor.is_meta
        else f"of {tensor.dtype}"
        if tensor.dtype not in TORCH_NAMES
        else ""
    )
    if kind:
        raise CodecError(f"a tensor that is {kind} cannot be handed to a test")
    return tensor


def _terms(value: Fraction | tuple[int, int]) -> tuple[int, int]:
    """Numerator and denominator; CodecError if they are long."""
    terms = value.as_integer_ratio() if isinstance(value, Fraction) else value
    if max(term.bit_length() for term in terms) > MAX_FRACTION_BITS:
        raise CodecError(f"a fraction of more than {MAX_FRACTION_BITS} bits")
    return terms


def _check_size(tree: bytes) -> None:
    """Raises CodecError if the JSON is long, or would become many objects."""
    # Not by sum(): in the student's process that may be the student's.
    marks = tree.count(b",") + tree.count(b"[") + tree.count(b"{")
    if len(tree) > MAX_TREE or marks > MAX_MARKS:
        raise CodecError("too many values, or too long ones")


def _counted(so_far: int, keys: Iterable[Any]) -> int:
    """The keys of a message that are neither text nor small numbers.

    Raises:
        CodecError: there are more than `MAX_KEYS`, or one is of no kind for a key.
    """
    for key in keys:
        kind = type(key)
        if kind is int and key.bit_length() > 63:
            raise CodecError("a dict with an integer of more than 63 bits as a key")
        if key is None or kind in (bool, int, float, str):
            continue
        so_far += 1
        if not (kind in (bytes, tuple) or isinstance(key, np.generic)):
            raise CodecError(f"a dict with a {kind.__name__} as a key")
        if so_far > MAX_KEYS:
            raise CodecError(f"more than {MAX_KEYS} keys that are tuples or the like")
    return so_far


class Decoder:
    """Turns bytes back into a value; `find` turns a Handle or RemoteTensor into one.

    Raises:
        CodecError: the bytes are no message of this codec, whatever they are.
    """

    def __init__(self, find: Callable[[Any], Any] | None = None):
        self.find = find or (lambda value: value)

    def decode(self, message: bytes) -> Any:
        try:
            n_tree, n_buffers = struct.unpack_from("<II", message)
            if n_buffers > MAX_NODES:
                raise CodecError("too many arrays")
            sizes = struct.unpack_from(f"<{n_buffers}Q", message, 8)
            start = 8 + 8 * n_buffers
            if len(message) - start - n_tree > MAX_BYTES:
                raise CodecError(f"more than {MAX_BYTES >> 20} MiB of data")
            text = message[start : start + n_tree]
            _check_size(text)
            tree = json.loads(str(text, "ascii"))
            start += n_tree
            whole = memoryview(message)
            self.buffers: dict[int, memoryview] = {}
            for number, size in enumerate(sizes):
                self.buffers[number] = whole[start : start + size]
                start += size
            if start != len(message):
                raise CodecError("the message is longer or shorter than it says")
            self.nodes = self.keys = 0
            return self._value(tree, 0)
        except CodecError:
            raise
        except RecursionError:
            raise CodecError("nested too deep") from None
        except (
            struct.error,
            ValueError,
            TypeError,
            KeyError,
            IndexError,
            OverflowError,
            RuntimeError,
            MemoryError,
        ) as error:
            raise CodecError(f"not a message: {type(error).__name__}") from None

    def _value(self, tree: Any, depth: int) -> Any:
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise CodecError("nested too deep, or too many values")
        if tree is None or type(tree) in (bool, int, float, str):
            if type(tree) is int and tree.bit_length() > MAX_INT_BITS:
                raise CodecError(f"an integer of more than {MAX_INT_BITS} bits")
            return tree
        if type(tree) is list:
            return [self._value(v, depth + 1) for v in tree]
        if "int" in tree:
            if len(tree["int"]) > MAX_INT_BITS // 4 + 3:
                raise CodecError(f"an integer of more than {MAX_INT_BITS} bits")
            return int(tree["int"], 16)
        if "fraction" in tree:
            terms = self._value(tree["fraction"], depth + 1)
            if type(terms) is not tuple or [*map(type, terms)] != [int, int]:
                raise CodecError("a fraction that is not of two integers")
            if terms[1] < 1:
                raise CodecError("a fraction with no denominator")
            return Fraction(*_terms(terms))
        if "bytes" in tree:
            return bytes(self._taken(tree["bytes"]))
        if "text" in tree:
            return str(self._taken(tree["text"]), "utf-8", "surrogatepass")
        if "tuple" in tree:
            return tuple(self._value(v, depth + 1) for v in tree["tuple"])
        if "dict" in tree:
            return self._dict(tree["dict"], depth + 1)
        if "tensor" in tree:
            return self._tensor(tree)
        if "array" in tree:
            dtype, data = NUMPY_DTYPES[tree["dtype"]], self._taken(tree["array"])
            shape = () if tree["shape"] is None else self._shape(tree, dtype, data)
            if tree["shape"] is None and len(data) != dtype.itemsize:
                raise CodecError("a scalar of the wrong size")
            array = np.frombuffer(data, dtype).reshape(shape).copy()
            return array[()] if tree["shape"] is None else array
        if "slice" in tree:
            start, stop, step = (self._value(v, depth + 1) for v in tree["slice"])
            return slice(start, stop, step)
        if "ellipsis" in tree:
            return Ellipsis
        if "size" in tree:
            return torch.Size([int(v) for v in tree["size"]])
        if "handle" in tree:
            number, kind, origin = tree["handle"]
            return self.find(Handle(int(number), str(kind)[:80], str(origin)[:80]))
        if "remote" in tree:
            leaves = tuple(int(v) for v in tree["leaves"])
            values = self._tensor(tree["remote"])
            return self.find(RemoteTensor(int(tree["number"]), values, leaves))
        if "dtype" in tree:
            return TORCH_DTYPES[tree["dtype"]]
        raise CodecError("a value of no known kind")

    def _taken(self, number: int) -> memoryview:
        """A buffer, which is for one value alone: it is counted once."""
        return self.buffers.pop(number)

    def _dict(self, pairs: Any, depth: int) -> dict[Any, Any]:
        found = {}
        for key, value in pairs:
            key = self._value(key, depth)
            self.keys = _counted(self.keys, [key])
            if key in found:
                raise CodecError("a dict with one key twice")
            found[key] = self._value(value, depth)
        return found

    def _tensor(self, tree: Any) -> torch.Tensor:
        dtype, data = TORCH_DTYPES[tree["dtype"]], self._taken(tree["tensor"])
        shape = self._shape(tree, dtype, data)
        if not data:
            return torch.empty(shape, dtype=dtype)
        return torch.frombuffer(bytearray(data), dtype=dtype).reshape(shape)

    def _shape(
        self, tree: Any, dtype: torch.dtype | np.dtype[Any], data: memoryview
    ) -> list[int]:
        if len(tree["shape"]) > 32:
            raise CodecError("a shape of more than 32 axes")
        shape = [int(n) for n in tree["shape"]]
        if any(n < 0 for n in shape):
            raise CodecError("a shape of negative size")
        if prod(shape) * dtype.itemsize != len(data):
            raise CodecError("a shape that does not fit its data")
        return shape
