"""Several processes, on one machine or many, as `torchrun` starts them.

Every process computes the batch of a step from its number, and takes its rows of it:
no process tells another what to work on, and the number of targets in the whole batch,
by which losses are divided, is known to all without a message.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from lmlib.objectives.objective import Batch

Value = TypeVar("Value")


@contextmanager
def processes(device: torch.device | str | None = None) -> Iterator[torch.device]:
    """Join the processes of `torchrun`, if it started this one; yields the device.

    On cuda each process of a machine takes a device of its own, by LOCAL_RANK. Without
    `torchrun` nothing happens but that `device` is passed on (`lmlib.device()` for
    None).

    Raises:
        ValueError: there is no such device.
    """
    import lmlib

    alone = int(os.environ.get("WORLD_SIZE", "1")) < 2 or dist.is_initialized()
    wanted = str(lmlib.device() if device is None else device)
    if wanted.startswith("cuda") and not alone:
        wanted = f"cuda:{os.environ['LOCAL_RANK']}"
    chosen = lmlib.device(wanted)
    if alone:
        yield chosen
        return
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    dist.init_process_group(
        "nccl" if chosen.type == "cuda" else "gloo", timeout=timedelta(minutes=10)
    )
    try:
        yield chosen
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """The number of this process, from 0; 0 writes the files."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def wait_for_all() -> None:
    """Return when every process has come here."""
    if world_size() > 1:
        dist.barrier()


def total(x: Tensor) -> Tensor:
    """The sum of `x` over all processes, in place."""
    if world_size() > 1:
        dist.all_reduce(x)
    return x


def from_first(value: Value) -> Value:
    """The value that process 0 has, for decisions that all must take alike."""
    if world_size() == 1:
        return value
    held = [value]
    dist.broadcast_object_list(held)
    return held[0]


def rows(batch: Batch, part: int, parts: int) -> Batch:
    """Part 0 … parts − 1 of the rows of a batch; parts differ by one row at most.

    Raises:
        ValueError: there are fewer rows than parts.
    """
    n = len(next(iter(batch.values())))
    if n < parts:
        raise ValueError(
            f"a batch of {n} rows cannot be divided among {parts} (processes times "
            "accumulation): make the batch larger"
        )
    here = slice(part * n // parts, (part + 1) * n // parts)
    return {name: values[here] for name, values in batch.items()}
