"""Hostile: asks for a compressor that somebody else wrote, wherever one may be."""

import codecs


def compress(data: bytes) -> bytes:
    for name in ("lzma", "bz2", "zlib"):
        try:
            return name.encode() + b" " + __import__(name).compress(data)
        except ImportError:
            pass
    return b"codec " + codecs.encode(data, "bz2")


def decompress(archive: bytes) -> bytes:
    name, _, rest = archive.partition(b" ")
    if name == b"codec":
        return codecs.decode(rest, "bz2")
    return __import__(name.decode()).decompress(rest)
