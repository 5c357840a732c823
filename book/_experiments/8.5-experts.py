"""8.5: four experts, one a token, with and without the loss that balances them, beside
a dense model of as many active parameters and one of as many in all.
"""

from dataclasses import replace
from typing import Any

import torch
from experiment import SEEDS, Row, Runs, main
from torch import Tensor

from lmlib.data.load import load_corpus
from lmlib.losses import bits
from lmlib.models.experts import balance_loss, router_logits, use, use_experts
from lmlib.models.gpt import GPT, gpt_config
from lmlib.objectives.causal import CausalLM
from lmlib.objectives.objective import Batch
from lmlib.shipped import shipped
from lmlib.training.loop import train, validation_loss
from lmlib.training.pretrain import corpus_digest
from lmlib.training.progress import Scores
from lmlib.training.seeds import seed_everything
from lmlib.training.settings import Settings
from lmlib.transformer import count_parameters

STEPS, LENGTH, BATCH = 160, 64, 8
HELD_OUT = 24  # batches
D_MODEL, EXPERTS = 128, 4
BALANCE = 0.01  # the weight in Fedus et al. 2022
#: Features inside the feed-forward layer, experts, weight of the balance loss.
VARIANTS = {
    "dense, as many active": (4 * D_MODEL, 1, 0.0),
    "experts": (4 * D_MODEL, EXPERTS, 0.0),
    "experts, balanced": (4 * D_MODEL, EXPERTS, BALANCE),
    "dense, as many in all": (4 * D_MODEL * EXPERTS, 1, 0.0),
}


class Balanced(CausalLM):
    """`CausalLM` and, where there are experts, the part "balance"."""

    def __init__(self, *given: Any, weight: float, **options: Any) -> None:
        super().__init__(*given, **options)
        self.weights = {"balance": weight}

    def counts(self, batch: Batch) -> dict[str, int]:
        n = super().counts(batch)["lm"]
        return {"lm": n, "balance": n}

    def losses(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        with router_logits(model) as logits:
            losses = super().losses(model, batch)
        n = self.counts(batch)["balance"]
        return {**losses, "balance": n * balance_loss(logits, top_k=1)}


def run(variant: str, seed: int) -> Row:
    d_ff, n, weight = VARIANTS[variant]
    tokenizer = shipped("gpt").tokenizer
    text = load_corpus("installed", tokenizer)
    held_out = load_corpus("installed", tokenizer, "valid")
    options = {"length": LENGTH, "batch_size": BATCH, "seed": seed}
    measured = CausalLM(held_out, tokenizer.special, **options)
    seed_everything(seed)
    config = gpt_config(D_MODEL, 2, 4, vocab_size=tokenizer.size, max_len=LENGTH)
    model = GPT(replace(config, d_ff=d_ff, dropout=0.0, attention_dropout=0.0))
    objective = CausalLM(text, tokenizer.special, **options)
    if n > 1:
        use_experts(model.backbone, n)
        objective = Balanced(text, tokenizer.special, weight=weight, **options)
    # Drawn from all over the held-out text, the same ones each time.
    batches = [measured.batch(i) for i in range(HELD_OUT)]
    loss = validation_loss(measured, lambda: batches)
    shares: list[list[list[float]]] = []

    def validate(model: Any) -> Scores:
        with router_logits(model) as logits:
            scores = loss(model)
        layers = 2
        shares.append(
            [
                [round(share, 4) for share in use(torch.cat(own), 1).tolist()]
                for own in (logits[i::layers] for i in range(layers))
                if own
            ]
        )
        return scores

    settings = Settings(
        steps=STEPS,
        lr=2e-3,
        optimizer="muon",
        warmup=15,
        validate_every=40,
        precision="fp32",
        seed=seed,
    )
    done = train(model, objective, settings, validate=validate)
    points = [line for line in done.history if "validation" in line]
    # From nats a token to bits a byte: a token of this text is so many bytes.
    per_byte = len(held_out.tokens) / held_out.n_bytes
    return {
        "corpus": corpus_digest(text),
        "parameters": count_parameters(model),
        "steps": [line["step"] for line in points],
        "bits": [
            round(bits(line["validation"]["loss"]) * per_byte, 4) for line in points
        ],
        "use": shares,  # at each of these steps, of each layer, of each expert
    }


def runs() -> Runs:
    """Bits a byte on held-out modules, and how the experts are used, by steps."""
    torch.set_num_threads(1)
    for seed in SEEDS:
        for variant in VARIANTS:
            what = {"variant": variant, "seed": seed}
            yield what, lambda what=what: run(**what)


if __name__ == "__main__":
    main(__file__, runs())
