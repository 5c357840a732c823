"""Speed of the arithmetic coder alone, beside that of `constriction`, in Rust.

    python -m tests.benchmarks.coder [--symbols 300000] [--rounds 5]

Both write and read the same symbols, bytes drawn from one distribution, with 24 bits of
probability; what comes back is compared. Seconds are the processor's, the median.
"""

import argparse
import statistics
import time
from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate

import constriction
import numpy as np

from lmlib.compression.coder import Decoder, Encoder, frequencies
from lmlib.tables import Table


def ours(symbols: list[int], below: list[int]) -> tuple[Callable, Callable]:
    total = below[-1]

    def write() -> bytes:
        encoder = Encoder()
        for symbol in symbols:
            encoder.encode(below[symbol], below[symbol + 1], total)
        return encoder.finish()

    def read(data: bytes) -> list[int]:
        decoder, found = Decoder(data), []
        for _ in symbols:
            symbol = bisect_right(below, decoder.target(total)) - 1
            decoder.advance(below[symbol], below[symbol + 1], total)
            found.append(symbol)
        return found

    return write, read


def theirs(symbols: np.ndarray, p: np.ndarray) -> tuple[Callable, Callable]:
    model = constriction.stream.model.Categorical(p, perfect=False)

    def write() -> bytes:
        encoder = constriction.stream.queue.RangeEncoder()
        encoder.encode(symbols.astype(np.int32), model)
        return encoder.get_compressed().tobytes()

    def read(data: bytes) -> list[int]:
        decoder = constriction.stream.queue.RangeDecoder(np.frombuffer(data, np.uint32))
        return decoder.decode(model, len(symbols)).tolist()

    return write, read


def seconds(rounds: int, work: Callable, *given: object) -> float:
    found = []
    for _ in range(rounds):
        began = time.process_time()
        work(*given)
        found.append(time.process_time() - began)
    return statistics.median(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--symbols", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(256, 0.1))
    symbols = rng.choice(256, size=given.symbols, p=p)
    wanted, below = symbols.tolist(), [0, *accumulate(frequencies(p).tolist())]
    least = -np.log2(p[symbols]).sum()
    rows = []
    for name, (write, read) in {
        "lmlib": ours(wanted, below),
        "constriction": theirs(symbols, p),
    }.items():
        data = write()
        assert read(data) == wanted, f"{name} does not give the symbols back"
        seconds_each = seconds(given.rounds, write), seconds(given.rounds, read, data)
        written, read_back = (given.symbols / 1e6 / s for s in seconds_each)
        rows.append(
            {
                "coder": name,
                "bits above −Σ log₂ p": f"{8 * len(data) - least:.1f}",
                "MB/s written": f"{written:.2f}",
                "MB/s read": f"{read_back:.2f}",
            }
        )
    print(f"{given.symbols:,} symbols of {least / given.symbols:.3f} bits:")
    print(Table(rows))


if __name__ == "__main__":
    main()
