"""The file format: `compress` makes an archive, `decompress` the same bytes again.

    magic 4, version 1, method 1, flags 1
    lengths of the data and of its body, as varints
    SHA-256 of the data, its first 8 bytes
    so of the text that both sides have read before, if flags say so
    so of the model, and of what this machine computes with it, for method gpt
    the payload: what the predictor made of the body
    CRC-32 of all before

The body is the data with long runs shortened, so that a disk full of zeros does not
take hours. The checksum tells a damaged or cut archive before anything is decoded; the
digest proves that what comes out is what went in, or nothing comes out.
"""

import hashlib
import importlib.util
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from lmlib.compression.mixing import Mixed
from lmlib.compression.predictors import Predictor, Progress, decode, encode, feed

MAGIC, VERSION = b"lmlZ", 2
#: In the order of their numbers in the file. `stored` is taken where no other helps.
METHODS = ("stored", "fast", "strong", "gpt")
PRIMED = 1  # the flag

#: After a run of so many equal bytes stands how many more of them come.
RUN = 32
DIGEST = 8  # bytes of a SHA-256 that are kept


class Method(NamedTuple):
    """How a body becomes a payload, and what of the sender the receiver must share.

    Attributes:
        encode, decode: functions of (body, primed, progress) and (payload, length of
            the body, primed, progress).
        model: the digest of the model; of one that learns all it knows, nothing.
        machine: the digest of what the model computes here, where it may differ.
    """

    encode: Callable[[bytes, bytes, Progress | None], bytes]
    decode: Callable[[bytes, int, bytes, Progress | None], bytes]
    model: bytes = b""
    machine: bytes = b""


def compress(
    data: bytes,
    method: str = "fast",
    *,
    primed: bytes = b"",
    model: Path | None = None,
    progress: Progress | None = None,
) -> bytes:
    """The archive of `data`.

    Parameters:
        method: `fast`, the small mixer; `strong`, the large one, which needs numba;
            `gpt`, a transformer mixed with the small one, for machines that compute the
            same to the last digit.
        primed: a text that the receiver has too; the predictor reads it beforehand.
        model: the transformer's folder; by default the one that comes with lmlib.
        progress: called now and then with the bytes done and the bits they took.

    Raises:
        ValueError: there is no such method, or it needs what is not there.
    """
    if method not in METHODS[1:]:
        known = ", ".join(METHODS[1:])
        raise ValueError(f"method must be one of {known}, got {method!r}")
    chosen, body = _method(method, model), shorten_runs(data)
    payload = chosen.encode(body, primed, progress)
    if len(payload) + len(chosen.model + chosen.machine) >= len(body):
        method, chosen, primed, payload = "stored", STORED, b"", body
    archive = (
        MAGIC
        + bytes((VERSION, METHODS.index(method), PRIMED * bool(primed)))
        + varint(len(data))
        + varint(len(body))
        + digest(data)
        + (digest(primed) if primed else b"")
        + chosen.model
        + chosen.machine
        + payload
    )
    return archive + zlib.crc32(archive).to_bytes(4, "big")


def decompress(
    archive: bytes,
    *,
    primed: bytes = b"",
    model: Path | None = None,
    progress: Progress | None = None,
) -> bytes:
    """What `compress` was given.

    Parameters:
        primed, model: as they were given to `compress`.

    Raises:
        ValueError: the archive is foreign, damaged or of another version; `primed` or
            `model` is not the one it was made with; or this machine does not compute
            what that of its maker did.
    """
    read = Reader(archive)
    if read.take(len(MAGIC)) != MAGIC:
        raise ValueError("this is no archive of lmlib: it begins otherwise")
    if (version := read.byte()) != VERSION:
        raise ValueError(
            f"the archive has format {version}, this lmlib reads format {VERSION}"
        )
    if zlib.crc32(archive[:-4]).to_bytes(4, "big") != archive[-4:]:
        raise ValueError("the archive is damaged or cut: its checksum is another")
    number, flags = read.byte(), read.byte()
    if number >= len(METHODS) or flags & ~PRIMED:
        raise ValueError(f"the archive has an unknown method: {number}, {flags}")
    length, body_length, expected = read.varint(), read.varint(), read.take(DIGEST)
    if flags & PRIMED:
        if not primed:
            raise ValueError(
                "primed must be the text that the archive was primed with, got none"
            )
        if read.take(DIGEST) != digest(primed):
            raise ValueError("primed must be the text that the archive was primed with")
    chosen = _method(METHODS[number], model)
    if read.take(len(chosen.model)) != chosen.model:
        raise ValueError("model must be the one that the archive was made with")
    if read.take(len(chosen.machine)) != chosen.machine:
        raise ValueError(
            "this machine does not compute with the model what that of the archive's "
            "maker did, to the last digit: another processor, or version of torch"
        )
    primed = primed if flags & PRIMED else b""
    body = chosen.decode(read.rest()[:-4], body_length, primed, progress)
    data = restore_runs(body, length)
    if digest(data) != expected:
        raise ValueError(
            "what was decoded is not what was encoded: this machine, or its version of "
            "lmlib, computes other numbers"
        )
    return data


