"""The capstone: lengths in a few bytes, and an archive that notices damage."""

import contextlib
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Generator

from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Function,
    Misconception,
    Part,
    draw_integer,
    error_type,
    pair,
    plain_number,
)


def _bytes(generator: Generator, n: int) -> bytes:
    return bytes(torch.randint(256, (n,), generator=generator).tolist())


# -- write_varint ---------------------------------------------------------------------


def _hex(value: Any) -> str:
    """Bytes as digits, which can be compared and read; `bytes(n)` is n zeros."""
    if not isinstance(value, bytes):
        raise TypeError(f"bytes are expected, got a {type(value).__name__}")
    return value.hex(" ")


def _in_hex(function: Function, args: tuple[Any, ...]) -> str | None:
    """For `Part.observe`: the bytes."""
    value = function(*args)
    return None if value is None else _hex(value)


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


# Slips: recognised, and not handed in by the tests.


def no_flag(n: int) -> bytes:
    return bytes(byte & 127 for byte in write_varint(n))


def goes_on_above_128(n: int) -> bytes:
    return b"\x80" if n == 128 else write_varint(n)


def whole_bytes(n: int) -> bytes:
    return n.to_bytes(max(1, -(-n.bit_length() // 8)), "little")


def flag_in_the_lowest_bit(n: int) -> bytes:
    groups = write_varint(n)
    return bytes(byte << 1 & 255 | byte >> 7 for byte in groups)


def nothing_for_zero_but_an_error(n: int) -> bytes:
    if n <= 0:
        raise ValueError("n must be above 0")
    return write_varint(n)


def _of_bits(generator: Generator, bits: int) -> int:
    """A number of so many bits, the highest of them 1."""
    return draw_integer(generator, 1 << bits - 1, (1 << bits) - 1)


def _any(generator: Generator) -> list[Case]:
    drawn = [_of_bits(generator, bits) for bits in (6, 10, 21, 46)]
    return [Case((n,), f"n = {n:,}") for n in drawn]


def _edges(_: Generator) -> list[Case]:
    edges = [(0, "0"), (127, "127"), (128, "128"), ((1 << 63) - 1, "2⁶³ − 1")]
    return [Case((n,), f"n = {says}", only=True) for n, says in edges]


def _negative(generator: Generator) -> list[Case]:
    n = -draw_integer(generator, 2, 999)
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
    slips=(
        Misconception(
            no_flag,
            "No byte has the flag: who reads them cannot tell where the number ends.",
        ),
        Misconception(
            goes_on_above_128,
            "128 itself needs eight bits, one more than a byte has for them: go on "
            "while n is 128 *or* more.",
        ),
        Misconception(
            whole_bytes,
            "These are bytes of eight bits, and nothing says where they end. Seven "
            "bits a byte, and the eighth says whether another follows.",
        ),
        Misconception(
            flag_in_the_lowest_bit,
            "The flag is the *highest* bit of the byte, worth 128, not the lowest.",
        ),
        Misconception(
            nothing_for_zero_but_an_error,
            "0 is a length, too, that of an empty text: it is the byte 0. Only below "
            "it there is an error.",
        ),
    ),
    hints=(
        "`n & 127` are the lowest seven bits, `n >> 7` is the rest.",
        "While n is 128 or more: put out its seven bits with 128 added.",
    ),
)


# -- read_varint ----------------------------------------------------------------------


def _two_numbers(function: Function, args: tuple[Any, ...]) -> str | None:
    """For `Part.observe`: the two numbers as words."""
    value = function(*args)
    if value is None:
        return None
    n, after = pair(value, "the number and the place of the byte behind it")
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


# Slips: recognised, and not handed in by the tests.


def place_before_the_number(data: bytes, at: int) -> tuple[int, int]:
    n, after = read_varint(data, at)
    return after, n


def place_of_the_last_byte(data: bytes, at: int) -> tuple[int, int]:
    n, after = read_varint(data, at)
    return n, after - 1


def _groups(data: bytes, at: int, width: int) -> tuple[int, int]:
    n = shift = 0
    while True:
        if at >= len(data):
            raise ValueError("the number is cut off")
        n += (data[at] & 127) << shift
        at, shift = at + 1, shift + width
        if n >= 1 << 63:
            raise ValueError("the number is too large")
        if data[at - 1] < 128:
            return n, at


def shifted_by_8(data: bytes, at: int) -> tuple[int, int]:
    return _groups(data, at, 8)


def never_shifted(data: bytes, at: int) -> tuple[int, int]:
    return _groups(data, at, 0)


def nothing_refused(data: bytes, at: int) -> tuple[int, int]:
    return any_size_accepted(data + b"\0", at)


def ends_with_the_flag(data: bytes, at: int) -> tuple[int, int]:
    n = shift = 0
    while True:
        if at >= len(data):
            raise ValueError("the number is cut off")
        n |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] >= 128:
            return n, at


def largest_refused(data: bytes, at: int) -> tuple[int, int]:
    n, after = read_varint(data, at)
    if n == (1 << 63) - 1:
        raise ValueError("the number is too large")
    return n, after


def limit_of_64_bits(data: bytes, at: int) -> tuple[int, int]:
    n, after = any_size_accepted(data, at) if data[-1] < 128 else read_varint(data, at)
    if n >= 1 << 64:
        raise ValueError("the number is too large")
    return n, after


def _read(generator: Generator, n: int) -> Case:
    before = _bytes(generator, draw_integer(generator, 1, 4))
    data = before + write_varint(n) + _bytes(generator, 2)
    return Case((data, len(before)), f"{data.hex(' ')}, from byte {len(before)}")


def _read_small(generator: Generator) -> list[Case]:
    return [_read(generator, draw_integer(generator, 1, 127)) for _ in range(2)]


def _read_large(generator: Generator) -> list[Case]:
    drawn = [_of_bits(generator, bits) for bits in (9, 21, 46)]
    return [_read(generator, n) for n in [*drawn, (1 << 63) - 1]]


def _unreadable(generator: Generator) -> list[Case]:
    n = _of_bits(generator, draw_integer(generator, 21, 30))
    data = _bytes(generator, 2) + write_varint(n)[:-1]
    large = write_varint((1 << 63) + _of_bits(generator, 60))
    places = draw_integer(generator, 70, 89)
    long = _bytes(generator, 1) + write_varint(1 << places) + b"\1"
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
        Part("below 128", 1, _read_small, _two_numbers),
        Part("any number", 1, _read_large, _two_numbers),
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
    slips=(
        Misconception(
            nothing_refused,
            "Neither a number that is cut off is refused nor one of 2⁶³ or more: raise "
            "ValueError.",
        ),
        Misconception(
            place_before_the_number,
            "The two have changed places: the number first, then the place behind it.",
        ),
        Misconception(
            place_of_the_last_byte,
            "You return the place of the number's last byte. Asked for is the one "
            "*behind* it, where reading goes on.",
        ),
        Misconception(
            shifted_by_8,
            "Each byte has seven bits of the number: shift by 7, not by 8.",
        ),
        Misconception(
            never_shifted,
            "You add the groups up as they are, but each is worth 128 times the one "
            "before.",
        ),
        Misconception(
            ends_with_the_flag,
            "The flags are turned round: the high bit says that *more* follows, and "
            "the last byte has none.",
        ),
        Misconception(
            largest_refused,
            "2⁶³ − 1 is the largest number that is allowed; 2⁶³ is the first that is "
            "not.",
        ),
        Misconception(
            limit_of_64_bits,
            "The limit is 2⁶³, not 2⁶⁴, as signed numbers of 64 bits have it.",
        ),
    ),
    hints=(
        "Keep the shift beside the number: 0, 7, 14 …",
        "Look whether there is a byte before you take it.",
    ),
)


