"""The starter behind the last byte: 256 trees."""

from array import array


class Model:
    def __init__(self) -> None:
        self.p, self.context = array("H", [1 << 15]) * (1 << 16), 0

    def p1(self, node: int) -> int:
        return min(max(self.p[self.context | node], 32), 65503)

    def update(self, node: int, bit: int) -> None:
        at = self.context | node
        p = self.p[at]
        self.p[at] = p + (65535 - p >> 4) if bit else p - (p >> 4)

    def read(self, byte: int) -> None:
        self.context = (self.context << 8 | byte << 8) & 0xFF00


def compress(data: bytes) -> bytes:
    coded = code(len(data), data, None)
    return b"\1" + length(len(data)) + coded if len(coded) < len(data) else b"\0" + data


def decompress(archive: bytes) -> bytes:
    if archive[0] == 0:
        return archive[1:]
    n, at, shift = 0, 1, 0
    while True:
        n |= (archive[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if archive[at - 1] < 128:
            return code(n, None, archive[at:])


def length(n: int) -> bytes:
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out) + bytes([n])


def code(n: int, data: bytes | None, archive: bytes | None) -> bytes:
    """Both directions: what is written, or, of an archive, what was meant."""
    model = Model()
    low, high, out = 0, 0xFFFFFFFF, bytearray()
    point = int.from_bytes((archive or b"")[:4].ljust(4, b"\0"), "big")
    at = 4
    text = bytearray()
    for i in range(n):
        node = 1
        while node < 256:
            p1 = model.p1(node)  # of a 1, in 2^16
            cut = low + (high - low >> 16) * p1 + ((high - low & 65535) * p1 >> 16)
            if data is not None:
                bit = data[i] >> 7 - node.bit_length() + 1 & 1
            else:
                bit = int(point <= cut)
            if bit:
                high = cut
            else:
                low = cut + 1
            model.update(node, bit)
            node = 2 * node + bit
            while (low ^ high) >> 24 == 0:
                if data is not None:
                    out.append(high >> 24)
                else:
                    new = archive[at] if at < len(archive) else 0
                    point, at = (point << 8 & 0xFFFFFFFF) | new, at + 1
                low, high = low << 8 & 0xFFFFFFFF, high << 8 & 0xFFFFFFFF | 255
        text.append(node & 255)
        model.read(node & 255)
    if data is None:
        return bytes(text)
    # One byte more names a point between the ends, whatever is read after it.
    return bytes(out) + bytes([(low >> 24) + 1 & 255]) if n else b""
