"""3.3: the bits of 800 labels, for four ways to use a network, three orders each."""

from collections.abc import Sequence
from typing import Any

import torch
from experiment import SEEDS, Row, Runs, main, shipped_weights
from torch import Tensor

from lmlib.data.installed import installed_packages
from lmlib.models.bert import Bert
from lmlib.shipped import shipped
from lmlib.training.finetune import TaskObjective, forward, initialise
from lmlib.training.loop import train
from lmlib.training.prequential import Predict, prequential_bits
from lmlib.training.seeds import seed_everything
from lmlib.training.settings import Settings
from lmlib.training.tasks import Example, HeldOut, Task, classification

BLOCKS = (50, 100, 200, 400, 800)
METHODS = ("full", "lora", "frozen", "scratch")
SETTINGS = {"steps": 60, "lr": 5e-4, "warmup": 6}  # for each block anew


def fitting(method: str, seed: int, names: tuple[str, ...]) -> Any:
    """`fit` of `prequential_bits`: fine-tune the shipped BERT from the start."""
    kept = shipped("bert")
    start: Any = kept.model

    def fit(seen: Sequence[Example]) -> Predict:
        seed_everything(seed)
        own = Bert(start.config) if method == "scratch" else start
        how: Any = "full" if method == "scratch" else method
        task = Task("classification", names, list(seen), list(seen), HeldOut([]))
        model = initialise(own, task, method=how)
        objective = TaskObjective(
            task, kept.tokenizer, model, length=64, batch_size=16, seed=seed
        )
        train(model, objective, Settings(**SETTINGS, precision="fp32", seed=seed))

        @torch.no_grad()
        def predict(block: Sequence[Example]) -> Tensor:
            model.eval()
            batches = (block[i : i + 32] for i in range(0, len(block), 32))
            logits = [forward(model, objective.inputs(batch))[0] for batch in batches]
            return torch.cat(logits).softmax(dim=-1)

        return predict

    return fit


def runs() -> Runs:
    """The first n labels of `installed_packages`, in an order that the seed decides."""

    def run(method: str, seed: int) -> Row:
        parts = [installed_packages(split) for split in ("train", "valid", "test")]
        task = classification(*parts, n_train=BLOCKS[-1], seed=seed)
        fit = fitting(method, seed, task.names)
        bits = prequential_bits(fit, task.train, BLOCKS, len(task.names))
        return {**SETTINGS, "labels": list(BLOCKS), "bits": bits}

    weights = shipped_weights("bert")
    for seed in SEEDS:
        for method in METHODS:
            what = {"method": method, "seed": seed}
            yield {**what, "weights": weights}, lambda what=what: run(**what)


if __name__ == "__main__":
    main(__file__, runs())
