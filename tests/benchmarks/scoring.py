"""Log-likelihood of a text, in tokens a second: lmlib against `transformers`.

    python -m tests.benchmarks.scoring [--device cpu] [--size small] [--rounds 7]

Windows slide over the text by half their length, and each scores what the one before
has not. As people do it with `transformers` (its guide to perplexity): one window at a
time, the loss at the labels. Also several windows at a time, with logits at all
positions or, as lmlib does, where there is something to score. lmlib is called as
`lmlib evaluate` calls it. All have the same weights and must find the same sum of nats.
`small` is a GPT-2 of 4 layers of 256, 4 heads, 8,192 tokens, windows of 256; `base` is
GPT-2. The last column is the share of the machine's ceiling that the task needs: logits
where a token is scored.
"""

import statistics
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import transformers

from lmlib.data.corpus import Corpus, SpecialTokens
from lmlib.objectives.causal import CausalLM
from lmlib.tables import Table
from lmlib.training.loop import scores_of, validation_loss
from lmlib.training.muon import has_bfloat16
from tests.benchmarks import measure

SIZES = {
    "small": {"d": 256, "layers": 4, "heads": 4, "vocab": 8192, "length": 256},
    "base": {"d": 768, "layers": 12, "heads": 12, "vocab": 50257, "length": 1024},
}
SPECIAL = SpecialTokens(pad=0, unk=1, cls=2, sep=3, mask=4, bos=5, eos=6)
IGNORE = -100
FP32, BF16 = torch.float32, torch.bfloat16
Score = Callable[[], float]  # the nats of the whole text


class Text:
    """A document of random tokens, between BOS and EOS, and its windows."""

    def __init__(self, size: dict[str, int], n: int, device: torch.device) -> None:
        generator = torch.Generator().manual_seed(0)
        self.length, self.stride = size["length"], size["length"] // 2
        own = torch.randint(10, size["vocab"], (n,), generator=generator)
        self.corpus = Corpus(
            tokens=own.numpy().astype(np.int32),
            sentences=np.array([0, n]),
            documents=np.array([0, 1]),
            word_starts=np.ones(n, np.bool_),
            n_bytes=4 * n,
        )
        ends = torch.tensor([SPECIAL.bos]), torch.tensor([SPECIAL.eos])
        self.ids = torch.cat((ends[0], own, ends[1])).to(device)

    def windows(self) -> Iterator[tuple[int, int, int]]:
        """(first, end, first that is scored) of each."""
        scored = 1
        for first in range(0, len(self.ids), self.stride):
            end = min(first + self.length, len(self.ids))
            yield first, end, scored
            if end == len(self.ids):
                return
            scored = end

    def operations(self, size: dict[str, int]) -> float:
        d, total = size["d"], 0.0
        for first, end, scored in self.windows():
            n = end - first - 1  # what the last token says is not asked
            total += size["layers"] * n * (24 * d * d + 2 * n * d)
            total += 2.0 * (end - scored) * d * size["vocab"]
        return total


def their_model(size: dict[str, int], device: torch.device) -> Any:
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=size["vocab"],
        n_embd=size["d"],
        n_layer=size["layers"],
        n_head=size["heads"],
        n_positions=size["length"],
        attn_implementation="sdpa",
        bos_token_id=SPECIAL.bos,
        eos_token_id=SPECIAL.eos,
    )
    return transformers.GPT2LMHeadModel(config).to(device).eval()


def one_at_a_time(model: Any, text: Text) -> Score:
    @torch.inference_mode()
    def score() -> float:
        total = 0.0
        for first, end, scored in text.windows():
            ids = text.ids[None, first:end]
            labels = ids.clone()
            labels[:, : scored - first] = IGNORE
            loss = model(input_ids=ids, labels=labels).loss
            total += loss.item() * (end - scored)
        return total

    return score


