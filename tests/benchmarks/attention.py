"""Attention alone: `lmlib.attention.attend` against PyTorch's fused kernel.

    python -m tests.benchmarks.attention [--device cpu] [--rounds 7] [--tokens 4096]

Both get the same queries, keys and values, lying as the blocks of a model make them,
and take turns. `attend` chooses between that kernel and the products one by one; it
should never be slower by more than 5 %. Beside its ratio stands that of the fused
kernel to itself, timed again: so much is noise. 4 heads of 64; the batch is such that
there are `--tokens` positions. The last column is the share of the machine's ceiling
that lmlib reaches: two products of n × n × d_head forward and four backward, half of
them if causal.
"""

import itertools
import statistics
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from lmlib.attention import attend
from lmlib.tables import Table
from lmlib.training.muon import has_bfloat16
from tests.benchmarks import measure

LENGTHS = (128, 256, 512, 1024, 2048, 4096)
HEADS, D_HEAD = 4, 64


def run(
    kernel: Callable[[Tensor, Tensor, Tensor], Tensor],
    projected: Tensor,
    gradient: Tensor | None,
) -> None:
    """Forward, and backward if there is a gradient to go back with."""
    split = projected.unflatten(-1, (3, HEADS, D_HEAD)).unbind(dim=2)
    query, key, value = (part.transpose(1, 2) for part in split)
    if gradient is None:
        with torch.no_grad():
            kernel(query, key, value)
    else:
        kernel(query, key, value).backward(gradient)
        projected.grad = None


def compare(
    n: int,
    tokens: int,
    dtype: torch.dtype,
    causal: bool,
    backward: bool,
    rounds: int,
    ceiling: measure.Ceiling,
) -> tuple[measure.Times, float]:
    """Seconds of each, and the operations that one run needs."""
    device, batch = ceiling.device, max(tokens // n, 1)
    projected = torch.randn(batch, n, 3 * HEADS * D_HEAD, device=device, dtype=dtype)
    projected.requires_grad_()
    gradient = torch.randn(batch, n, HEADS, D_HEAD, device=device, dtype=dtype)
    gradient = gradient.transpose(1, 2) if backward else None

    def fused(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(query, key, value, is_causal=causal)

    def ours(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return attend(query, key, value, causal=causal)

    times = measure.take_turns(
        {
            "SDPA": lambda: run(fused, projected, gradient),
            "lmlib": lambda: run(ours, projected, gradient),
            "again": lambda: run(fused, projected, gradient),
        },
        ceiling,
        rounds,
        repeats=50 if device.type == "cuda" else 1,
        at_least=1.0,
    )
    operations = 4.0 * batch * HEADS * n * n * D_HEAD
    return times, operations * (0.5 if causal else 1) * (3 if backward else 1)


def main() -> None:
    parser = measure.arguments(__doc__)
    parser.add_argument("--tokens", type=int, default=4096)
    given = measure.parse(parser)
    device = given.device
    dtypes = {torch.float32} | ({torch.bfloat16} if has_bfloat16(device) else set())
    print(
        f"attention alone, {HEADS} heads of {D_HEAD}, {given.tokens} positions, "
        f"{measure.machine(device)}; {given.rounds} rounds or more"
    )
    ceiling = measure.Ceiling(
        device, dtypes, tokens=given.tokens, d_model=HEADS * D_HEAD
    )
    table, medians = [], {"lmlib": [], "again": []}
    for dtype, causal, backward, n in itertools.product(
        ceiling.best, (False, True), (False, True), LENGTHS
    ):
        times, operations = compare(
            n, given.tokens, dtype, causal, backward, given.rounds, ceiling
        )
        for name, found in medians.items():
            found.append(statistics.median(measure.ratios(times, "SDPA", name)))
        median = statistics.median(times["lmlib"])
        table.append(
            {
                "": f"{measure.short(dtype)}, {'causal' if causal else 'all positions'}"
                f", {'forward + backward' if backward else 'forward'}",
                "n": n,
                "ms": f"{1000 * median:.2f}",
                **measure.ratio(times, "SDPA", "lmlib"),
                "SDPA again": f"{medians['again'][-1]:.2f}",
                "ceiling": ceiling.share(operations, median, dtype),
            }
        )
    print(ceiling)
    print(Table(table))
    print(
        f"at worst lmlib has {min(medians['lmlib']):.2f} of SDPA's speed, and SDPA "
        f"{min(medians['again']):.2f} of its own"
    )


if __name__ == "__main__":
    main()
