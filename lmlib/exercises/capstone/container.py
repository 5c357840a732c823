"""The capstone: lengths in a few bytes, and an archive that notices damage."""

import zlib
from typing import Any

import torch
from torch import Generator

from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Function,
    Misconception,
    Part,
    error_type,
    plain_number,
)


def _number(generator: Generator, low: int, high: int) -> int:
    return int(torch.randint(low, high, (), generator=generator))


def _bytes(generator: Generator, n: int) -> bytes:
    return bytes(torch.randint(256, (n,), generator=generator).tolist())


# -- write_varint ---------------------------------------------------------------------


def _in_hex(function: Function, args: tuple[Any, ...]) -> str:
    """The bytes as digits, which can be compared and read; else what type came."""
    value = function(*args)
    return value.hex(" ") if type(value) is bytes else type(value).__name__


def write_varint(n: int) -> bytes:
    if n < 0:
        raise ValueError("n must be 0 or more")
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def big_end_first(n: int) -> bytes:
    if n < 0:
        raise ValueError("n must be 0 or more")
    groups = [n & 0x7F]
    while n := n >> 7:
        groups.append(n & 0x7F | 0x80)
    return bytes(groups[::-1])


def useless_byte(n: int) -> bytes:
    if n < 0:
        raise ValueError("n must be 0 or more")
    out = bytearray()
    while n >= 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def nothing_for_zero(n: int) -> bytes:
    if n < 0:
        raise ValueError("n must be 0 or more")
    out = bytearray()
    while n:
        out.append(n & 0x7F | (0x80 if n > 0x7F else 0))
        n >>= 7
    return bytes(out)


def flag_on_the_last(n: int) -> bytes:
    if n < 0:
        raise ValueError("n must be 0 or more")
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F)
        n >>= 7
    out.append(n | 0x80)
    return bytes(out)


def eight_bits_each(n: int) -> bytes:
    if n < 0:
        raise ValueError("n must be 0 or more")
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0xFF | 0x80)
        n >>= 8
    out.append(n)
    return bytes(out)


def negative_accepted(n: int) -> bytes:
    n &= (1 << 64) - 1
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def _any(generator: Generator) -> list[Case]:
    drawn = [_number(generator, 1 << bits, 2 << bits) for bits in (5, 9, 20, 45)]
    return [Case((n,), f"n = {n:,}") for n in drawn]


def _edges(_: Generator) -> list[Case]:
    edges = [(0, "0"), (127, "127"), (128, "128"), ((1 << 63) - 1, "2⁶³ − 1")]
    return [Case((n,), f"n = {says}", only=True) for n, says in edges]


def _negative(generator: Generator) -> list[Case]:
    n = -_number(generator, 2, 1000)
    return [Case((-1,), "n = −1", only=True), Case((n,), f"n = {n}")]


WRITE_VARINT = Exercise(
    name="c/write_varint",
    title="A number in as few bytes as it needs",
    difficulty=2,
    minutes=10,
    reference=write_varint,
    parts=(
        Part("any number", 1, _any, _in_hex),
        Part("0, 127, 128, 2⁶³ − 1", 1, _edges, _in_hex, beside_a_value=True),
        Part("negative ones are refused", 1, _negative, error_type),
    ),
    misconceptions=(
        Misconception(
            big_end_first,
            "The groups stand in the other order: LEB128 is *little*-endian, the "
            "lowest seven bits first.",
        ),
        Misconception(
            useless_byte,
            "A full last group, such as 127, gets a byte of nothing behind it: go on "
            "while n is 128 or more.",
        ),
        Misconception(
            nothing_for_zero,
            "0 has no bits that are set, but needs a byte: else nobody can tell where "
            "it stood.",
        ),
        Misconception(
            flag_on_the_last,
            "The flags are turned round: the high bit says that *more* follows, and "
            "the last byte has none.",
        ),
        Misconception(
            eight_bits_each,
            "Seven bits of each byte are the number's, the eighth is the flag: shift "
            "by 7.",
        ),
        Misconception(
            negative_accepted,
            "A negative number comes out as a large one of 64 bits: raise ValueError.",
        ),
    ),
    hints=(
        "`n & 127` are the lowest seven bits, `n >> 7` is the rest.",
        "While n is 128 or more: put out its seven bits with 128 added.",
    ),
)


# -- read_varint ----------------------------------------------------------------------


