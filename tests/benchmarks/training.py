"""Tokens a second in training: lmlib and `transformers` as people run it, side by side.

    python -m tests.benchmarks.training [--device cpu] [--size small] [--rounds 7]

One step is forward, backward and AdamW on BERT with masked tokens and next sentences.
All rows but that of torch.nn begin with the same weights, and the losses of 20 steps
are compared. `small` has 4 layers of 256, 4 heads, 8,192 tokens, 32 sequences of 128;
`base` is BERT-base. The last column is the share of the machine's ceiling: the floating
point operations that the task needs (logits where there is a target) over the fastest
matrix product measured here in the same precision, in the same run.
"""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
import transformers
from torch import Tensor, nn

from lmlib.models.bert import Bert
from lmlib.tables import Table
from lmlib.training.muon import has_bfloat16
from tests.benchmarks import measure

SIZES = {
    "small": {"d": 256, "layers": 4, "heads": 4, "vocab": 8192, "length": 128},
    "base": {"d": 768, "layers": 12, "heads": 12, "vocab": 30522, "length": 128},
}
Loss = Callable[["Task"], Tensor]
FP32, BF16 = torch.float32, torch.bfloat16


class Task:
    """One batch, the same for all rows, and what it takes."""

    def __init__(
        self, size: dict[str, int], batch: int, device: torch.device, seed: int = 0
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        shape = (batch, size["length"])
        ids = torch.randint(5, size["vocab"], shape, generator=generator)
        masked = torch.rand(shape, generator=generator) < 0.15
        self.size = size
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


# -- What is compared: models, and how their losses are computed ----------------------


def their_model(size: dict[str, int], dropout: float, device: torch.device) -> Any:
    """BertForPreTraining; from the same seed always the same weights."""
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=size["vocab"],
        hidden_size=size["d"],
        num_hidden_layers=size["layers"],
        num_attention_heads=size["heads"],
        intermediate_size=4 * size["d"],
        max_position_embeddings=512,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        attn_implementation="sdpa",
    )
    return transformers.BertForPreTraining(config).to(device).train()


def theirs(model: Any) -> Loss:
    """`transformers` as people run it: logits at all positions."""

    def loss(task: Task) -> Tensor:
        return model(
            input_ids=task.inputs,
            token_type_ids=task.segments,
            labels=task.targets,
            next_sentence_label=task.pairs,
        ).loss

    return loss


def theirs_at_targets(model: Any) -> Loss:
    """`transformers`, its head at the targets alone."""

    def loss(task: Task) -> Tensor:
        out = model.bert(input_ids=task.inputs, token_type_ids=task.segments)
        hidden = out.last_hidden_state.flatten(0, 1)[task.positions]
        logits = model.cls.predictions(hidden)
        pairs = model.cls.seq_relationship(out.pooler_output)
        return F.cross_entropy(logits, task.masked_ids) + F.cross_entropy(
            pairs, task.pairs
        )

    return loss


def our_model(size: dict[str, int], dropout: float, device: torch.device) -> Bert:
    """The weights of `their_model`."""
    start = measure.in_lmlib(their_model(size, 0.0, device), device)
    config = replace(start.config, dropout=dropout, attention_dropout=dropout)
    model = Bert(config).to(device)
    model.load_state_dict(start.state_dict())
    return model.train()


def ours(model: Bert, compiled: bool = False) -> Loss:
    backbone = torch.compile(model.backbone) if compiled else model.backbone

    def loss(task: Task) -> Tensor:
        hidden = backbone(task.inputs, segment_ids=task.segments).hidden
        logits = model.heads["mlm"](hidden.flatten(0, 1)[task.positions])
        pairs = model.heads["nsp"](hidden)
        return F.cross_entropy(logits, task.masked_ids) + F.cross_entropy(
            pairs, task.pairs
        )

    return loss


def torch_encoder(size: dict[str, int], device: torch.device) -> tuple[nn.Module, Loss]:
    """torch.nn.TransformerEncoder with the head as a beginner adds it."""
    layer = nn.TransformerEncoderLayer(
        size["d"], size["heads"], 4 * size["d"], 0.1, "gelu", batch_first=True
    )
    parts = nn.ModuleDict(
        {
            "token": nn.Embedding(size["vocab"], size["d"]),
            "position": nn.Embedding(512, size["d"]),
            "segment": nn.Embedding(2, size["d"]),
            "encoder": nn.TransformerEncoder(
                layer, size["layers"], enable_nested_tensor=False
            ),
            "dense": nn.Linear(size["d"], size["d"]),
            "norm": nn.LayerNorm(size["d"]),
            "pooler": nn.Linear(size["d"], size["d"]),
            "pair": nn.Linear(size["d"], 2),
        }
    ).to(device)
    places = torch.arange(size["length"], device=device)

    def loss(task: Task) -> Tensor:
        x = parts["token"](task.inputs) + parts["position"](places)
        hidden = parts["encoder"](x + parts["segment"](task.segments))
        said = parts["norm"](F.gelu(parts["dense"](hidden)))
        logits = F.linear(said, parts["token"].weight)
        pairs = parts["pair"](torch.tanh(parts["pooler"](hidden[:, 0])))
        return F.cross_entropy(
            logits.flatten(0, 1), task.targets.flatten()
        ) + F.cross_entropy(pairs, task.pairs)

    return parts, loss


