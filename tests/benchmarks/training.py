"""Tokens a second in training: lmlib and `transformers` as people run it, side by side.

    python -m tests.benchmarks.training [--device cpu] [--size small] [--rounds 7]

One step is forward, backward and AdamW on BERT with masked tokens and next sentences.
The rows take turns, so that whatever else the machine does hits all of them; ratios are
of medians. `small` has 4 layers of 256, 4 heads, 8,192 tokens, 32 sequences of 128;
`base` is BERT-base. The last column is the share of the machine's ceiling: the floating
point operations that the task needs (logits where there is a target) over the fastest
matrix product measured here in the same precision, in the same run.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import BertConfig, BertForPreTraining

from lmlib.models.bert import Bert
from lmlib.transformer import TransformerConfig

Step = Callable[[], Any]
SIZES = {
    "small": {"d": 256, "layers": 4, "heads": 4, "vocab": 8192, "length": 128},
    "base": {"d": 768, "layers": 12, "heads": 12, "vocab": 30522, "length": 128},
}


class Task:
    """One batch, the same for all rows, and what it takes."""

    def __init__(self, size: dict[str, int], batch: int, device: torch.device) -> None:
        generator = torch.Generator().manual_seed(0)
        shape = (batch, size["length"])
        ids = torch.randint(5, size["vocab"], shape, generator=generator)
        masked = torch.rand(shape, generator=generator) < 0.15
        self.size, self.device, self.batch = size, device, batch
        self.inputs = ids.masked_fill(masked, 4).to(device)
        self.targets = ids.masked_fill(~masked, -100).to(device)
        # Where they are is known when a batch is made: no step has to search.
        self.positions = masked.flatten().nonzero().squeeze(1).to(device)
        self.masked_ids = ids.flatten().to(device)[self.positions]
        self.segments = (torch.arange(shape[1]) >= shape[1] // 2).long()
        self.segments = self.segments.expand(shape).contiguous().to(device)
        self.pairs = torch.randint(2, (batch,), generator=generator).to(device)

    @property
    def tokens(self) -> int:
        return self.inputs.numel()

    @property
    def operations(self) -> float:
        """Multiplications and additions of one step: three times those of forward."""
        d, n, v = self.size["d"], self.size["length"], self.size["vocab"]
        blocks = self.size["layers"] * self.tokens * (24 * d * d + 4 * n * d)
        head = len(self.positions) * (2 * d * v + 2 * d * d)
        return 3.0 * (blocks + head)


def sync(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def autocast(task: Task, on: bool) -> Any:
    if not on:
        return nullcontext()
    return torch.autocast(task.device.type, torch.bfloat16)


def _stepper(
    model: nn.Module, task: Task, loss: Callable[[], Tensor], bf16: bool, fused: bool
) -> Step:
    kind = {"fused": True} if fused else {"foreach": True}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, **kind)

    def step() -> None:
        with autocast(task, bf16):
            total = loss()
        total.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def theirs(task: Task, *, bf16: bool = False, tricks: bool = False) -> Step:
    """`transformers`; with `tricks`: head at the targets, no dropout, fused AdamW."""
    s = task.size
    dropout = 0.0 if tricks else 0.1
    config = BertConfig(
        vocab_size=s["vocab"],
        hidden_size=s["d"],
        num_hidden_layers=s["layers"],
        num_attention_heads=s["heads"],
        intermediate_size=4 * s["d"],
        max_position_embeddings=512,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        attn_implementation="sdpa",
    )
    model = BertForPreTraining(config).to(task.device).train()

    def plain() -> Tensor:
        return model(
            input_ids=task.inputs,
            token_type_ids=task.segments,
            labels=task.targets,
            next_sentence_label=task.pairs,
        ).loss

    def at_targets() -> Tensor:
        out = model.bert(input_ids=task.inputs, token_type_ids=task.segments)
        hidden = out.last_hidden_state.flatten(0, 1)[task.positions]
        logits = model.cls.predictions(hidden)
        pairs = model.cls.seq_relationship(out.pooler_output)
        return F.cross_entropy(logits, task.masked_ids) + F.cross_entropy(
            pairs, task.pairs
        )

    return _stepper(model, task, at_targets if tricks else plain, bf16, tricks)


def torch_encoder(task: Task) -> Step:
    """torch.nn.TransformerEncoder, in float32, with the head as a beginner adds it."""
    s = task.size
    layer = nn.TransformerEncoderLayer(
        s["d"], s["heads"], 4 * s["d"], 0.1, "gelu", batch_first=True
    )
    parts = nn.ModuleDict(
        {
            "token": nn.Embedding(s["vocab"], s["d"]),
            "position": nn.Embedding(512, s["d"]),
            "segment": nn.Embedding(2, s["d"]),
            "encoder": nn.TransformerEncoder(
                layer, s["layers"], enable_nested_tensor=False
            ),
            "dense": nn.Linear(s["d"], s["d"]),
            "norm": nn.LayerNorm(s["d"]),
            "pooler": nn.Linear(s["d"], s["d"]),
            "pair": nn.Linear(s["d"], 2),
        }
    ).to(task.device)
    places = torch.arange(s["length"], device=task.device)

    def loss() -> Tensor:
        x = parts["token"](task.inputs) + parts["position"](places)
        hidden = parts["encoder"](x + parts["segment"](task.segments))
        said = parts["norm"](F.gelu(parts["dense"](hidden)))
        logits = F.linear(said, parts["token"].weight)
        pairs = parts["pair"](torch.tanh(parts["pooler"](hidden[:, 0])))
        return F.cross_entropy(
            logits.flatten(0, 1), task.targets.flatten()
        ) + F.cross_entropy(pairs, task.pairs)

    return _stepper(parts, task, loss, bf16=False, fused=False)


def ours(
    task: Task, *, bf16: bool = False, dropout: float = 0.0, compiled: bool = False
) -> Step:
    s = task.size
    model = Bert(
        TransformerConfig(
            vocab_size=s["vocab"],
            d_model=s["d"],
            n_layers=s["layers"],
            n_heads=s["heads"],
            n_segments=2,
            max_len=512,
            dropout=dropout,
            attention_dropout=dropout,
        )
    ).to(task.device)
    backbone = torch.compile(model.backbone) if compiled else model.backbone

    def loss() -> Tensor:
        hidden = backbone(task.inputs, segment_ids=task.segments).hidden
        logits = model.heads["mlm"](hidden.flatten(0, 1)[task.positions])
        pairs = model.heads["nsp"](hidden)
        return F.cross_entropy(logits, task.masked_ids) + F.cross_entropy(
            pairs, task.pairs
        )

    return _stepper(model.train(), task, loss, bf16, fused=True)


def ceiling(task: Task, bf16: bool) -> float:
    """Operations a second of the best of the matrix products that the model consists of
    and one that is square and large."""
    dtype = torch.bfloat16 if bf16 else torch.float32
    d, best = task.size["d"], 0.0
    large = 8192 if task.device.type == "cuda" else 2048
    for n, k, m in ((task.tokens, d, 4 * d), (large, large, large)):
        a = torch.randn(n, k, device=task.device, dtype=dtype)
        b = torch.randn(k, m, device=task.device, dtype=dtype)
        for _ in range(3):
            a @ b
        times = []
        for _ in range(10):
            sync(task.device)
            began = time.perf_counter()
            a @ b
            sync(task.device)
            times.append(time.perf_counter() - began)
        best = max(best, 2 * n * k * m / min(times))
    return best


def has_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is done in hardware; emulated, a step takes minutes."""
    if device.type == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return True


