"""2.1: what a careless split of the same documentation is worth. Nothing is trained."""

from functools import cache

import numpy as np
from experiment import SEEDS, Row, Runs, main
from numpy.typing import NDArray

from lmlib.compression.predictors import NGram
from lmlib.data.documents import Document, digest, shared, unique
from lmlib.data.installed import DUPLICATE, SEEN, found_docstrings, module_of

LEARN, TEST = 3_000_000, 100_000  # bytes
WINDOW, STRETCH = 512, 2**16  # characters
ORDER = 6
SPLITS = ("modules apart", "docstrings at random", "windows", "overlapping windows")
BYTE = np.uint64(8)  # bits, to shift by


def runs_of(data: NDArray[np.uint8], k: int) -> NDArray[np.uint64]:
    """Each run of k + 1 bytes as one number, k ≤ 7."""
    code = np.zeros(max(len(data) - k, 0), np.uint64)
    for j in range(k + 1):
        code = code << BYTE | data[j : len(data) - k + j].astype(np.uint64)
    return code


def bits_by_order(learn: bytes, test: bytes) -> list[float]:
    """Bits a byte of `test` for `NGram`s of order 0, 1, … `ORDER` that read `learn`.

    What `NGram` says with counts in sorted arrays: it doesn't learn from the test.
    """
    before, now = (np.frombuffer(b, np.uint8) for b in (learn, test))
    p = np.full(len(now), 1 / 256)
    bits = []
    for k in range(ORDER + 1):
        grams, counts = np.unique(runs_of(before, k), return_counts=True)
        contexts, first = np.unique(grams >> BYTE, return_index=True)
        n = np.add.reduceat(counts, first)
        t = np.diff(np.append(first, len(grams)))
        asked = runs_of(now, k)  # from byte k on: the first k have less context
        of_run = np.minimum(np.searchsorted(grams, asked), len(grams) - 1)
        count = np.where(grams[of_run] == asked, counts[of_run], 0)
        context = asked >> BYTE
        of_context = np.minimum(np.searchsorted(contexts, context), len(contexts) - 1)
        known = contexts[of_context] == context
        n, t = n[of_context], t[of_context]
        p[k:] = np.where(known, (count + t * p[k:]) / (n + t), p[k:])
        bits.append(float(-np.log2(p).mean()))
    return bits


def check_counts(learn: bytes, test: bytes) -> None:
    """That this is the library's n-gram, on a little text."""
    ngram = NGram(ORDER)
    for byte in learn:
        ngram.update(byte)
    p = [ngram.after(test[max(t - ORDER, 0) : t])[b] for t, b in enumerate(test)]
    assert abs(-np.log2(p).mean() - bits_by_order(learn, test)[-1]) < 1e-9


def up_to(texts: list[str], most: int) -> int:
    """How many texts, from the first on, have `most` bytes together."""
    return int(np.searchsorted(np.cumsum([len(t.encode()) for t in texts]), most)) + 1


@cache
def everything() -> tuple[list[Document], list[Document]]:
    """What was found, and what is left of it without duplicates."""
    found = found_docstrings()
    kept = unique([d.text for d in found], overlap=DUPLICATE)
    return found, [found[i] for i in kept]


def divided(split: str, seed: int) -> tuple[list[str], list[str]]:
    """Texts to learn from and to be tested with."""
    rng = np.random.default_rng(seed)
    found, kept = everything()
    if split == "modules apart":
        modules: dict[str, list[str]] = {}
        for document in kept:
            modules.setdefault(module_of(document), []).append(document.text)
        order = rng.permutation(sorted(modules)).tolist()
        sizes = {m: sum(len(t.encode()) for t in modules[m]) for m in order}
        # One large module would be the whole test.
        small = [m for m in order if sizes[m] < TEST // 5]
        n = int(np.searchsorted(np.cumsum([sizes[m] for m in small]), 2 * TEST))
        held_out = set(small[:n])
        learn = [t for m in order if m not in held_out for t in modules[m]]
        learn = learn[: up_to(learn, LEARN)]
        test = [t for m in small[:n] for t in modules[m]]
        seen = shared(test, learn) >= SEEN
        test = [t for t, drop in zip(test, seen, strict=True) if not drop]
        return learn, test[: up_to(test, TEST)]
    texts = [d.text for d in found]
    if split != "docstrings at random":
        # Stretches of the text, so many that all windows but the test's are learned
        # from: of windows that overlap by half, half as many.
        text = "\n\n".join(texts)
        step = WINDOW if split == "windows" else WINDOW // 2
        n = (LEARN + TEST) * step // WINDOW // STRETCH + 1
        begins = rng.permutation(len(text) // STRETCH)[:n] * STRETCH
        texts = [
            text[i : i + WINDOW]
            for begin in begins.tolist()
            for i in range(begin, begin + STRETCH - WINDOW + 1, step)
        ]
    texts = [texts[i] for i in rng.permutation(len(texts))]
    n = up_to(texts, TEST)
    return texts[n:][: up_to(texts[n:], LEARN)], texts[:n]


def runs() -> Runs:
    """Bits a byte of n-grams by their order, and how much of the test was seen."""

    def run(split: str, seed: int) -> Row:
        learn, test = divided(split, seed)
        before = "\n\n".join(learn).encode()[:LEARN]
        now = "\n\n".join(test).encode()[:TEST]
        check_counts(before[:20_000], now[:2_000])
        return {
            "found": digest(everything()[0]),
            "bytes": [len(before), len(now)],
            "bits": bits_by_order(before, now),
            "half seen": float((shared(test, learn) >= DUPLICATE).mean()),
        }

    for seed in SEEDS:
        for split in SPLITS:
            what = {"split": split, "seed": seed}
            yield what, lambda what=what: run(**what)


if __name__ == "__main__":
    main(__file__, runs())