def stepper(
    model: nn.Module, loss: Loss, dtype: torch.dtype, fused: bool = True
) -> Callable[[Task], Tensor]:
    """One step of training on a task; gives its loss."""
    kind = {"fused": True} if fused else {"foreach": True}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, **kind)

    def step(task: Task) -> Tensor:
        with torch.autocast(task.inputs.device.type, BF16, enabled=dtype == BF16):
            total = loss(task)
        total.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return total.detach()

    return step


# -- The table ------------------------------------------------------------------------

Row = tuple[str, torch.dtype, Callable[[Task], Tensor]]
PEOPLE = "transformers as people run it"


def rows(
    size: dict[str, int], device: torch.device, with_compile: bool
) -> Iterator[Row]:
    for dtype in (FP32, BF16) if has_bfloat16(device) else (FP32,):
        name = measure.short(dtype)
        model: Any = their_model(size, 0.1, device)
        yield f"{PEOPLE}, {name}", dtype, stepper(model, theirs(model), dtype, False)
        model = their_model(size, 0.0, device)
        step = stepper(model, theirs_at_targets(model), dtype)
        yield f"transformers, every trick, {name}", dtype, step
        if dtype == FP32:
            step = stepper(*torch_encoder(size, device), dtype, fused=False)
            yield "torch.nn.TransformerEncoder, fp32", dtype, step
        for dropout in (0.0, 0.1):
            model = our_model(size, dropout, device)
            what = f"lmlib, {name}" + (f", dropout {dropout}" if dropout else "")
            yield what, dtype, stepper(model, ours(model), dtype)
        if with_compile:
            model = our_model(size, 0.0, device)
            step = stepper(model, ours(model, compiled=True), dtype)
            yield f"lmlib, {name}, torch.compile", dtype, step


def print_table(
    task: Task,
    contenders: Sequence[Row],
    times: measure.Times,
    ceiling: measure.Ceiling,
) -> None:
    base = contenders[0][0]
    table = []
    for name, dtype, _ in contenders:
        median = statistics.median(times[name])
        table.append(
            {
                "": name,
                "tokens/s": f"{task.tokens / median:,.0f}",
                **measure.ratio(times, base, name),
                "ceiling": ceiling.share(task.operations, median, dtype),
            }
        )
    print(Table(table))
    measure.print_same_tricks(times, ceiling)


# -- The same loss curve --------------------------------------------------------------


def print_curves(
    size: dict[str, int], device: torch.device, dtype: torch.dtype, steps: int = 20
) -> None:
    """Losses of the same batches (four, over and over, so that there is something to
    learn) from the same weights; all else as in the table."""
    tasks = [Task(size, 8, device, seed=1 + i % 4) for i in range(steps)]
    their, our = their_model(size, 0.0, device), our_model(size, 0.0, device)
    runs = (
        stepper(their, theirs(their), dtype, fused=False),
        stepper(our, ours(our), dtype),
    )
    expected, got = ([float(step(task)) for task in tasks] for step in runs)
    largest = max(abs(a - b) for a, b in zip(expected, got, strict=True))
    print(
        f"same loss curve, {measure.short(dtype)}: {steps} steps from "
        f"{expected[0]:.4f} to {expected[-1]:.4f} nats; lmlib and transformers differ "
        f"by {largest:.1e} at most"
    )


def main() -> None:
    parser = measure.arguments(__doc__)
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--compile", action="store_true")
    given = measure.parse(parser)
    device, size = given.device, SIZES[given.size]
    task = Task(size, given.batch, device)
    contenders = list(rows(size, device, given.compile))
    print(
        f"{given.size} BERT, {given.batch} × {size['length']} tokens, "
        f"{measure.machine(device)}; {given.rounds} rounds"
    )
    ceiling = measure.Ceiling(
        device,
        {dtype for _, dtype, _ in contenders},
        tokens=task.tokens,
        d_model=size["d"],
    )
    times = measure.take_turns(
        {name: lambda step=step: step(task) for name, _, step in contenders},
        ceiling,
        given.rounds,
        repeats=20 if device.type == "cuda" else 1,
    )
    print(ceiling)
    print_table(task, contenders, times, ceiling)
    for dtype in ceiling.best:
        print_curves(size, device, dtype)


if __name__ == "__main__":
    main()
