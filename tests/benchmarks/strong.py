"""Bits and seconds of the strong predictor beside PPMd and xz, on public texts.

    python -m tests.benchmarks.strong [NAME …]

Names are those of `lmlib.data.public.FILES`, or `topics`, the language reference that
comes with Python; without any, five texts. PPMd (variant H) has the order from 2 to 32
that is best for the text, found in its favour and not timed, and all the memory that
it wants. Seconds are those of the processor, to compress and to read again; what comes
back is compared. The last line is the most memory that this process had.
"""

import argparse
import lzma
import pydoc_data.topics
import resource
import time
from collections.abc import Callable

import pyppmd

from lmlib.compression import strong
from lmlib.data.public import fetch
from lmlib.tables import Table

TEXTS = (
    "alice29.txt",
    "tinyshakespeare.txt",
    "lunyu.json",
    "wikitext-2-valid.txt",
    "topics",
)
ORDERS = (2, 3, 4, 5, 6, 8, 12, 16, 24, 32)
MEMORY = 256 << 20  # of PPMd: more than these texts fill
Codec = tuple[str, Callable[[], bytes], Callable[[bytes], bytes]]


def text(name: str) -> bytes:
    if name == "topics":
        return "\n".join(pydoc_data.topics.topics.values()).encode()
    return fetch(name).read_bytes()


def codecs(data: bytes) -> list[Codec]:
    """Name, compress, decompress."""

    def ppmd(order: int) -> bytes:
        encoder = pyppmd.Ppmd7Encoder(order, MEMORY)
        return encoder.encode(data) + encoder.flush()

    order = min(ORDERS, key=lambda order: len(ppmd(order)))

    def from_ppmd(payload: bytes) -> bytes:
        return pyppmd.Ppmd7Decoder(order, MEMORY).decode(payload, len(data))

    hardest = 9 | lzma.PRESET_EXTREME
    return [
        ("xz -9e", lambda: lzma.compress(data, preset=hardest), lzma.decompress),
        (f"PPMd, order {order}", lambda: ppmd(order), from_ppmd),
        (
            "strong",
            lambda: strong.encode(data),
            lambda payload: strong.decode(payload, len(data)),
        ),
    ]


def row(name: str, data: bytes, codec: Codec) -> dict[str, str]:
    method, compress, decompress = codec
    began = time.process_time()
    payload = compress()
    between = time.process_time()
    back = decompress(payload)
    seconds = between - began, time.process_time() - between
    assert back == data, f"{method} does not give {name} back"
    return {
        "text": name,
        "bytes": f"{len(data):,}",
        "": method,
        "bits a byte": f"{8 * len(payload) / len(data):.4f}",
        "s to write": f"{seconds[0]:.2f}",
        "s to read": f"{seconds[1]:.2f}",
        "KB/s": f"{len(data) / 1000 / max(seconds):,.1f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    strong.encode(b"compiled before the clock runs")
    strong.decode(b"", 9)
    rows = []
    for name in parser.parse_args().names or TEXTS:
        data = text(name)
        rows += [row(name, data, codec) for codec in codecs(data)]
    print(Table(rows))
    # Linux counts in KiB.
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"at most {most:.0f} MiB, with PPMd's {MEMORY >> 20}")


if __name__ == "__main__":
    main()