def rows(task: Task, with_compile: bool) -> Iterator[tuple[str, Step, bool]]:
    bf16 = has_bf16(task.device)
    yield "transformers as people run it (fp32)", theirs(task), False
    yield "transformers, every trick, fp32", theirs(task, tricks=True), False
    yield "torch.nn.TransformerEncoder (fp32)", torch_encoder(task), False
    yield "lmlib, fp32", ours(task), False
    yield "lmlib, fp32, dropout 0.1", ours(task, dropout=0.1), False
    if with_compile:
        yield "lmlib, fp32, torch.compile", ours(task, compiled=True), False
    if not bf16:
        return
    yield "transformers, bf16", theirs(task, bf16=True), True
    yield "transformers, every trick, bf16", theirs(task, bf16=True, tricks=True), True
    yield "lmlib, bf16", ours(task, bf16=True), True
    if with_compile:
        yield "lmlib, bf16, torch.compile", ours(task, bf16=True, compiled=True), True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--compile", action="store_true")
    given = parser.parse_args()
    torch.manual_seed(0)
    device = torch.device(given.device)
    task = Task(SIZES[given.size], given.batch, device)
    contenders = list(rows(task, given.compile))
    peak = {bf16: ceiling(task, bf16) for bf16 in {bf16 for _, _, bf16 in contenders}}
    for _, step, _ in contenders:  # lazy initialisation, compilation
        step()
        step()
    repeats = 20 if device.type == "cuda" else 1
    times: dict[str, list[float]] = {name: [] for name, _, _ in contenders}
    for _ in range(given.rounds):
        for name, step, _ in contenders:
            sync(device)
            began = time.perf_counter()
            for _ in range(repeats):
                step()
            sync(device)
            times[name].append((time.perf_counter() - began) / repeats)
    machine = (
        torch.cuda.get_device_name()
        if device.type == "cuda"
        else f"{platform.machine()}, {torch.get_num_threads()} threads, "
        f"{torch.backends.cpu.get_cpu_capability()}"
    )
    print(f"{given.size} BERT, {given.batch} × {task.size['length']} tokens, {machine}")
    measured = [
        f"{peak[bf16] / 1e9:,.0f} GFLOP/s in {'bf16' if bf16 else 'fp32'}"
        for bf16 in sorted(peak)
    ]
    print(f"measured ceiling: {', '.join(measured)}; {given.rounds} rounds, medians")
    if True not in peak:
        print("no rows in bf16: this processor has no units for it")
    base = statistics.median(times[contenders[0][0]])
    print(f"{'':38}{'tokens/s':>10}{'ratio':>7}{'range':>13}{'ceiling':>9}")
    for name, _, bf16 in contenders:
        median = statistics.median(times[name])
        ratios = [
            first / own
            for first, own in zip(times[contenders[0][0]], times[name], strict=True)
        ]
        share = task.operations / median / peak[bf16]
        print(
            f"{name:38}{task.tokens / median:10,.0f}{base / median:7.2f}"
            f"{min(ratios):7.2f}–{max(ratios):.2f}{share:9.0%}"
        )


if __name__ == "__main__":
    main()
