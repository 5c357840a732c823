"""6.1: what seven ways to write cost under the model that wrote, beside what people
wrote; and the same prompts after some steps on Shakespeare, which is downloaded.
"""

import copy
import re
from functools import cache
from typing import Any

import numpy as np
import torch
from experiment import SEEDS, Row, Runs, main, shipped_weights
from torch import Tensor

from lmlib.data.installed import installed_docstrings
from lmlib.data.load import load_corpus
from lmlib.models.generate import generate
from lmlib.models.scoring import continuation_bits
from lmlib.objectives.causal import CausalLM
from lmlib.shipped import shipped

PROMPTS, GIVEN, WRITTEN = 100, 32, 64
WAYS: dict[str, dict[str, Any]] = {
    "T 0.7": {"temperature": 0.7},
    "T 1": {"temperature": 1.0},
    "T 1.3": {"temperature": 1.3},
    "top-k 40": {"temperature": 1.0, "top_k": 40},
    "top-p 0.95": {"temperature": 1.0, "top_p": 0.95},
    "top-p 0.9": {"temperature": 1.0, "top_p": 0.9},
}
STYLE_STEPS, STYLE_LR = 300, 3e-4
PARAMETER = re.compile(r"^ *\*{0,2}(\w+) ?: ", re.M)  # `name : what it is`


@cache
def held_out() -> tuple[Tensor, list[str]]:
    """Prompts with what people wrote after them, [100, 97], and the whole docstrings.

    They are taken at even distances from all that are long enough.
    """
    tokenizer = shipped("gpt").tokenizer
    rows, texts = [], []
    for document in installed_docstrings("test"):
        ids = tokenizer.encode(document.text)[: GIVEN + WRITTEN].tolist()
        if len(ids) == GIVEN + WRITTEN:
            rows.append([tokenizer.special.bos, *ids])
            texts.append(document.text)
    chosen = np.linspace(0, len(rows) - 1, PROMPTS).astype(int).tolist()
    return torch.tensor([rows[i] for i in chosen]), [texts[i] for i in chosen]


def distinct(tokens: list[int]) -> float:
    """The share of 3-grams that are different ones."""
    found = list(zip(tokens, tokens[1:], tokens[2:], strict=False))
    return len(set(found)) / len(found)


def measure(model: Any, prompts: Tensor, written: Tensor) -> Row:
    bits = continuation_bits(model, prompts, written)
    tokenizer, texts = shipped("gpt").tokenizer, held_out()[1]
    named = [
        (name, text)
        for ids, text in zip(written, texts, strict=True)
        for name in PARAMETER.findall(tokenizer.decode(ids.tolist()))
    ]
    return {
        "bits": [round(b, 4) for b in bits.mean(dim=1).tolist()],
        "by position": [round(b, 4) for b in bits.mean(dim=0).tolist()],
        "distinct": [round(distinct(ids), 4) for ids in written.tolist()],
        "parameters": len(named),
        "not in the docstring": sum(name not in text for name, text in named),
    }


def write(way: str, seed: int | None) -> Row:
    model: Any = shipped("gpt").model
    prompts, written = held_out()[0].split([GIVEN + 1, WRITTEN], dim=1)
    if way != "human":
        generator = torch.Generator().manual_seed(seed or 0)
        options = WAYS.get(way, {})  # none: greedy
        whole = generate(model, prompts, WRITTEN, generator=generator, **options)
        written = whole[:, prompts.shape[1] :]
    return measure(model, prompts, written)


def style(seed: int) -> Row:
    """Three outputs, by their places, before and after steps on Shakespeare."""
    kept: Any = shipped("gpt")
    model = copy.deepcopy(kept.model)
    corpus = load_corpus("tiny-shakespeare", kept.tokenizer)
    special = kept.tokenizer.special
    text = CausalLM(corpus, special, length=128, batch_size=16, seed=seed)
    torch.manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=STYLE_LR)
    model.train()
    for step in range(STYLE_STEPS):
        for group in optimizer.param_groups:
            group["lr"] = STYLE_LR * min((step + 1) / 30, 1)
        batch = text.batch(step)
        loss = text.losses(model, batch)["lm"] / text.counts(batch)["lm"]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.eval()
    prompts, human = held_out()[0].split([GIVEN + 1, WRITTEN], dim=1)
    some = prompts[[0, PROMPTS // 2, PROMPTS - 1]]
    row: Row = {"prompts": [kept.tokenizer.decode(ids.tolist()) for ids in some]}
    for name, which in (("before", kept.model), ("after", model)):
        generator = torch.Generator().manual_seed(seed)
        options = {"temperature": 1.0, "top_p": 0.9}
        whole = generate(which, some, WRITTEN, generator=generator, **options)
        new = whole[:, some.shape[1] :]
        row[name] = [kept.tokenizer.decode(ids.tolist()) for ids in new]
        bits = continuation_bits(which, prompts, human).mean()
        row[f"docstrings {name}"] = round(float(bits), 4)
    return row


def runs() -> Runs:
    weights = shipped_weights("gpt")
    for way in ("human", "greedy"):
        what = {"way": way, "seed": None, "weights": weights}
        yield what, lambda way=way: write(way, None)
    for way in WAYS:
        for seed in SEEDS:
            what = {"way": way, "seed": seed, "weights": weights}
            yield what, lambda way=way, seed=seed: write(way, seed)
    what = {"way": "Shakespeare", "seed": 0, "weights": weights}
    yield what, lambda: style(0)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(__file__, runs())
