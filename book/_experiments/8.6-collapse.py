"""8.6: counts of four bytes that learn from samples of counts that learned from
samples …; with the real text kept, and without. The text is downloaded.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
from experiment import SEEDS, Row, Runs, main
from numpy.typing import NDArray

from lmlib.compression.predictors import NGram
from lmlib.data.public import fetch

SIZE, HELD_OUT = 50_000, 50_000  # bytes
ORDER, GENERATIONS = 4, 5
#: How a generation's text is made: samples, as a multiple of SIZE; their temperature;
#: what is kept beside them.
WAYS = {
    "samples alone": (1, 1.0, "nothing"),
    "samples alone, T 0.8": (1, 0.8, "nothing"),
    "four times the samples": (4, 1.0, "nothing"),
    "the real text and samples": (1, 1.0, "the real text"),
    "all that was ever read": (1, 1.0, "everything"),
    "copies of the real text": (1, 1.0, "copies"),  # nothing sampled is learned from
}


def learned(text: bytes) -> Callable[[bytes], NDArray[np.float64]]:
    """The law of the next byte after a context, with what was asked kept."""
    model = NGram(ORDER)
    for byte in text:
        model.update(byte)
    return cache(model.after)


def bits(law: Callable[[bytes], NDArray[np.float64]], text: bytes) -> float:
    p = [law(text[max(t - ORDER, 0) : t])[byte] for t, byte in enumerate(text)]
    return float(-np.log2(p).mean())


def sample(
    law: Callable[[bytes], NDArray[np.float64]],
    n: int,
    temperature: float,
    rng: np.random.Generator,
) -> bytes:
    @cache
    def below(context: bytes) -> NDArray[np.float64]:
        p = law(context) ** (1 / temperature)
        return np.cumsum(p / p.sum())

    out = bytearray()
    for u in rng.random(n).tolist():
        found = int(below(bytes(out[-ORDER:])).searchsorted(u, side="right"))
        out.append(min(found, 255))  # the sum may be 1 less a rounding
    return bytes(out)


def grams(text: bytes) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The different runs of four bytes, and how often each occurs."""
    data = np.frombuffer(text, np.uint8).astype(np.uint32)
    runs = data[:-3] << 24 | data[1:-2] << 16 | data[2:-1] << 8 | data[3:]
    return np.unique(runs, return_counts=True)


def run(way: str, seed: int) -> Row:
    times, temperature, kept = WAYS[way]
    whole = fetch("tinyshakespeare.txt").read_bytes()
    held_out = whole[-HELD_OUT:]
    rng = np.random.default_rng(seed)
    start = int(rng.integers(len(whole) - HELD_OUT - SIZE))
    real = whole[start : start + SIZE]
    kinds, counts = grams(real)
    text, generations = real, []
    for _ in range(GENERATIONS):
        law = learned(text)
        written = sample(law, SIZE * times, temperature, rng)
        own = written[:SIZE]  # of as many bytes, whatever is learned from
        theirs = grams(own)[0]
        generations.append(
            {
                "bits": round(bits(law, held_out), 4),
                "own": round(bits(law, own[:HELD_OUT]), 4),
                "4-grams": len(theirs),
                "words": len(set(own.split())),
                # Of the runs that the real text has once, and ten times or more, those
                # that still come.
                "once": round(float(np.isin(kinds[counts == 1], theirs).mean()), 4),
                "often": round(float(np.isin(kinds[counts >= 10], theirs).mean()), 4),
            }
        )
        if kept == "copies":
            text += real
        else:
            before = {"nothing": b"", "the real text": real, "everything": text}[kept]
            text = before + written
    return {
        "real": {"4-grams": len(kinds), "words": len(set(real.split()))},
        "generations": generations,
    }


def runs() -> Runs:
    """Of each generation bits a byte on real text, and what it writes."""
    for seed in SEEDS:
        for way in WAYS:
            what = {"way": way, "seed": seed}
            yield what, lambda what=what: run(**what)


if __name__ == "__main__":
    main(__file__, runs())
