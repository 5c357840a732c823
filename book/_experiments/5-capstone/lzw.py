"""A dictionary of what came before, without probabilities (Welch 1984)."""


def compress(data: bytes) -> bytes:
    codes, width = {bytes([i]): i for i in range(256)}, 9
    bits, n, prefix = 0, 0, b""
    for i in range(len(data)):
        longer = prefix + data[i : i + 1]
        if longer in codes:
            prefix = longer
            continue
        bits, n = bits << width | codes[prefix], n + width
        codes[longer] = len(codes)
        width = len(codes).bit_length()
        prefix = data[i : i + 1]
    if prefix:
        bits, n = bits << width | codes[prefix], n + width
    pad = -n % 8
    return bytes([pad]) + (bits << pad).to_bytes((n + pad) // 8, "big")


def decompress(archive: bytes) -> bytes:
    bits = int.from_bytes(archive[1:], "big")
    left = 8 * len(archive) - 8
    end = archive[0]
    words, out, before = [bytes([i]) for i in range(256)], [], b""
    width = 9
    while left - width >= end:
        left -= width
        code = bits >> left & (1 << width) - 1
        word = words[code] if code < len(words) else before + before[:1]
        if before:
            words.append(before + word[:1])
        out.append(word)
        before = word
        width = (len(words) + 1).bit_length()
    return b"".join(out)
