"""3.2.2: the BERT that learned from leaky next-sentence rows, and the one after it."""

import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from experiment import AsItComes, Row, Runs, main

from lmlib.data.load import load_corpus
from lmlib.losses import cross_entropy
from lmlib.objectives.mlm import MaskedLM
from lmlib.objectives.nsp import NextSentence
from lmlib.objectives.objective import Batch, forward
from lmlib.objectives.sequences import PackedSequences
from lmlib.shipped import shipped
from lmlib.training.finetune import weights_digest
from lmlib.training.saved import load

BEFORE = "4634de5"  # the commit whose BERT had learned from leaky rows
N_BATCHES = 40  # of 32 rows


@cache
def model_of(trained: str) -> Any:
    if trained == "shipped":
        return shipped("bert").model
    root = Path(__file__).parents[2]
    with tempfile.TemporaryDirectory() as folder:
        for name in (
            "config.json",
            "lmlib.json",
            "model.safetensors",
            "tokenizer.json",
        ):
            what = f"{BEFORE}:lmlib/checkpoints/bert/{name}"
            found = subprocess.run(["git", "show", what], cwd=root, capture_output=True)
            if found.returncode:
                raise RuntimeError(
                    f"git has no {what}: this needs a copy of the repository with its "
                    "history"
                )
            (Path(folder) / name).write_bytes(found.stdout)
        return load(Path(folder)).model


def batches(objective: Any) -> Iterator[Batch]:
    return islice(objective.evaluation_batches(), N_BATCHES)


@torch.no_grad()
def judged(model: Any, objective: NextSentence) -> tuple[float, float]:
    """The share of pairs that is right, and nats a pair."""
    right, nats, n = 0, 0.0, 0
    for batch in batches(objective):
        logits, labels = model.heads["nsp"](forward(model, batch)), batch["labels"]
        right += int((logits.argmax(dim=1) == labels).sum())
        nats += cross_entropy(logits, labels, reduction="sum").item()
        n += len(labels)
    return right / n, nats / n


@torch.no_grad()
def masked(model: Any, objective: MaskedLM) -> float:
    """Nats a masked token."""
    total, n = 0.0, 0
    for batch in batches(objective):
        total += objective.losses(model, batch)["mlm"].item()
        n += objective.counts(batch)["mlm"]
    return total / n


def runs() -> Runs:
    """Test text; the seed is of the rows."""

    def run(trained: str, seed: int) -> Row:
        model, tokenizer = model_of(trained), shipped("bert").tokenizer
        text = load_corpus("installed", tokenizer, "test")
        rows: Any = {"length": 128, "batch_size": 32, "seed": seed}
        mended = judged(model, NextSentence(text, tokenizer.special, **rows))
        leaky = judged(model, AsItComes(text, tokenizer.special, **rows))
        packed = PackedSequences(text, tokenizer.special, **rows)
        objective = MaskedLM(packed, vocab_size=tokenizer.size, seed=seed)
        return {
            "right_mended": mended[0],
            "nats_mended": mended[1],
            "right_as_it_comes": leaky[0],
            "nats_as_it_comes": leaky[1],
            "masked": masked(model, objective),
        }

    for trained in ("before", "shipped"):
        for seed in range(3):
            what = {"trained": trained, "seed": seed}
            weights = weights_digest(model_of(trained))
            yield {**what, "weights": weights}, lambda what=what: run(**what)


if __name__ == "__main__":
    main(__file__, runs())
