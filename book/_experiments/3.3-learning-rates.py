"""3.3: 100 labels at three learning rates, and what the network forgets meanwhile."""

import copy
from functools import cache
from itertools import islice
from typing import Any

import numpy as np
from experiment import Row, Runs, main, shipped_weights

from lmlib.data.installed import installed_packages
from lmlib.data.load import load_corpus
from lmlib.losses import bits
from lmlib.objectives.mlm import MaskedLM
from lmlib.objectives.objective import Batch
from lmlib.objectives.sequences import PackedSequences
from lmlib.shipped import shipped
from lmlib.training.finetune import TaskObjective, evaluate, initialise
from lmlib.training.loop import scores_of, train, validation_loss
from lmlib.training.lora import merge_lora
from lmlib.training.seeds import seed_everything
from lmlib.training.settings import Settings
from lmlib.training.tasks import classification

RATES = (5e-5, 5e-4, 5e-3)
N_TEST, N_BATCHES = 400, 6  # of examples; of held-out documentation, of 32 rows each


@cache
def held_out() -> tuple[MaskedLM, list[Batch]]:
    """Held-out documentation with its masks, the same for all runs."""
    tokenizer = shipped("bert").tokenizer
    corpus = load_corpus("installed", tokenizer, "valid")
    packed = PackedSequences(corpus, tokenizer.special, length=128, batch_size=32)
    objective = MaskedLM(packed, vocab_size=tokenizer.size)
    return objective, list(islice(objective.evaluation_batches(), N_BATCHES))


def masked_bits(backbone: Any) -> float:
    """Bits a masked token, with the head of pre-training on this backbone."""
    whole = copy.deepcopy(shipped("bert").model)
    whole.get_submodule("backbone").load_state_dict(backbone.state_dict())
    objective, batches = held_out()
    losses = scores_of(whole, validation_loss(objective, lambda: batches))
    return bits(losses["mlm"])


@cache
def masked_before() -> float:
    return masked_bits(shipped("bert").model.backbone)


def runs() -> Runs:
    """60 steps of 16 examples, no validation set: what each rate ends with."""

    def run(method: Any, lr: float, seed: int) -> Row:
        kept: Any = shipped("bert")
        parts = [installed_packages(split) for split in ("train", "valid", "test")]
        task = classification(*parts, n_train=100, n_valid=100, seed=seed)
        seed_everything(seed)
        model: Any = initialise(kept.model, task, method=method)
        objective = TaskObjective(
            task, kept.tokenizer, model, length=64, batch_size=16, seed=seed
        )
        settings = Settings(steps=60, lr=lr, warmup=6, precision="fp32", seed=seed)
        train(model, objective, settings)
        merge_lora(model)
        examples = task.test.open()[:N_TEST]
        wanted = [int(example.wanted) for example in examples]  # type: ignore[arg-type]
        return {
            "n_test": len(examples),
            "largest_class": float(np.bincount(wanted).max() / len(wanted)),
            **scores_of(model, lambda m: evaluate(m, objective, examples)),
            "masked_before": masked_before(),
            "masked_after": masked_bits(model.backbone),
        }

    weights = shipped_weights("bert")
    for seed in range(8):
        for lr in RATES:
            for method in ("full", "lora", "frozen"):
                what = {"method": method, "lr": lr, "seed": seed}
                yield {**what, "weights": weights}, lambda what=what: run(**what)


if __name__ == "__main__":
    main(__file__, runs())