def _pair(function: Function, args: tuple[Any, ...]) -> str:
    """The two numbers as words: a list in place of a tuple will do."""
    n, after = function(*args)
    return f"{plain_number(n)}, then {plain_number(after)}"


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    n = shift = 0
    while True:
        if at >= len(data):
            raise ValueError("the number is cut off")
        byte = data[at]
        at += 1
        n |= (byte & 0x7F) << shift
        shift += 7
        if n >= 1 << 63:
            raise ValueError("the number is too large")
        if byte < 0x80:
            return n, at


def reads_big_end_first(data: bytes, at: int) -> tuple[int, int]:
    n = 0
    while True:
        if at >= len(data):
            raise ValueError("the number is cut off")
        byte = data[at]
        at += 1
        n = n << 7 | byte & 0x7F
        if n >= 1 << 63:
            raise ValueError("the number is too large")
        if byte < 0x80:
            return n, at


def count_in_place_of_the_end(data: bytes, at: int) -> tuple[int, int]:
    start = at
    n = shift = 0
    while True:
        if at >= len(data):
            raise ValueError("the number is cut off")
        byte = data[at]
        at += 1
        n |= (byte & 0x7F) << shift
        shift += 7
        if n >= 1 << 63:
            raise ValueError("the number is too large")
        if byte < 0x80:
            return n, at - start


def from_the_beginning(data: bytes, at: int) -> tuple[int, int]:
    at = n = shift = 0
    while True:
        if at >= len(data):
            raise ValueError("the number is cut off")
        byte = data[at]
        at += 1
        n |= (byte & 0x7F) << shift
        shift += 7
        if n >= 1 << 63:
            raise ValueError("the number is too large")
        if byte < 0x80:
            return n, at


def missing_end_accepted(data: bytes, at: int) -> tuple[int, int]:
    n = shift = 0
    while at < len(data):
        byte = data[at]
        at += 1
        n |= (byte & 0x7F) << shift
        shift += 7
        if n >= 1 << 63:
            raise ValueError("the number is too large")
        if byte < 0x80:
            break
    return n, at


def index_error_at_the_end(data: bytes, at: int) -> tuple[int, int]:
    n = shift = 0
    while True:
        byte = data[at]
        at += 1
        n |= (byte & 0x7F) << shift
        shift += 7
        if n >= 1 << 63:
            raise ValueError("the number is too large")
        if byte < 0x80:
            return n, at


def any_size_accepted(data: bytes, at: int) -> tuple[int, int]:
    n = shift = 0
    while True:
        if at >= len(data):
            raise ValueError("the number is cut off")
        byte = data[at]
        at += 1
        n |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return n, at


def flag_kept(data: bytes, at: int) -> tuple[int, int]:
    n = shift = 0
    while True:
        if at >= len(data):
            raise ValueError("the number is cut off")
        byte = data[at]
        at += 1
        n |= byte << shift
        shift += 7
        if n >= 1 << 63:
            raise ValueError("the number is too large")
        if byte < 0x80:
            return n, at


def _read(generator: Generator, n: int) -> Case:
    before = _bytes(generator, _number(generator, 1, 5))
    data = before + write_varint(n) + _bytes(generator, 2)
    return Case((data, len(before)), f"{data.hex(' ')}, from byte {len(before)}")


def _read_small(generator: Generator) -> list[Case]:
    return [_read(generator, _number(generator, 1, 128)) for _ in range(2)]


def _read_large(generator: Generator) -> list[Case]:
    drawn = [_number(generator, 1 << bits, 2 << bits) for bits in (8, 20, 45)]
    return [_read(generator, n) for n in [*drawn, (1 << 63) - 1]]


def _unreadable(generator: Generator) -> list[Case]:
    n = _number(generator, 1 << 20, 1 << 30)
    data = _bytes(generator, 2) + write_varint(n)[:-1]
    large = write_varint((1 << 63) + _number(generator, 0, 1 << 60))
    long = _bytes(generator, 1) + write_varint(1 << _number(generator, 70, 90)) + b"\1"
    return [
        Case((data, 2), f"{data.hex(' ')}, from byte 2: it is cut off"),
        Case((large, 0), f"{large.hex(' ')}, from byte 0: 2⁶³ or more"),
        Case((long, 1), f"{long.hex(' ')}, from byte 1: 2⁶³ or more"),
    ]


