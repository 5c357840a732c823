"""8.4: how often models of facts must invent, against the share of facts seen once.

2,000 people live in one of 50 cities each. A text names 3,000 of these facts, by Zipf's
law. What a model gives to facts that are false is summed exactly, not sampled.
"""

from collections import Counter

import numpy as np
import torch
from experiment import SEEDS, Row, Runs, main
from numpy import ndarray

from lmlib.calibration import good_turing
from lmlib.compression.predictors import NGram
from lmlib.models.gpt import GPT
from lmlib.transformer import TransformerConfig

FIRST, LAST, CITIES, DRAWS = 50, 40, 50, 3000
PEOPLE = FIRST * LAST
EXPONENTS = (0.7, 1.0, 1.3)
EPOCHS, BATCH = 40, 60


def world(exponent: float, seed: int) -> tuple[ndarray, ndarray, ndarray]:
    """Each fact's probability [2000], where each lives [2000], people drawn [3000]."""
    rng = np.random.default_rng(seed)
    p = 1 / np.arange(1, PEOPLE + 1) ** exponent
    p = rng.permutation(p / p.sum())  # a name says nothing about how often it comes
    return p, rng.integers(CITIES, size=PEOPLE), rng.choice(PEOPLE, size=DRAWS, p=p)


def written(people: ndarray, lives: ndarray) -> ndarray:
    """Facts as tokens [n, 4]: 0, a first name, a last name, a city."""
    first, last = people // LAST, people % LAST
    tokens = (0 * people, 1 + first, 1 + FIRST + last, 1 + FIRST + LAST + lives[people])
    return np.stack(tokens, axis=1)


def judge(joint: ndarray, p: ndarray, lives: ndarray, seen: ndarray) -> Row:
    """`joint` [2000, 50]: the probability that a model writes this person and city."""
    true = joint[np.arange(PEOPLE), lives]
    with np.errstate(divide="ignore"):
        paid = -(p * np.log2(true)).sum()
    positive = joint[joint > 0]
    known = np.isin(np.arange(PEOPLE), seen)
    # Given the person, how often the city is right, by whether the text named it.
    city = true / np.maximum(joint.sum(axis=1), 1e-300)
    return {
        "invented": round(1 - float(true.sum()), 4),
        "invented of the seen": round(float((joint.sum(1) - true)[known].sum()), 4),
        "right of the seen": round(float(city[known].mean()), 4),
        "right of the others": round(float(city[~known].mean()), 4),
        "paid": round(float(paid), 4) if np.isfinite(paid) else None,
        "announced": round(float(-(positive * np.log2(positive)).sum()), 4),
    }


def meant(joint: ndarray, p: ndarray, lives: ndarray) -> ndarray:
    """`joint` at the temperature at which what it announces is what is paid.

    That is where it costs least, found by bisection of β = 1/T, on facts to come: the
    truth is known here, and no sample of it stands between.
    """
    truth = np.zeros_like(joint)
    truth[np.arange(PEOPLE), lives] = p
    log = np.log(joint)
    low, high = 1 / 50, 50.0
    for _ in range(30):
        beta = (low * high) ** 0.5
        q = np.exp(beta * log - (beta * log).max())
        q /= q.sum()
        low, high = (low, beta) if ((q - truth) * log).sum() > 0 else (beta, high)
    return q


def copying(drawn: ndarray, lives: ndarray) -> ndarray:
    """The text's own shares: nothing else is ever written."""
    joint = np.zeros((PEOPLE, CITIES))
    np.add.at(joint, (drawn, lives[drawn]), 1 / DRAWS)
    return joint


def counting(text: ndarray) -> ndarray:
    """An n-gram of order 3; each prediction is among what may stand there."""
    model = NGram(3)
    for token in text.ravel().tolist():
        model.update(token)

    def after(context: list[int], begin: int, n: int) -> ndarray:
        p = model.after(bytes(context))[begin : begin + n]
        return p / p.sum()

    first = after([0], 1, FIRST)
    joint = np.empty((FIRST, LAST, CITIES))
    for i in range(FIRST):
        last = after([0, 1 + i], 1 + FIRST, LAST)
        for j in range(LAST):
            context = [0, 1 + i, 1 + FIRST + j]
            city = after(context, 1 + FIRST + LAST, CITIES)
            joint[i, j] = first[i] * last[j] * city
    return joint.reshape(PEOPLE, CITIES)


@torch.no_grad()
def told_by(model: GPT, temperature: float = 1.0) -> ndarray:
    people = np.arange(PEOPLE)
    rows = torch.tensor(written(people, people * 0)[:, :3])
    logits = model.eval()(rows).double() / temperature
    model.train()
    cut = (1, 1 + FIRST, 1 + FIRST + LAST, 1 + FIRST + LAST + CITIES)
    first = logits[0, 0, cut[0] : cut[1]].softmax(-1)[people // LAST]
    last = logits[:, 1, cut[1] : cut[2]].softmax(-1)[people, people % LAST]
    city = logits[:, 2, cut[2] : cut[3]].softmax(-1)
    return (first[:, None] * last[:, None] * city).numpy()


def learn(exponent: float, seed: int) -> Row:
    p, lives, drawn = world(exponent, seed)
    text = written(drawn, lives)
    counted = counting(text)
    row: Row = {
        "good-turing": good_turing(Counter(drawn.tolist()).values()),
        "unseen": round(float(p[~np.isin(np.arange(PEOPLE), drawn)].sum()), 4),
        "entropy": round(float(-(p * np.log2(p)).sum()), 4),
        "copies": judge(copying(drawn, lives), p, lives, drawn),
        "n-gram": judge(counted, p, lives, drawn),
        "n-gram, meant": judge(meant(counted, p, lives), p, lives, drawn),
    }
    torch.manual_seed(seed)
    config = TransformerConfig(
        vocab_size=1 + FIRST + LAST + CITIES,
        d_model=64,
        n_layers=2,
        n_heads=2,
        max_len=4,
        causal=True,
        norm_first=True,
        embedding_norm=False,
        dropout=0.0,
        attention_dropout=0.0,
    )
    model = GPT(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    rows = torch.tensor(text)
    after: list[Row] = []
    least, best = np.inf, np.empty(0)
    for epoch in range(EPOCHS):
        for some in torch.randperm(DRAWS).split(BATCH):
            logits = model(rows[some, :3]).flatten(0, 1)
            loss = torch.nn.functional.cross_entropy(logits, rows[some, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if epoch < 10 or epoch % 5 == 4:
            joint = told_by(model)
            after.append({"epoch": epoch + 1, **judge(joint, p, lives, drawn)})
            if after[-1]["paid"] < least:
                least, best = after[-1]["paid"], joint
    cold = judge(told_by(model, 0.5), p, lives, drawn)
    met = judge(meant(best, p, lives), p, lives, drawn)
    return {**row, "gpt": after, "gpt, meant": met, "gpt, T 0.5": cold}


def runs() -> Runs:
    for exponent in EXPONENTS:
        for seed in SEEDS:
            what = {"exponent": exponent, "seed": seed}
            yield what, lambda e=exponent, s=seed: learn(e, s)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(__file__, runs())