def batched(model: Any, text: Text, batch: int, at_targets: bool) -> Score:
    windows = list(text.windows())
    groups = [windows[i : i + batch] for i in range(0, len(windows), batch)]

    @torch.inference_mode()
    def score() -> float:
        total = torch.zeros((), device=text.ids.device)
        for group in groups:
            ids = text.ids.new_zeros(len(group), text.length)
            targets = ids.new_full((len(group), text.length - 1), IGNORE)
            for i, (first, end, scored) in enumerate(group):
                ids[i, : end - first] = text.ids[first:end]
                # Position t predicts t + 1.
                targets[i, scored - first - 1 : end - first - 1] = text.ids[scored:end]
            if at_targets:
                hidden = model.transformer(input_ids=ids[:, :-1]).last_hidden_state
                at = targets != IGNORE
                logits, wanted = model.lm_head(hidden[at]), targets[at]
            else:
                logits = model(input_ids=ids[:, :-1], use_cache=False).logits
                logits, wanted = logits.flatten(0, 1), targets.flatten()
            total += F.cross_entropy(logits.float(), wanted, reduction="sum")
        return total.item()

    return score


def ours(model: Any, text: Text, batch: int, dtype: torch.dtype) -> Score:
    # A window of `transformers` holds its last target, one of lmlib does not.
    objective = CausalLM(text.corpus, SPECIAL, length=text.length - 1, batch_size=batch)
    validate = validation_loss(
        objective,
        lambda: objective.evaluation_batches(text.stride),
        precision="bf16" if dtype == BF16 else "fp32",
    )
    n = len(text.ids) - 1
    return lambda: scores_of(model, validate)["lm"] * n


def autocast(score: Score, device: torch.device) -> Score:
    def run() -> float:
        with torch.autocast(device.type, BF16):
            return score()

    return run


def main() -> None:
    parser = measure.arguments(__doc__)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--tokens", type=int, default=8192, help="of the text")
    parser.add_argument("--batch", type=int, default=8, help="windows at a time")
    given = measure.parse(parser)
    device, size = given.device, SIZES[given.size]
    text = Text(size, given.tokens, device)
    their = their_model(size, device)
    our = measure.in_lmlib(their, device)
    base = "transformers, one window at a time, fp32"
    rows: dict[str, tuple[torch.dtype, Score]] = {}
    for dtype in (FP32, BF16) if has_bfloat16(device) else (FP32,):
        name = measure.short(dtype)
        for what, score in (
            ("one window at a time", one_at_a_time(their, text)),
            ("batched", batched(their, text, given.batch, at_targets=False)),
            ("every trick", batched(their, text, given.batch, at_targets=True)),
        ):
            run = autocast(score, device) if dtype == BF16 else score
            rows[f"transformers, {what}, {name}"] = (dtype, run)
        rows[f"lmlib, {name}"] = (dtype, ours(our, text, given.batch, dtype))
    print(
        f"{given.size} GPT-2, a text of {given.tokens} tokens, windows of "
        f"{text.length}, stride {text.stride}, {given.batch} at a time; "
        f"{measure.machine(device)}; {given.rounds} rounds"
    )
    ceiling = measure.Ceiling(
        device,
        {dtype for dtype, _ in rows.values()},
        tokens=given.batch * text.length,
        d_model=size["d"],
    )
    nats = {name: score() for name, (_, score) in rows.items()}
    for name, (dtype, _) in rows.items():
        tolerance = 1e-6 if dtype == FP32 else 1e-3
        assert abs(nats[name] / nats[base] - 1) < tolerance, nats
    times = measure.take_turns(
        {name: score for name, (_, score) in rows.items()}, ceiling, given.rounds
    )
    table = []
    for name, (dtype, _) in rows.items():
        median = statistics.median(times[name])
        table.append(
            {
                "": name,
                "nats": f"{nats[name]:.3f}",
                "tokens/s": f"{given.tokens / median:,.0f}",
                **measure.ratio(times, base, name),
                "ceiling": ceiling.share(text.operations(size), median, dtype),
            }
        )
    print(ceiling)
    print(Table(table))
    measure.print_same_tricks(times, ceiling)


if __name__ == "__main__":
    main()