READ_VARINT = Exercise(
    name="c/read_varint",
    title="And back",
    difficulty=2,
    minutes=15,
    reference=read_varint,
    parts=(
        Part("below 128", 1, _read_small, _pair),
        Part("any number", 1, _read_large, _pair),
        Part("cut off, or 2⁶³ and more", 1, _unreadable, error_type),
    ),
    misconceptions=(
        Misconception(
            reads_big_end_first,
            "The first byte has the *lowest* seven bits: shift each new group to the "
            "left of what is there.",
        ),
        Misconception(
            count_in_place_of_the_end,
            "You return how many bytes were read. Asked for is the place of the next "
            "one, `at` and all.",
        ),
        Misconception(
            from_the_beginning,
            "You read from the beginning of the data: begin at `at`.",
        ),
        Misconception(
            missing_end_accepted,
            "Where the data end, you return what there is so far. A number whose last "
            "byte has the flag is cut off: raise ValueError.",
        ),
        Misconception(
            index_error_at_the_end,
            "Where the data end, IndexError comes out. Whoever reads an archive "
            "expects ValueError.",
        ),
        Misconception(
            any_size_accepted,
            "Ten bytes and more are accepted: a number of 2⁶³ or more is damage, and "
            "who believes it asks for memory that nobody has.",
        ),
        Misconception(
            flag_kept,
            "The flag is counted with the number: take `byte & 127`.",
        ),
    ),
    hints=(
        "Keep the shift beside the number: 0, 7, 14 …",
        "Look whether there is a byte before you take it.",
    ),
)


# -- unpack ---------------------------------------------------------------------------


def _unpacked(function: Function, args: tuple[Any, ...]) -> str:
    n, payload = function(*args)
    return f"{plain_number(n)} and {bytes(payload).hex(' ')}"


