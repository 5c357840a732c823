"""9: the curves that a small GPT prints while it trains, with one bug in each run."""

from dataclasses import replace
from typing import Any

import torch
from experiment import SEEDS, Row, Runs, main
from torch import Tensor

from lmlib.data.load import load_documents
from lmlib.data.tokenizers import ByteTokenizer
from lmlib.losses import bits, cross_entropy
from lmlib.models.gpt import GPT, gpt_config
from lmlib.training.optimizers import (
    learning_rate_share,
    make_optimizers,
    set_learning_rate,
)
from lmlib.training.seeds import seed_everything

STEPS, EVERY = 300, 10
ROWS, LENGTH, WORKERS = 32, 64, 8
LR = 3e-3
BUGS = (
    "none",
    "unshifted",  # the target of a position is what stands there
    "shifted twice",  # the target is the byte after the next
    "softmax first",  # softmax before a cross-entropy that has one
    "mean over padding",  # half of each row is padding, and a target
    "no mask",  # the future is seen
    "rate × 30",
    "rate × 100",
    "rate × 300",
    "rate / 30",
    "same draws",  # all eight workers draw the same rows
)
FACTORS = {"rate × 30": 30, "rate × 100": 100, "rate × 300": 300, "rate / 30": 1 / 30}


def text_of(split: Any) -> Tensor:
    text = "\n".join(d.text for d in load_documents("installed", split))
    return torch.from_numpy(ByteTokenizer().encode(text)).long()


def rows_of(text: Tensor, bug: str) -> Tensor:
    """Rows [ROWS, LENGTH + 2]: what is read, and two more for the targets."""
    different = ROWS // WORKERS if bug == "same draws" else ROWS
    starts = torch.randint(len(text) - LENGTH - 2, (different,))
    starts = starts.repeat(ROWS // different)
    rows = text[starts[:, None] + torch.arange(LENGTH + 2)]
    if bug == "mean over padding":
        rows[:, LENGTH // 2 :] = ByteTokenizer.special.pad
    return rows


def printed_loss(model: GPT, rows: Tensor, bug: str) -> Tensor:
    """What the program with this bug minimises and prints, in nats."""
    read, moved = rows[:, :LENGTH], {"unshifted": 0, "shifted twice": 2}.get(bug, 1)
    logits = model(read)
    if bug == "softmax first":
        logits = logits.softmax(dim=-1)
    return cross_entropy(logits, rows[:, moved : moved + LENGTH])


@torch.no_grad()
def bits_a_byte(model: GPT, text: Tensor) -> float:
    """Of held-out text, the right way: each byte from those before it in its row."""
    model.eval()
    causal = replace(model.config, causal=True)
    model.backbone.config = causal
    rows = text[: 64 * (LENGTH + 1)].reshape(64, LENGTH + 1)
    return float(bits(cross_entropy(model(rows[:, :-1]), rows[:, 1:])))


def run(bug: str, seed: int) -> Row:
    seed_everything(seed)
    config = gpt_config(64, 2, 4, vocab_size=ByteTokenizer.size, max_len=LENGTH)
    model = GPT(config)
    if bug == "no mask":
        model.backbone.config = replace(config, causal=False)
    lr = LR * FACTORS.get(bug, 1)
    optimizers = make_optimizers(
        model, lr=lr, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.01, muon=False
    )
    text, printed, several = text_of("train"), [], []
    for step in range(STEPS):
        seed_everything([seed, 1 + step])
        share = learning_rate_share(step, STEPS, warmup=20, decay="linear")
        set_learning_rate(optimizers, share)
        loss = printed_loss(model, rows_of(text, bug), bug)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        several.append(float(bits(loss.detach())))
        if step == 0 or len(several) == EVERY:
            printed.append(sum(several) / len(several))
            several = []
    return {
        "steps": [1, *range(EVERY + 1, STEPS + 1, EVERY)],
        "printed": printed,
        "held_out": bits_a_byte(model, text_of("valid")),
    }


def runs() -> Runs:
    """Bits a byte, the mean of ten steps, as printed; and what the model is worth."""
    torch.set_num_threads(1)
    for bug in BUGS:
        for seed in SEEDS if bug == "none" else SEEDS[:1]:
            what = {"bug": bug, "seed": seed}
            yield what, lambda what=what: run(**what)


if __name__ == "__main__":
    main(__file__, runs())
