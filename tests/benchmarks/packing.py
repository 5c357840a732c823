"""Training on packed sequences, on padded ones, and on batches of similar lengths.

    python -m tests.benchmarks.packing [--device cpu] [--rounds 5] [--length 128]

The sequences have the real lengths of installed docstrings, and of their sentences, in
words and marks (what is longer than a row is cut). In each round the same sequences are
learned from once, forward, backward and AdamW, in all three ways: padded to the longest
of 32 random ones, of 32 of similar length, or packed into full rows, as many to a step
as hold 32 sequences on average. One model, a BERT of 4 layers of 256 with 15 % of
tokens masked; before, its total loss is compared: packing must not change it. The
last column is the share of the machine's ceiling, counting work on real tokens alone.
"""

import math
import re
import statistics
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from lmlib.data.batching import (
    Batch,
    LengthBuckets,
    efficiency,
    pack,
    packed_batch,
    pad,
)
from lmlib.data.installed import installed_docstrings
from lmlib.data.sentences import split_sentences
from lmlib.losses import IGNORE
from lmlib.models.bert import Bert
from lmlib.objectives.mlm import masked_lm_loss
from lmlib.objectives.objective import forward
from lmlib.tables import Table
from lmlib.training.muon import has_bfloat16
from lmlib.transformer import TransformerConfig
from tests.benchmarks import measure

VOCAB, D, LAYERS, BATCH, MASK = 8192, 256, 4, 32, 4
Row = NDArray[np.int64]


def real_lengths(sentences: bool, longest: int) -> list[int]:
    texts = [document.text for document in installed_docstrings("valid")]
    if sentences:
        texts = [sentence for text in texts for sentence in split_sentences(text)]
    counts = (len(re.findall(r"\w+|[^\w\s]", text)) for text in texts)
    return [min(n, longest) for n in counts if n]


class Examples:
    """Sequences of given lengths, masked once and for all, and three kinds of batch."""

    def __init__(self, lengths: Sequence[int], longest: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.lengths, self.longest = lengths, longest
        self.inputs: list[Row] = []
        self.targets: list[Row] = []
        for n in lengths:
            ids = rng.integers(5, VOCAB, n)
            masked = rng.random(n) < 0.15
            self.inputs.append(np.where(masked, MASK, ids))
            self.targets.append(np.where(masked, ids, IGNORE))

    def padded(self) -> tuple[list[Batch], float]:
        places = np.arange(len(self.lengths))  # they are in random order
        groups = [places[i : i + BATCH] for i in range(0, len(places), BATCH)]
        return self._padded(groups)

    def bucketed(self) -> tuple[list[Batch], float]:
        buckets = LengthBuckets(self.lengths, BATCH)
        return self._padded([buckets.batch(i) for i in range(len(buckets))])

    def packed(self) -> tuple[list[Batch], float]:
        rows = pack(self.lengths, self.longest, seed=0)
        steps = math.ceil(len(self.lengths) / BATCH)
        size = math.ceil(len(rows) / steps)
        batches = []
        for i in range(0, len(rows), size):
            own = rows[i : i + size]
            batch = packed_batch(self.inputs, own, self.longest, 0)
            targets = packed_batch(self.targets, own, self.longest, IGNORE)
            # Attention keeps to its document: padding is one of its own.
            del batch["attention_mask"]
            batches.append({**batch, "targets": targets["token_ids"]})
        return batches, efficiency(self.lengths, rows, self.longest)

    def _padded(self, groups: Sequence[Row]) -> tuple[list[Batch], float]:
        batches = []
        for group in groups:
            batch = pad([self.inputs[i] for i in group], 0)
            targets = pad([self.targets[i] for i in group], IGNORE)
            batches.append({**batch, "targets": targets["token_ids"]})
        return batches, efficiency(self.lengths, groups)


def total_loss(model: Bert, batch: Batch) -> torch.Tensor:
    return masked_lm_loss(model.heads["mlm"], forward(model, batch), batch["targets"])


def operations(examples: Examples) -> float:
    """Of one pass over the sequences: what real tokens and targets need."""
    tokens = sum(examples.lengths)
    targets = sum(int((t != IGNORE).sum()) for t in examples.targets)
    attention = LAYERS * 4 * D * sum(n * n for n in examples.lengths)
    head = targets * (2 * D * VOCAB + 2 * D * D)
    return 3.0 * (LAYERS * tokens * 24 * D * D + attention + head)


def compare(
    lengths: Sequence[int],
    longest: int,
    rounds: int,
    ceiling: measure.Ceiling,
    dtype: torch.dtype,
) -> Table:
    device, examples = ceiling.device, Examples(lengths, longest)
    torch.manual_seed(0)
    model = Bert(
        TransformerConfig(
            vocab_size=VOCAB,
            d_model=D,
            n_layers=LAYERS,
            n_heads=4,
            max_len=longest,
            dropout=0.0,
            attention_dropout=0.0,
        ),
        heads=["mlm"],
    ).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    ways = {
        "padded": examples.padded(),
        "padded, similar lengths": examples.bucketed(),
        "packed": examples.packed(),
    }
    on_device = {
        way: [{k: v.to(device) for k, v in batch.items()} for batch in batches]
        for way, (batches, _) in ways.items()
    }

    def cast() -> torch.autocast:
        on = dtype == torch.bfloat16
        return torch.autocast(device.type, torch.bfloat16, enabled=on)

    def learn(batches: Sequence[Batch]) -> None:
        for batch in batches:
            n = (batch["targets"] != IGNORE).sum()
            with cast():
                loss = total_loss(model, batch) / n
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    with torch.no_grad():
        totals = [
            sum(float(total_loss(model, batch)) for batch in batches)
            for batches in on_device.values()
        ]
    assert max(totals) - min(totals) < 1e-5 * max(totals), totals
    times = measure.take_turns(
        {way: lambda b=batches: learn(b) for way, batches in on_device.items()},
        ceiling,
        rounds,
    )
    table = []
    for way, (batches, share) in ways.items():
        median = statistics.median(times[way])
        table.append(
            {
                "": way,
                "steps": len(batches),
                "padding": f"{1 - share:.0%}",
                "real tokens/s": f"{sum(lengths) / median:,.0f}",
                **measure.ratio(times, "padded", way),
                "ceiling": ceiling.share(operations(examples), median, dtype),
            }
        )
    return Table(table)


def main() -> None:
    parser = measure.arguments(__doc__, rounds=5)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--tokens", type=int, default=6000, help="in a round")
    given = measure.parse(parser)
    device = given.device
    dtype = torch.bfloat16 if has_bfloat16(device) else torch.float32
    print(
        f"rows of at most {given.length} tokens, {measure.short(dtype)}, "
        f"{measure.machine(device)}; {given.rounds} rounds"
    )
    ceiling = measure.Ceiling(device, {dtype}, tokens=BATCH * given.length, d_model=D)
    for name, sentences in (("docstrings", False), ("sentences", True)):
        found = np.random.default_rng(0).permutation(
            real_lengths(sentences, given.length)
        )
        lengths = found[found.cumsum() <= given.tokens].tolist()
        print(
            f"\n{len(lengths)} {name}: {statistics.mean(lengths):.0f} tokens on "
            f"average, {statistics.median(lengths):.0f} in the median"
        )
        print(compare(lengths, given.length, given.rounds, ceiling, dtype))
    print(ceiling)


if __name__ == "__main__":
    main()
