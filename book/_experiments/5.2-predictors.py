"""5.2: bits a byte and bytes a second of every predictor, on six public texts.

Whole files where a predictor is fast enough; the first 12,000 bytes where a transformer
takes part, and of mixers too, to compare. Seconds are those of the processor, to
compute the code length or, for classical codecs, to compress. There is no chance but in
the first weights of the transformer that learns while it codes: it alone has seeds.
"""

import pydoc_data.topics
import time
from collections.abc import Callable, Iterator
from functools import cache, partial

from experiment import SEEDS, Row, Runs, main, shipped_weights

from lmlib.compression import ledger, strong
from lmlib.compression.adapting import Adapting
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
POEMS = "tangshi300.json"  # Chinese, of which the shipped GPT has read nothing
PREFIX = 12_000  # bytes

COUNTS: dict[str, Callable[[], Predictor]] = {
    "KT, order 2": lambda: Bits(KT(2)),
    "KT bit by bit, order 2": lambda: KTBits(2, alpha=0.1),
    "KT bit by bit, order 3": lambda: KTBits(3, alpha=0.1),
    "Witten–Bell, order 4": lambda: Bits(NGram(4)),
    "Witten–Bell, order 6": lambda: Bits(NGram(6)),
}
FOR_LARGE = ("KT bit by bit, order 3", "Witten–Bell, order 4")  # the best of alice29


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
    return {"bits": found, "seconds": time.process_time() - began}


def run(make: Callable[[], Predictor], data: Callable[[], bytes]) -> Row:
    predictor = make()
    return timed(partial(bits, predictor), data())


def run_strong(data: Callable[[], bytes]) -> Row:
    strong.code_length(b"compiled before the clock runs")
    return timed(strong.code_length, data())


def run_codec(name: str, data: Callable[[], bytes]) -> Row:
    """The variant with the shortest file."""
    found = [
        {**timed(lambda d, c=compress: 8 * len(c(d)), data()), "variant": variant}
        for variant, compress in ledger.compressors()[name]
    ]
    return min(found, key=lambda row: row["bits"])


def of_text(name: str, most: int | None = None) -> tuple[Row, Callable[[], bytes]]:
    what = {"text": name, "bytes": len(text(name, most))}
    return what, partial(text, name, most)


def neural() -> Iterator[tuple[Row, Callable[[], Row]]]:
    weights = shipped_weights("gpt")
    for name in (*TEXTS, POEMS):
        what, data = of_text(name, PREFIX)
        ours = {
            "GPT": lambda: Bits(NextByte(gpt())),
            "GPT + small mixer": lambda: beside_mixed(gpt()),
        }
        for predictor, make in ours.items():
            row = {**what, "predictor": predictor, "weights": weights}
            yield row, partial(run, make, data)
        yield {**what, "predictor": "small mixer"}, partial(run, Mixed, data)


def adapting(name: str, most: int | None, seed: int) -> tuple[Row, Callable[[], Row]]:
    what, data = of_text(name, most)
    return (
        {**what, "predictor": "adapting", "seed": seed},
        partial(run, lambda: Bits(Adapting(seed=seed)), data),
    )


def runs() -> Runs:
    yield from neural()
    for name in TEXTS:
        what, data = of_text(name)
        few = what["bytes"] > 500_000
        for codec in ledger.compressors():
            yield {**what, "predictor": codec}, partial(run_codec, codec, data)
        yield {**what, "predictor": "small mixer"}, partial(run, Mixed, data)
        for predictor in FOR_LARGE if few else COUNTS:
            make = COUNTS[predictor]
            yield {**what, "predictor": predictor}, partial(run, make, data)
    for seed in SEEDS:
        yield adapting(TEXTS[0], PREFIX, seed)
    for name in ("topics", POEMS):
        yield adapting(name, PREFIX, SEEDS[0])
    for name in (*TEXTS, POEMS):
        for most in (PREFIX, None):
            what, data = of_text(name, most)
            yield {**what, "predictor": "strong"}, partial(run_strong, data)


if __name__ == "__main__":
    main(__file__, runs())
