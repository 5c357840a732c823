"""Right answers to the capstone's tasks, written unlike the solution.

Each function is complete in itself but for the modules that the notebook imports, for
its source is also handed in as a submission of the sample class.
"""

import lzma
import zlib
from types import SimpleNamespace


def short_style() -> SimpleNamespace:
    """Few lines, no loops where an expression will do."""

    def write_varint(n):
        if n < 0:
            raise ValueError(n)
        n_groups = max(1, -(-n.bit_length() // 7))
        groups = [n >> 7 * i & 127 for i in range(n_groups)]
        return bytes([group | 128 for group in groups[:-1]] + groups[-1:])

    def read_varint(data, at):
        rest = data[at:]
        count = next((i for i, byte in enumerate(rest, 1) if byte < 128), None)
        if count is None:
            raise ValueError("cut off")
        n = sum(byte % 128 * 128**i for i, byte in enumerate(rest[:count]))
        if n.bit_length() > 63:
            raise ValueError("too large")
        return [n, at + count]

    def unpack(archive):
        try:
            if not archive.startswith(b"CI\x01"):
                raise ValueError("not ours")
            end = 4
            while archive[end - 1] > 127:
                end += 1
            n = sum((b & 127) << 7 * i for i, b in enumerate(archive[3:end]))
            crc = int.from_bytes(archive[end : end + 4], "little")
            payload = archive[end + 4 :]
            if zlib.crc32(payload, zlib.crc32(archive[:end])) != crc:
                raise ValueError("damaged")
            return n, payload
        except IndexError:
            raise ValueError("too short") from None

    def slot(history, order, size):
        h = 2166136261
        for byte in history[-order:] if order else b"":
            h = (h ^ byte) * 16777619 % 2**32
        return h % size

    def dictionary_pays(saved, dictionary):
        filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]
        packer = lzma.LZMACompressor(lzma.FORMAT_RAW, filters=filters)
        size = len(packer.compress(dictionary)) + len(packer.flush())
        return sum(saved, -size)

    predict = {
        "lowest": "table",
        "highest": "dialogue",
        "as_much": 32.0,
        "dictionary": "grows",
    }
    return SimpleNamespace(**locals())


def careful_style() -> SimpleNamespace:
    """Step by step, with names."""

    def write_varint(n: int) -> bytes:
        if n < 0:
            raise ValueError("a length cannot be negative")
        groups = [n & 127]
        n >>= 7
        while n > 0:
            groups.append(n & 127)
            n >>= 7
        for i in range(len(groups) - 1):
            groups[i] |= 128
        return bytes(groups)

    def read_varint(data: bytes, at: int) -> tuple[int, int]:
        number = 0
        for count in range(len(data) - at):
            byte = data[at + count]
            number += (byte & 127) * 2 ** (7 * count)
            if number > 2**63 - 1:
                raise ValueError("larger than any file")
            if byte & 128 == 0:
                return number, at + count + 1
        raise ValueError("there is no last byte")

    def unpack(archive: bytes) -> tuple[int, bytes]:
        if len(archive) < 3:
            raise ValueError("too short for a header")
        magic, version = archive[:2], archive[2]
        if magic != b"CI" or version != 1:
            raise ValueError(f"magic {magic!r}, version {version}")
        number, place, shift = 0, 3, 0
        more = True
        while more:
            if place == len(archive):
                raise ValueError("the length is cut off")
            number += (archive[place] & 127) << shift
            more = archive[place] >= 128
            place, shift = place + 1, shift + 7
        if len(archive) < place + 4:
            raise ValueError("there is no CRC")
        payload = archive[place + 4 :]
        checked = zlib.crc32(archive[:place] + payload)
        if checked != int.from_bytes(archive[place : place + 4], "little"):
            raise ValueError("the CRC is of something else")
        return number, payload

    def slot(history: bytes, order: int, size: int) -> int:
        context = bytes(list(history)[len(history) - min(order, len(history)) :])
        h = 0x811C9DC5
        for byte in context:
            h ^= byte
            h *= 0x01000193
            h &= 0xFFFFFFFF
        return h - h // size * size

    def dictionary_pays(saved: list[int], dictionary: bytes) -> int:
        won = 0
        for text in saved:
            won += text
        raw = lzma.compress(
            dictionary,
            format=lzma.FORMAT_RAW,
            filters=[{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}],
        )
        return won - len(raw)

    as_much = 0.4 * 0.4 / 0.5 * 100
    predict = {
        "lowest": "table",
        "highest": "dialogue",
        "as_much": as_much,
        "dictionary": "grows",
    }
    return SimpleNamespace(**locals())


STYLES = [short_style, careful_style]