# -- unpack ---------------------------------------------------------------------------


def _unpacked(function: Function, args: tuple[Any, ...]) -> str | None:
    """For `Part.observe`: both as words; if refused, what would have been taken."""
    (archive,) = args
    try:
        value = function(archive)
    except ValueError:
        for says, other in _made_otherwise(archive):
            with contextlib.suppress(Exception):
                if function(other) is not None:
                    return f"ValueError, and none {says}"
        raise
    if value is None:
        return None
    n, payload = pair(value, "`n` and the payload")
    return f"{plain_number(n)} and {_hex(payload)}"


def _made_otherwise(archive: bytes) -> Iterator[tuple[str, bytes]]:
    """The archive as other writers would have made it, and how, in words."""
    _, payload = unpack(archive)
    head = archive[: -4 - len(payload)]
    crc = archive[len(head) : len(head) + 4]
    yield "with the big end of the CRC first", head + crc[::-1] + payload
    for says, data in (
        ("with the CRC of the payload alone", payload),
        ("with the CRC of the header alone", head),
        ("with the CRC of payload and header, in this order", payload + head),
    ):
        yield says, head + zlib.crc32(data).to_bytes(4, "little") + payload
    yield "with the length of the payload as `n`", _packed(len(payload), payload)


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


def payload_cut_to_n(archive: bytes) -> tuple[int, bytes]:
    import zlib

    if archive[:3] != b"CI\1":
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
    return n, payload[:n]