def unpack(archive: bytes) -> tuple[int, bytes]:
    if len(archive) < 8 or archive[:2] != b"CI":
        raise ValueError("this is no archive of ours, or too little of one")
    if archive[2] != 1:
        raise ValueError("another version has made it")
    n = shift = 0
    at = 3
    while True:
        if at >= len(archive):
            raise ValueError("it is cut off")
        n |= (archive[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if archive[at - 1] < 128:
            break
    head, crc, payload = archive[:at], archive[at : at + 4], archive[at + 4 :]
    if zlib.crc32(head + payload).to_bytes(4, "little") != crc:
        raise ValueError("it is damaged")
    return n, payload


def crc_left_unread(archive: bytes) -> tuple[int, bytes]:
    if len(archive) < 8 or archive[:2] != b"CI" or archive[2] != 1:
        raise ValueError("this is no archive of ours")
    n = shift = 0
    at = 3
    while True:
        if at >= len(archive):
            raise ValueError("it is cut off")
        n |= (archive[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if archive[at - 1] < 128:
            return n, archive[at + 4 :]


def crc_given_with_the_payload(archive: bytes) -> tuple[int, bytes]:
    import zlib

    if len(archive) < 8 or archive[:2] != b"CI" or archive[2] != 1:
        raise ValueError("this is no archive of ours")
    n = shift = 0
    at = 3
    while True:
        if at >= len(archive):
            raise ValueError("it is cut off")
        n |= (archive[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if archive[at - 1] < 128:
            break
    head, crc, payload = archive[:at], archive[at : at + 4], archive[at + 4 :]
    if zlib.crc32(head + payload).to_bytes(4, "little") != crc:
        raise ValueError("it is damaged")
    return n, crc + payload


def any_version_read(archive: bytes) -> tuple[int, bytes]:
    import zlib

    if len(archive) < 8 or archive[:2] != b"CI":
        raise ValueError("this is no archive of ours")
    n = shift = 0
    at = 3
    while True:
        if at >= len(archive):
            raise ValueError("it is cut off")
        n |= (archive[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if archive[at - 1] < 128:
            break
    head, crc, payload = archive[:at], archive[at : at + 4], archive[at + 4 :]
    if zlib.crc32(head + payload).to_bytes(4, "little") != crc:
        raise ValueError("it is damaged")
    return n, payload


def said_by_assert(archive: bytes) -> tuple[int, bytes]:
    import zlib

    assert len(archive) >= 8
    assert archive[:2] == b"CI"
    assert archive[2] == 1
    n = shift = 0
    at = 3
    while True:
        assert at < len(archive)
        n |= (archive[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if archive[at - 1] < 128:
            break
    head, crc, payload = archive[:at], archive[at : at + 4], archive[at + 4 :]
    assert zlib.crc32(head + payload).to_bytes(4, "little") == crc
    return n, payload


def index_error_on_too_little(archive: bytes) -> tuple[int, bytes]:
    import zlib

    if archive[0] != 67 or archive[1] != 73 or archive[2] != 1:
        raise ValueError("this is no archive of ours")
    n = shift = 0
    at = 3
    while True:
        n |= (archive[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if archive[at - 1] < 128:
            break
    head, crc, payload = archive[:at], archive[at : at + 4], archive[at + 4 :]
    if zlib.crc32(head + payload).to_bytes(4, "little") != crc:
        raise ValueError("it is damaged")
    return n, payload


def trusts_the_length(archive: bytes) -> tuple[int, bytes]:
    import zlib

    if len(archive) < 8 or archive[:2] != b"CI" or archive[2] != 1:
        raise ValueError("this is no archive of ours")
    n = shift = 0
    at = 3
    while True:
        if at >= len(archive):
            raise ValueError("it is cut off")
        n |= (archive[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if archive[at - 1] < 128:
            break
    if n >= 1 << 62:
        raise MemoryError  # bytearray(n), before anything is known of the header
    head, crc, payload = archive[:at], archive[at : at + 4], archive[at + 4 :]
    if zlib.crc32(head + payload).to_bytes(4, "little") != crc:
        raise ValueError("it is damaged")
    return n, payload


def _packed(n: int, payload: bytes, version: int = 1) -> bytes:
    head = b"CI" + bytes([version]) + write_varint(n)
    return head + zlib.crc32(head + payload).to_bytes(4, "little") + payload


def _whole(generator: Generator) -> list[Case]:
    cases = []
    for size, n in ((3, 100), (9, 70_000), (0, 1 << 30)):
        n = _number(generator, n // 2, n)
        archive = _packed(n, _bytes(generator, size))
        cases.append(Case((archive,), archive.hex(" ")))
    return cases


def _flipped(archive: bytes, at: int) -> bytes:
    return archive[:at] + bytes([archive[at] ^ 4]) + archive[at + 1 :]


def _damaged(generator: Generator) -> list[Case]:
    n, payload = _number(generator, 9, 120), _bytes(generator, 6)
    good = _packed(n, payload)
    # The CRC is of a header with the right length.
    huge = good[:3] + write_varint((1 << 62) + n) + good[4:]
    cases = [
        (_flipped(good, 1), "another magic"),
        (_packed(n, payload, 2), "version 2, whole"),
        (_flipped(good, 3), "another length"),
        (huge, "a length of 2⁶² and more"),
        (_flipped(good, 10), "a bit of the payload"),
        (_flipped(good, 5), "a bit of the CRC"),
        (good[:-1], "the last byte is missing"),
        (good[:3] + bytes([good[3] | 128]), "cut off in the length"),
    ]
    made = [Case((a,), f"{says}: {a.hex(' ')}") for a, says in cases]
    short = [b"", b"C", b"CI"]
    return made + [Case((a,), f"all there is: {a!r}", only=True) for a in short]


def _trailing(generator: Generator) -> list[Case]:
    archive = _packed(_number(generator, 9, 120), _bytes(generator, 4))
    more = archive + _bytes(generator, 1)
    return [Case((more,), f"a byte too much: {more.hex(' ')}")]


UNPACK = Exercise(
    name="c/unpack",
    title="An archive that notices",
    difficulty=2,
    minutes=20,
    reference=unpack,
    parts=(
        Part("whole archives", 1, _whole, _unpacked),
        Part("damage is refused with ValueError", 2, _damaged, error_type),
        Part("and so is a byte too much", 1, _trailing, error_type),
    ),
    misconceptions=(
        Misconception(
            crc_left_unread,
            "The CRC is not compared: a wrong file is worse than none.",
        ),
        Misconception(
            crc_given_with_the_payload,
            "The four bytes of the CRC are given with the payload, which begins behind "
            "them.",
        ),
        Misconception(
            any_version_read,
            "Version 2 is read as if it were 1: what it holds, nobody knows yet.",
        ),
        Misconception(
            said_by_assert,
            "`assert` raises AssertionError, and under `python -O` it is not there at "
            "all: raise ValueError.",
        ),
        Misconception(
            index_error_on_too_little,
            "Of too short an archive you ask for bytes that are not there, and "
            "IndexError comes out: look at its length first.",
        ),
        Misconception(
            trusts_the_length,
            "The length is believed before the CRC is looked at: a damaged header "
            "asks for more memory than there is.",
        ),
    ),
    hints=(
        "`archive[:2]` of a short archive is short, and raises nothing.",
        "The header is all that stands before the CRC.",
        "`zlib.crc32(…).to_bytes(4, 'little')`.",
    ),
)

EXERCISES = [WRITE_VARINT, READ_VARINT, UNPACK]
