"""2.2: the shipped GPT with half of its weights or fewer, at once or as it trains."""

import copy
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from experiment import SEEDS, Row, Runs, main, shipped_weights

from lmlib.compression.prune import Pruned, global_masks, sparsity_at
from lmlib.compression.quantize import matrices, quantize_model, restore
from lmlib.compression.stored import save_quantized
from lmlib.data.load import load_corpus
from lmlib.objectives.causal import CausalLM
from lmlib.shipped import shipped
from lmlib.training.loop import scores_of, validation_loss

STEPS, N_BATCHES = 200, 20  # of 16 rows of 128 tokens; of 32 rows
GRADUAL = 130  # steps until the last share is pruned
EVERY = 10  # steps between two maskings of the gradual way
LR = 5e-4


def masks(model: Any, sparsity: float) -> dict[str, torch.Tensor]:
    """The least weights of each matrix go."""
    chosen = {n: p for n, p in model.named_parameters() if matrices(n, p)}
    return {n: global_masks({n: p}, sparsity)[n] for n, p in chosen.items()}


def train(model: Any, text: CausalLM, sparsity: float, gradual: bool) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=0.01)
    pruned = Pruned(model, masks(model, 0.0 if gradual else sparsity))
    model.train()
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = LR * min((step + 1) / 30, (STEPS - step) / STEPS)
        if gradual and step % EVERY == 0:
            share = sparsity_at(step, 0, GRADUAL, sparsity)
            pruned = Pruned(model, masks(model, share))
        batch = text.batch(step)
        loss = text.losses(model, batch)["lm"] / text.counts(batch)["lm"]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        pruned.apply()
    model.eval()


def runs() -> Runs:
    """Nats a token of held-out documentation, and bytes in int8, entropy coded."""

    def run(sparsity: float, how: str, seed: int) -> Row:
        kept: Any = shipped("gpt")
        model, special = copy.deepcopy(kept.model), kept.tokenizer.special
        held_out = CausalLM(
            load_corpus("installed", kept.tokenizer, "valid"),
            special,
            length=128,
            batch_size=32,
        )
        batches = list(islice(held_out.evaluation_batches(), N_BATCHES))

        def nats() -> float:
            return scores_of(model, validation_loss(held_out, lambda: batches))["lm"]

        before = nats()
        if how == "at once":
            Pruned(model, masks(model, sparsity))
        else:
            corpus = load_corpus("installed", kept.tokenizer)
            text = CausalLM(corpus, special, length=128, batch_size=16, seed=seed)
            train(model, text, sparsity, gradual=how == "gradually")
        after = nats()
        state = quantize_model(model, 8, axis=None)
        with tempfile.TemporaryDirectory() as folder:
            n_bytes = save_quantized(Path(folder) / "model", state)
        restore(model, state)
        return {"before": before, "after": after, "int8": nats(), "bytes": n_bytes}

    weights = shipped_weights("gpt")
    for seed in SEEDS:
        for sparsity, how in (
            (0.0, "then trained"),
            (0.5, "at once"),
            (0.5, "then trained"),
            (0.5, "gradually"),
            (0.7, "at once"),
            (0.7, "then trained"),
            (0.7, "gradually"),
        ):
            if how == "at once" and seed:
                continue  # nothing in it is random
            what = {"sparsity": sparsity, "how": how, "seed": seed}
            yield {**what, "weights": weights}, lambda what=what: run(**what)


if __name__ == "__main__":
    main(__file__, runs())
