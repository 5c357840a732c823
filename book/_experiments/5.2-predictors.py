"""5.2: bits a byte and bytes a second of predictors, on six public texts.

Whole files, and the first 12,000 bytes, for a transformer reads some hundred bytes a
second; slow predictors read a text or two. Seconds are those of the processor, to
compute the code length or, for classical codecs, to compress. There is no chance in it,
and so no seed.
"""

import pydoc_data.topics
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from experiment import Row, Runs, main, shipped_weights

from lmlib.compression import ledger, strong
from lmlib.compression.mixing import Mixed
from lmlib.compression.neural import NextByte, Transformer, beside_mixed, load
from lmlib.compression.predictors import KT, Bits, KTBits, NGram, Predictor, bits
from lmlib.data.public import fetch

TEXTS = (
    "alice29.txt",
    "tinyshakespeare.txt",
    "lunyu.json",
    "wikitext-2-valid.txt",
    "topics",  # the language reference that comes with Python
)
SLOW = TEXTS[:1]  # what the slow ones read
POEMS = "tangshi300.json"  # Chinese, of which the shipped GPT has read nothing
FOR_GPT = (*SLOW, "topics")
PREFIX = 12_000  # bytes
CODECS = ("gzip", "bzip2", "xz", "zstd", "brotli", "PPMd")

COUNTS: dict[str, Callable[[], Predictor]] = {
    "KT, order 2": lambda: Bits(KT(2)),
    "KT bit by bit, order 2": lambda: KTBits(2, alpha=0.1),
    "KT bit by bit, order 3": lambda: KTBits(3, alpha=0.1),
    "Witten–Bell, order 4": lambda: Bits(NGram(4)),
}


def text(name: str, most: int | None) -> bytes:
    if name == "topics":
        data = "\n".join(pydoc_data.topics.topics.values()).encode()
    else:
        data = fetch(name).read_bytes()
    return data[:most]


@cache
def gpt() -> Transformer:
    return load(None)


def timed(code_length: Callable[[bytes], float], data: bytes) -> Row:
    began = time.process_time()
    found = code_length(data)
    seconds = time.process_time() - began
    return {"bytes": len(data), "bits": found, "seconds": seconds}


def run(make: Callable[[], Predictor], name: str, most: int | None) -> Row:
    return timed(partial(bits, make()), text(name, most))


def run_strong(name: str, most: int | None) -> Row:
    strong.code_length(b"compiled before the clock runs")
    return timed(strong.code_length, text(name, most))


def run_codec(codec: str, name: str, most: int | None) -> Row:
    """The variant with the shortest file."""
    data = text(name, most)
    found = [
        {**timed(lambda d, c=compress: 8 * len(c(d)), data), "variant": variant}
        for variant, compress in ledger.compressors()[codec]
    ]
    return min(found, key=lambda row: row["bits"])


def runs() -> Runs:
    def what(name: str, most: int | None, predictor: str, **other: Any) -> Row:
        row = {"text": name, "most": most, "predictor": predictor}
        return {**row, "seed": None, "weights": None, **other}

    weights = shipped_weights("gpt")
    ours: dict[str, Callable[[], Predictor]] = {
        "GPT": lambda: Bits(NextByte(gpt())),
        "GPT + small mixer": lambda: beside_mixed(gpt()),
    }
    for name in (*TEXTS, POEMS):
        for codec in CODECS:
            row = what(name, PREFIX, codec)
            yield row, partial(run_codec, codec, name, PREFIX)
        yield what(name, PREFIX, "small mixer"), partial(run, Mixed, name, PREFIX)
        yield what(name, PREFIX, "strong"), partial(run_strong, name, PREFIX)
        for predictor, make in ours.items() if name in FOR_GPT else ():
            row = what(name, PREFIX, predictor, weights=weights)
            yield row, partial(run, make, name, PREFIX)
    for name in TEXTS:
        for codec in CODECS:
            yield what(name, None, codec), partial(run_codec, codec, name, None)
        for predictor, make in COUNTS.items() if name in SLOW else ():
            yield what(name, None, predictor), partial(run, make, name, None)
        yield what(name, None, "small mixer"), partial(run, Mixed, name, None)
        yield what(name, None, "strong"), partial(run_strong, name, None)


if __name__ == "__main__":
    main(__file__, runs())