def length(archive: bytes) -> int:
    """How many bytes `decompress` will give; 0 for what is no archive."""
    head = re.match(re.escape(MAGIC) + b"...", archive, re.DOTALL)
    return Reader(archive[head.end() :]).varint() if head else 0


# -- Methods --------------------------------------------------------------------------


def _method(name: str, model: Path | None) -> Method:
    if name == "strong":
        return _strong()
    if name == "gpt":
        from lmlib.compression import neural

        transformer = neural.load(model)
        return _predicted(
            lambda: neural.beside_mixed(transformer),
            digest(transformer.identity),
            digest(transformer.probe()),
        )
    return _predicted(Mixed) if name == "fast" else STORED


def _predicted(
    make: Callable[[], Predictor], model: bytes = b"", machine: bytes = b""
) -> Method:
    """The method of a predictor, which is made anew for each archive."""

    def ready(primed: bytes) -> Predictor:
        predictor = make()
        feed(predictor, primed)
        return predictor

    return Method(
        lambda body, primed, progress: encode(ready(primed), body, progress),
        lambda payload, n, primed, progress: decode(
            ready(primed), payload, n, progress
        ),
        model,
        machine,
    )


def _strong() -> Method:
    if importlib.util.find_spec("numba") is None:
        raise ValueError(
            "method strong needs numba; in a copy of the course's repository: "
            "pip install '.[compress]'"
        )
    from lmlib.compression import strong

    return Method(strong.encode, strong.decode)


STORED = Method(
    lambda body, primed, progress: body, lambda payload, n, primed, progress: payload
)


# -- Runs -----------------------------------------------------------------------------


def shorten_runs(data: bytes) -> bytes:
    """`data` with each run of `RUN` equal bytes or more cut to `RUN` and a count."""
    body, at = bytearray(), 0
    while run := _RUN.search(data, at):
        other = re.compile(b"[^%s]" % re.escape(run[1]), re.DOTALL)
        end = found.start() if (found := other.search(data, run.end())) else len(data)
        body += data[at : run.end()] + varint(end - run.end())
        at = end
    return bytes(body + data[at:])


def restore_runs(body: bytes, length: int) -> bytes:
    """What `shorten_runs` was given, of `length` bytes.

    Raises:
        ValueError: it has another length.
    """
    read, data = Reader(body), bytearray()
    while (run := _RUN.search(body, read.at)) and len(data) <= length:
        data += read.take(run.end() - read.at)
        more = read.varint()
        if more > length - len(data):
            break
        data += run[1] * more
    data += read.rest()
    if len(data) != length:
        raise ValueError(f"the archive holds not {length} bytes, as it says")
    return bytes(data)


_RUN = re.compile(rb"(.)\1{%d}" % (RUN - 1), re.DOTALL)


# -- Pieces of a header ---------------------------------------------------------------


def digest(data: bytes) -> bytes:
    """The first bytes of the SHA-256."""
    return hashlib.sha256(data).digest()[:DIGEST]


def varint(number: int) -> bytes:
    """Seven bits a byte, lowest first; the top bit says that more come."""
    low, more = number & 127, number >> 7
    return bytes((low | 128,)) + varint(more) if more else bytes((low,))


class Reader:
    """Reads the pieces of a header, one after the other.

    Raises:
        ValueError: the bytes end too early.
    """

    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def take(self, n: int) -> bytes:
        """The next n bytes."""
        if self.at + n > len(self._data):
            raise ValueError("the archive is cut: it ends too early")
        self.at += n
        return self._data[self.at - n : self.at]

    def byte(self) -> int:
        """The next byte."""
        return self.take(1)[0]

    def varint(self) -> int:
        """What `varint` wrote."""
        number = place = 0
        while True:
            byte = self.byte()
            number |= (byte & 127) << place
            if byte < 128:
                return number
            place += 7

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._data) - self.at)
