"""2.1: targets moved by 1, 0 and 2, and by 1 without the mask: curves of the loss."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from experiment import SEEDS, Row, Runs, main

from lmlib.data.load import load_corpus
from lmlib.data.tokenizers import ByteTokenizer
from lmlib.losses import IGNORE, bits
from lmlib.models.gpt import gpt_config
from lmlib.models.heads import LMHead
from lmlib.objectives.causal import CausalLM
from lmlib.objectives.objective import Batch
from lmlib.objectives.sequences import Ids
from lmlib.training.loop import train, validation_loss
from lmlib.training.pretrain import WithHeads, corpus_digest
from lmlib.training.seeds import seed_everything
from lmlib.training.settings import Settings
from lmlib.transformer import Transformer

STEPS, LENGTH, BATCH = 600, 64, 16
HELD_OUT = 8  # batches
#: How far the targets are moved, and whether the future is hidden.
VARIANTS = {
    "moved by 1": (1, True),
    "moved by 0": (0, True),
    "moved by 2": (2, True),
    "moved by 1, no mask": (1, False),
}


class Moved(CausalLM):
    """`CausalLM` with the target t + `by` in place of t + 1."""

    by = 1

    def _windows(self, starts: Ids, first_scored: Ids | None = None) -> Batch:
        batch = super()._windows(starts, first_scored)
        places = starts[:, None] + np.arange(self.length) + self.by
        tokens = torch.from_numpy(self._tokens.astype(np.int64))
        last = len(tokens) - 1
        batch["targets"] = torch.where(
            torch.from_numpy(places <= last),
            tokens[np.minimum(places, last)],
            IGNORE,
        )
        return batch


def runs() -> Runs:
    """Bits a byte on held-out modules, every ten steps."""

    def run(variant: str, seed: int) -> Row:
        by, causal = VARIANTS[variant]
        tokenizer = ByteTokenizer()
        text = load_corpus("installed", tokenizer)
        held_out = load_corpus("installed", tokenizer, "valid")

        def objective(corpus: Any) -> Moved:
            made = Moved(
                corpus, tokenizer.special, length=LENGTH, batch_size=BATCH, seed=seed
            )
            made.by = by
            return made

        seed_everything(seed)
        config = gpt_config(64, 2, 4, vocab_size=tokenizer.size, max_len=LENGTH)
        config = replace(config, causal=causal, dropout=0.0, attention_dropout=0.0)
        backbone = Transformer(config)
        head = LMHead(config, backbone.embeddings.token)
        measured = objective(held_out)
        done = train(
            WithHeads(backbone, {"lm": head}),
            objective(text),
            Settings(
                steps=STEPS,
                lr=3e-3,
                warmup=10,
                decay="constant",
                validate_every=10,
                precision="fp32",
                seed=seed,
            ),
            # Drawn from all over the held-out text, the same ones each time.
            validate=validation_loss(
                measured, lambda: (measured.batch(i) for i in range(HELD_OUT))
            ),
        )
        points = [line for line in done.history if "validation" in line]
        return {
            "corpus": corpus_digest(text),
            "steps": [line["step"] for line in points],
            "bits": [bits(line["validation"]["loss"]) for line in points],
        }

    for seed in SEEDS:
        for variant in VARIANTS:
            what = {"variant": variant, "seed": seed}
            yield what, lambda what=what: run(**what)


if __name__ == "__main__":
    main(__file__, runs())
