"""Tokens a second of making batches, on one core, for each objective.

    python -m tests.benchmarks.objectives

A model on a CPU trains at some 10⁴ tokens a second, on a GPU at some 10⁶: batches must
not be what it waits for. The corpus is random: making batches does not look at what the
tokens say. The median of 200 batches of 32 rows of 128 tokens, in seconds of the CPU.
"""

import statistics
import time
from typing import Any

import numpy as np

from lmlib.data.corpus import Corpus, SpecialTokens
from lmlib.objectives.causal import CausalLM
from lmlib.objectives.compression import CompressionExample, SentenceCompression
from lmlib.objectives.mlm import MaskedLM
from lmlib.objectives.nsp import NextSentence
from lmlib.objectives.rtd import ReplacedTokens
from lmlib.objectives.sequences import PackedSequences
from lmlib.objectives.sop import SentenceOrder
from lmlib.objectives.span import SpanCorruption

VOCAB_SIZE, SENTINELS = 8192, list(range(8000, 8100))
SPECIAL = SpecialTokens(pad=0, unk=1, cls=2, sep=3, mask=4, bos=5, eos=6)
ROWS: dict[str, Any] = {"length": 128, "batch_size": 32}


def random_corpus(n_sentences: int = 200_000, n_documents: int = 5_000) -> Corpus:
    """About 5 million tokens in sentences of 25 on average."""
    rng = np.random.default_rng(0)
    sentences = np.cumsum(np.append(0, rng.geometric(1 / 25, size=n_sentences)))
    inner = rng.choice(np.arange(1, n_sentences), n_documents - 1, replace=False)
    n = int(sentences[-1])
    word_starts = rng.random(n) < 0.7
    word_starts[sentences[:-1]] = True
    return Corpus(
        tokens=rng.integers(10, 8000, size=n).astype(np.int32),
        sentences=sentences,
        documents=np.concatenate(([0], np.sort(inner), [n_sentences])),
        word_starts=word_starts,
        n_bytes=4 * n,
    )


def random_example(rng: np.random.Generator) -> CompressionExample:
    n = int(rng.integers(10, 100))
    word_starts = rng.random(n) < 0.7
    word_starts[0] = True
    keep = rng.random(int(word_starts.sum())) < 0.5
    return CompressionExample(rng.integers(10, 8000, size=n), word_starts, keep)


def main() -> None:
    corpus, rng = random_corpus(), np.random.default_rng(1)
    packed = PackedSequences(corpus, SPECIAL, **ROWS)
    pairs = NextSentence(corpus, SPECIAL, **ROWS)
    ordered = SentenceOrder(corpus, SPECIAL, **ROWS)
    examples = [random_example(rng) for _ in range(3000)]

    def masked(sequences: Any, **options: Any) -> MaskedLM:
        return MaskedLM(sequences, vocab_size=VOCAB_SIZE, **options)

    objectives = {
        "causal": CausalLM(corpus, SPECIAL, **ROWS),
        "causal, packed documents": CausalLM(corpus, SPECIAL, packed=True, **ROWS),
        "MLM": masked(packed),
        "MLM, whole words": masked(packed, whole_words=True),
        "NSP": pairs,
        "SOP": ordered,
        "MLM + NSP": masked(pairs),
        "MLM + SOP": masked(ordered),
        "RTD": ReplacedTokens(masked(packed, mask_share=1.0, random_share=0.0)),
        "span corruption": SpanCorruption(corpus, SPECIAL, sentinels=SENTINELS, **ROWS),
        "sentence compression": SentenceCompression(examples, SPECIAL, **ROWS),
    }
    print(f"{'':26}ms a batch   tokens/s   of these real")
    for name, objective in objectives.items():
        objective.batch(0)  # the order of the epoch is made once
        times, real = [], []
        for step in range(1, 201):
            begin = time.process_time()
            batch = objective.batch(step)
            times.append(time.process_time() - begin)
            mask = batch.get("attention_mask")
            real.append(1.0 if mask is None else mask.float().mean().item())
        median = statistics.median(times)
        tokens = 32 * 128 / median
        print(f"{name:26}{1000 * median:10.2f}{tokens:11,.0f}{np.mean(real):16.0%}")


if __name__ == "__main__":
    main()
