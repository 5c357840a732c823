"""A small model and objective with all that can go wrong in a loop: dropout, a tied
weight, a frozen one, batches whose number of targets differs, two parts.

As a program, it trains one run in the folder given, for tests that kill it.
"""

import sys

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from lmlib.training.loop import train, validation_loss
from lmlib.training.seeds import seed_everything
from lmlib.training.settings import Settings

VOCABULARY, D = 11, 8


class Backbone(nn.Module):
    def __init__(self, dropout):
        super().__init__()
        self.token = nn.Embedding(VOCABULARY, D)
        self.hidden = nn.Linear(D, D)
        self.norm = nn.LayerNorm(D)
        self.frozen = nn.Linear(D, D)
        self.frozen.requires_grad_(False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, ids):
        x = self.dropout(torch.relu(self.hidden(self.token(ids))))
        return self.norm(x + self.frozen(x))


class Toy(nn.Module):
    def __init__(self, dropout=0.0):
        super().__init__()
        self.backbone = Backbone(dropout)
        self.heads = nn.ModuleDict(
            {"word": nn.Linear(D, VOCABULARY), "sum": nn.Linear(D, 2)}
        )
        self.heads["word"].weight = self.backbone.token.weight


class Objective:
    """Part "word": the token again, at some positions; "sum": is the sum odd?"""

    def __init__(self, batch_size=6, length=5, seed=0):
        self.batch_size, self.length, self.seed = batch_size, length, seed

    def batch(self, step):
        rng = np.random.default_rng([self.seed, step])
        ids = rng.integers(VOCABULARY, size=(self.batch_size, self.length))
        # Rows have very different numbers of targets: a mean of means is wrong.
        shares = rng.random((self.batch_size, 1)) ** 3
        targets = np.where(rng.random(ids.shape) < shares, ids, -100)
        targets[0, 0] = ids[0, 0]
        return {
            "token_ids": torch.from_numpy(ids),
            "targets": torch.from_numpy(targets),
            "labels": torch.from_numpy(ids.sum(1) % 2),
        }

    def counts(self, batch):
        return {
            "word": int((batch["targets"] != -100).sum()),
            "sum": len(batch["labels"]),
        }

    def losses(self, model, batch):
        hidden = model.backbone(batch["token_ids"])
        words = model.heads["word"](hidden).flatten(0, 1)
        sums = model.heads["sum"](hidden.mean(1))
        targets = batch["targets"].flatten()
        return {
            "word": F.cross_entropy(words, targets, reduction="sum"),
            "sum": F.cross_entropy(sums, batch["labels"], reduction="sum"),
        }


SETTINGS = Settings(
    steps=12,
    lr=0.02,
    warmup=3,
    validate_every=5,
    optimizer="muon",
    precision="fp32",
    seed=3,
)


def run(folder, dropout=0.3):
    """Train in `folder`, from where it is."""
    seed_everything(1)
    held_out = Objective(seed=99)
    return train(
        Toy(dropout),
        Objective(),
        SETTINGS,
        validate=validation_loss(
            held_out, lambda: map(held_out.batch, range(2)), precision="fp32"
        ),
        folder=folder,
        resume=True,
        save_every=4,
    )


if __name__ == "__main__":
    from lmlib.training.parallel import processes

    with processes("cpu"):
        run(sys.argv[1], float(sys.argv[2]))
