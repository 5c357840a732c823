"""8.6: a test set in the training text: once, ten times, and with words left out."""

import copy
import re
from functools import cache
from itertools import count
from typing import Any

import numpy as np
import torch
from experiment import SEEDS, Row, Runs, main, shipped_weights

from lmlib.compression.predictors import NGram
from lmlib.data.documents import Document, digest, n_bytes, shared
from lmlib.data.installed import SEEN, installed_docstrings
from lmlib.data.load import encode_documents
from lmlib.losses import bits
from lmlib.objectives.causal import CausalLM
from lmlib.shipped import shipped
from lmlib.training.loop import train, validation_loss
from lmlib.training.settings import Settings

LEARN, TEST = 200_000, 20_000  # bytes
ORDER = 5
EACH = 7  # words, of which one is left out: every run of eight is broken
#: How often the test set is in the text, and whether words are left out.
WAYS = {
    "clean": (0, False),
    "once": (1, False),
    "ten times": (10, False),
    "ten times, a word in seven left out": (10, True),
}


def some(documents: list[Document], most: int) -> list[Document]:
    sizes = np.cumsum([len(d.text.encode()) for d in documents])
    return documents[: int(np.searchsorted(sizes, most)) + 1]


@cache
def texts(seed: int) -> tuple[list[Document], list[Document], list[Document]]:
    """What is learned from, the test set, and one like it that stays clean."""
    rng = np.random.default_rng(seed)

    def drawn(split: Any) -> list[Document]:
        found = [d for d in installed_docstrings(split) if len(d.text) >= 200]
        return [found[i] for i in rng.permutation(len(found))]

    learn, others = some(drawn("train"), LEARN), drawn("test")
    test = some(others, TEST)
    return learn, test, some(others[len(test) :], TEST)


def with_words_missing(document: Document, first: int) -> Document:
    """Without each seventh word, from the `first` on."""
    numbers = count()
    return Document(
        re.sub(
            r"\w+",
            lambda word: "" if next(numbers) % EACH == first else word[0],
            document.text,
        )
    )


def contaminated(way: str, seed: int) -> list[Document]:
    times, missing = WAYS[way]
    learn, test, _ = texts(seed)
    copies = [
        with_words_missing(d, i % EACH) if missing else d
        for i in range(times)
        for d in test
    ]
    mixed = [*learn, *copies]
    order = np.random.default_rng(seed).permutation(len(mixed))
    return [mixed[i] for i in order]


def ngram_bits(learn: list[Document], tests: list[list[Document]]) -> list[float]:
    """Bits a byte of each test; the model doesn't learn from it."""
    model = NGram(ORDER)
    for byte in "\n\n".join(d.text for d in learn).encode():
        model.update(byte)
    found = []
    for test in tests:
        text = "\n\n".join(d.text for d in test).encode()
        p = [model.after(text[max(t - ORDER, 0) : t])[b] for t, b in enumerate(text)]
        found.append(float(-np.log2(p).mean()))
    return found


def gpt_bits(
    learn: list[Document], tests: list[list[Document]], seed: int
) -> list[float]:
    """The shipped GPT after it has read all of this once."""
    kept: Any = shipped("gpt")
    model = copy.deepcopy(kept.model)

    def objective(documents: list[Document]) -> CausalLM:
        corpus = encode_documents(documents, kept.tokenizer)
        return CausalLM(
            corpus, kept.tokenizer.special, length=128, batch_size=16, seed=seed
        )

    reading = objective(learn)
    settings = Settings(
        steps=-(-reading.n_rows // 16), lr=1e-3, warmup=3, precision="fp32", seed=seed
    )
    train(model, reading, settings)
    model.eval()
    found = []
    for test in tests:
        measured = objective(test)
        batches = list(measured.evaluation_batches())
        with torch.no_grad():
            nats = validation_loss(measured, lambda b=batches: b)(model)["lm"]
        n = sum(measured.counts(batch)["lm"] for batch in batches)
        found.append(bits(nats) * n / n_bytes(test))
    return found


def run(way: str, seed: int) -> Row:
    learn, (_, test, clean) = contaminated(way, seed), texts(seed)
    share = shared([d.text for d in test], [d.text for d in learn])
    tests = [test, clean]
    return {
        "texts": digest([*texts(seed)[0], *test, *clean]),
        "bytes": [n_bytes(learn), n_bytes(test), n_bytes(clean)],
        "containment": round(float(share.mean()), 4),
        "seen": round(float((share >= SEEN).mean()), 4),  # of documents
        "n-gram": [round(b, 4) for b in ngram_bits(learn, tests)],
        "GPT": [round(b, 4) for b in gpt_bits(learn, tests, seed)],
    }


def runs() -> Runs:
    """Bits a byte of the test set and of one that stays clean; what is seen of it."""
    torch.set_num_threads(1)
    weights = shipped_weights("gpt")
    for seed in SEEDS:
        for way in WAYS:
            what = {"way": way, "seed": seed, "weights": weights}
            yield what, lambda way=way, seed=seed: run(way, seed)


if __name__ == "__main__":
    main(__file__, runs())
