"""3.3: few labels, pre-trained against from scratch. It downloads polarity once."""

from typing import Any

import numpy as np
from experiment import (
    N_TEST,
    SEEDS,
    Row,
    Runs,
    main,
    settings_for,
    shipped_weights,
    the_task,
)

from lmlib.models.bert import Bert
from lmlib.shipped import shipped
from lmlib.training.finetune import evaluate, finetune
from lmlib.training.loop import scores_of
from lmlib.training.seeds import seed_everything
from lmlib.training.tasks import Example

LABELS = (100, 500, 2000)


def name_found(examples: list[Example], names: tuple[str, ...]) -> float:
    """Accuracy of searching for the package's name, else taking the commonest class."""
    counts = np.bincount([int(e.wanted) for e in examples], minlength=len(names))  # type: ignore[arg-type]
    right = 0
    for example in examples:
        found = [i for i, name in enumerate(names) if name in example.text.lower()]
        right += (found[0] if len(found) == 1 else int(counts.argmax())) == (
            example.wanted
        )
    return right / len(examples)


def runs() -> Runs:
    """Accuracy on the test set: the shipped BERT, and the same with new weights."""

    def run(task: str, start: str, n: int, seed: int) -> Row:
        kept = shipped("bert")
        model: Any = kept.model
        if start == "scratch":
            seed_everything(seed)
            model = Bert(model.config)
        data = the_task(task, n, seed)
        tuned = finetune(
            model,
            data,
            kept.tokenizer,
            settings_for(n, seed),
            length=64,
            batch_size=16,
        )
        examples = data.test.open()[:N_TEST]
        objective = tuned.objective
        scores = scores_of(tuned.model, lambda m: evaluate(m, objective, examples))
        wanted = [int(e.wanted) for e in examples]  # type: ignore[arg-type]
        row: Row = {
            "n_test": len(examples),
            "largest_class": float(np.bincount(wanted).max() / len(wanted)),
        }
        if task == "packages":
            row["name_found"] = name_found(examples, data.names)
        return {**row, **scores}

    weights = shipped_weights("bert")
    for seed in SEEDS:
        for n in LABELS:
            for task in ("packages", "polarity"):
                for start in ("pretrained", "scratch"):
                    what = {"task": task, "start": start, "n": n, "seed": seed}
                    yield {**what, "weights": weights}, lambda what=what: run(**what)


if __name__ == "__main__":
    main(__file__, runs())