# Slips: recognised, and not handed in by the tests.


def _unpack_if(
    sound: Callable[[bytes, bytes, bytes, int], bool],
) -> Callable[[bytes], tuple[int, bytes]]:
    """`unpack` with another test of (head, crc, payload, n)."""

    def otherwise(archive: bytes) -> tuple[int, bytes]:
        if archive[:3] != b"CI\1":
            raise ValueError("this is no archive of ours")
        n, at = read_varint(archive, 3)
        head, crc, payload = archive[:at], archive[at : at + 4], archive[at + 4 :]
        if not sound(head, crc, payload, n):
            raise ValueError("it is damaged")
        return n, payload

    return otherwise


def big_end_of_the_crc(archive: bytes) -> tuple[int, bytes]:
    return _unpack_if(
        lambda head, crc, payload, n: (
            zlib.crc32(head + payload).to_bytes(4, "big") == crc
        )
    )(archive)


def crc_of_the_payload(archive: bytes) -> tuple[int, bytes]:
    return _unpack_if(
        lambda head, crc, payload, n: zlib.crc32(payload).to_bytes(4, "little") == crc
    )(archive)


def crc_of_the_header(archive: bytes) -> tuple[int, bytes]:
    return _unpack_if(
        lambda head, crc, payload, n: zlib.crc32(head).to_bytes(4, "little") == crc
    )(archive)


def crc_of_payload_and_header(archive: bytes) -> tuple[int, bytes]:
    return _unpack_if(
        lambda head, crc, payload, n: (
            zlib.crc32(payload + head).to_bytes(4, "little") == crc
        )
    )(archive)


def crc_of_n_bytes_of_payload(archive: bytes) -> tuple[int, bytes]:
    return _unpack_if(
        lambda head, crc, payload, n: (
            zlib.crc32(head + payload[:n]).to_bytes(4, "little") == crc
        )
    )(archive)


def length_of_the_payload(archive: bytes) -> tuple[int, bytes]:
    return _unpack_if(
        lambda head, crc, payload, n: (
            zlib.crc32(head + payload).to_bytes(4, "little") == crc
            and n == len(payload)
        )
    )(archive)


def _packed(n: int, payload: bytes, version: int = 1) -> bytes:
    head = b"CI" + bytes([version]) + write_varint(n)
    return head + zlib.crc32(head + payload).to_bytes(4, "little") + payload


def _whole(generator: Generator) -> list[Case]:
    cases = []
    # In the last one the payload is longer than the text.
    for size, n in ((3, 100), (9, 70_000), (0, 1 << 30), (20, 16)):
        n = draw_integer(generator, n // 2, n - 1)
        archive = _packed(n, _bytes(generator, size))
        cases.append(Case((archive,), archive.hex(" ")))
    return cases


def _flipped(archive: bytes, at: int) -> bytes:
    return archive[:at] + bytes([archive[at] ^ 4]) + archive[at + 1 :]


def _damaged(generator: Generator) -> list[Case]:
    n, payload = draw_integer(generator, 9, 119), _bytes(generator, 6)
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
    archive = _packed(draw_integer(generator, 9, 119), _bytes(generator, 4))
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
        Misconception(
            payload_cut_to_n,
            "You cut the payload to n bytes. n is the length of the *text*, which the "
            "payload holds compressed; it may be longer or shorter.",
        ),
    ),
    slips=(
        Misconception(
            big_end_of_the_crc,
            "You read the four bytes of the CRC with the big end first: they are "
            "little-endian.",
        ),
        Misconception(
            crc_of_the_payload,
            "You take the CRC of the payload alone: the header is counted, too, or "
            "nobody would notice damage in it.",
        ),
        Misconception(
            crc_of_the_header,
            "You take the CRC of the header alone: the payload behind the CRC is "
            "counted, too.",
        ),
        Misconception(
            crc_of_payload_and_header,
            "You take the CRC of the payload and then the header: the header comes "
            "first, as in the file.",
        ),
        Misconception(
            crc_of_n_bytes_of_payload,
            "You take n bytes for the payload, which is all the rest. n is the length "
            "of the *text*, which the payload holds compressed.",
        ),
        Misconception(
            length_of_the_payload,
            "You compare n with the length of the payload. n is that of the *text*, "
            "which the payload holds compressed.",
        ),
    ),
    hints=(
        "`archive[:2]` of a short archive is short, and raises nothing.",
        "The header is all that stands before the CRC.",
        "`zlib.crc32(…).to_bytes(4, 'little')`.",
    ),
)

EXERCISES = [WRITE_VARINT, READ_VARINT, UNPACK]
