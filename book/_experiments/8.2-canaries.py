"""8.2: how exposed secrets are that a model has read k times, and what remedies do.

The shipped GPT, which knows documentation, goes on for one pass over 120 KB of plays
(tiny Shakespeare, which is downloaded), with canaries among the speeches. Each arm is
the same but for one thing.
"""

import copy
from functools import cache
from typing import Any

import numpy as np
import torch
from experiment import SEEDS, Row, Runs, main, shipped_weights
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from lmlib.data.documents import Document, n_bytes
from lmlib.data.load import encode_documents, load_documents
from lmlib.losses import bits_per_byte
from lmlib.models.scoring import text_bits
from lmlib.objectives.causal import CausalLM
from lmlib.privacy import canaries, code_bits, exposure, noisy_gradient
from lmlib.shipped import shipped

COPIES = (0, 1, 4, 16, 64)
EACH, TEXT = 4, 120_000
CODES = [f"{code:04d}" for code in range(10**4)]
LR, BATCH, CLIP = 1e-3, 16, 1.0
MEMBERS, LEAST, MOST = 200, 150, 220  # documents, and letters of each
ARMS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "duplicates removed": {"deduplicated": True},
    "copies numbered, duplicates removed": {"numbered": True, "deduplicated": True},
    "noise 0.1": {"noise": 0.1},
    "noise 0.5": {"noise": 0.5},
}


@cache
def speeches() -> tuple[list[Document], list[Document]]:
    """What is read and as much that is not, apart by chance alone."""
    (whole,) = load_documents("tiny-shakespeare", "all")
    texts = whole.text.strip().split("\n\n")
    order = np.random.default_rng(0).permutation(len(texts))
    shuffled = [Document(texts[i], f"speech {i}") for i in order]
    sizes = np.cumsum([len(d.text.encode()) for d in shuffled])
    first, second = np.searchsorted(sizes, (TEXT, 2 * TEXT))
    return shuffled[:first], shuffled[first:second]


def text_with(seed: int, *, numbered: bool, deduplicated: bool) -> list[Document]:
    """The speeches and the canaries' copies, shuffled."""
    rng = np.random.default_rng(seed)
    copies = []
    for i, canary in enumerate(canaries(EACH * len(COPIES), seed=seed)):
        copies += [canary.text] * COPIES[i // EACH]
    if numbered:
        numbers = rng.choice(9000, len(copies), replace=False) + 1000
        copies = [f"Entry {n}: {c}" for n, c in zip(numbers, copies, strict=True)]
    if deduplicated:
        copies = list(dict.fromkeys(copies))
    mixed = [
        *speeches()[0],
        *(Document(c, f"canary {i}") for i, c in enumerate(copies)),
    ]
    return [mixed[i] for i in rng.permutation(len(mixed))]


class Encoder:
    """The shipped tokenizer, which cuts before a blank: it reads each code once."""

    def __init__(self) -> None:
        self.tokenizer = shipped("gpt").tokenizer
        self.special = self.tokenizer.special
        self.piece = cache(lambda text: self.tokenizer.encode(text).tolist())

    def encode(self, text: str) -> list[int]:
        stem, blank, code = text.rpartition(" ")
        return [*self.piece(stem), *self.piece(blank + code)]


@cache
def encoder() -> Any:
    quick: Any = Encoder()
    for code in ("", "0000", "4071"):
        text = canaries(1)[0].prompt + code
        assert quick.encode(text) == quick.tokenizer.encode(text).tolist()
    return quick


def train(documents: list[Document], seed: int, noise: float | None) -> Any:
    kept: Any = shipped("gpt")
    model = copy.deepcopy(kept.model).train()
    tokenizer = kept.tokenizer
    objective = CausalLM(
        encode_documents(documents, tokenizer),
        tokenizer.special,
        length=128,
        batch_size=BATCH,
        packed=True,
        seed=seed,
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR)
    generator = torch.Generator().manual_seed(seed)
    # Whole batches only: no row comes twice in a pass, which `epsilon` rests on.
    for step in range(objective.n_rows // BATCH):
        batch = objective.batch(step)
        if noise is None:
            loss = objective.losses(model, batch)["lm"] / objective.counts(batch)["lm"]
            optimizer.zero_grad()
            loss.backward()
        else:
            rows = ({k: v[[i]] for k, v in batch.items()} for i in range(BATCH))
            losses = (
                objective.losses(model, r)["lm"] / objective.counts(r)["lm"]
                for r in rows
            )
            noisy_gradient(model, losses, clip=CLIP, noise=noise, generator=generator)
        optimizer.step()
    return model.eval()


@cache
def members() -> list[str]:
    """The beginnings of documents that are read, then of as many that are not."""
    found = []
    for documents in speeches():
        long = [d.text for d in documents if len(d.text) >= LEAST]
        found += [text[:MOST] for text in long[:MEMBERS]]
    assert len(found) == 2 * MEMBERS
    return found


def bits_a_token(model: Any) -> NDArray[np.float64]:
    pairs = [("", text) for text in members()]
    costs = text_bits(model, shipped("gpt").tokenizer, pairs)
    return np.array([float(c.mean()) for c in costs])


def held_out_bits(model: Any) -> float:
    tokenizer = shipped("gpt").tokenizer
    objective = CausalLM(
        encode_documents(speeches()[1], tokenizer),
        tokenizer.special,
        length=128,
        batch_size=32,
        packed=True,
    )
    with torch.no_grad():
        total = sum(
            float(objective.losses(model, batch)["lm"])
            for batch in objective.evaluation_batches()
        )
    return bits_per_byte(total, objective.n_bytes)


def measure(model: Any, seed: int) -> Row:
    found: dict[str, list[float]] = {str(k): [] for k in COPIES}
    for i, canary in enumerate(canaries(EACH * len(COPIES), seed=seed)):
        costs = code_bits(model, encoder(), canary.prompt, CODES)
        value = exposure(costs, CODES.index(canary.code))
        found[str(COPIES[i // EACH])].append(round(value, 3))
    before, after = bits_a_token(shipped("gpt").model), bits_a_token(model)
    read = np.repeat([1, 0], MEMBERS)
    return {
        "exposure": found,
        "held-out bits a byte": round(held_out_bits(model), 5),
        "membership by bits": round(float(roc_auc_score(read, -after)), 4),
        "membership by bits saved": round(
            float(roc_auc_score(read, before - after)), 4
        ),
    }


def run(
    seed: int,
    *,
    numbered: bool = False,
    deduplicated: bool = False,
    noise: float | None = None,
) -> Row:
    documents = text_with(seed, numbered=numbered, deduplicated=deduplicated)
    torch.manual_seed(seed)
    model = train(documents, seed, noise)
    return {"bytes": n_bytes(documents), **measure(model, seed)}


def runs() -> Runs:
    weights = shipped_weights("gpt")
    what = {"arm": "before", "seed": 0, "weights": weights}
    yield what, lambda: measure(shipped("gpt").model, 0)
    for seed in SEEDS:
        for arm in ARMS:
            what = {"arm": arm, "seed": seed, "weights": weights}
            yield what, lambda arm=arm, seed=seed: run(seed, **ARMS[arm])


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(__file__, runs())
