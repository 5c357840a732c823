"""What the benchmarks have in common: taking turns, ratios, and the machine's ceiling.

Rows take turns, so that whatever else the machine does hits all of them. A ratio is the
median, and its range, of the ratios within a round. `--threads 1` on a CPU counts the
processor's seconds for this process, not those on the wall: neighbours cost less then.
"""

import argparse
import itertools
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

from lmlib.models import hub

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

Run = Callable[[], Any]
Times = dict[str, list[float]]


def arguments(description: str | None, rounds: int = 7) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """What was asked for, with the number of threads and the seed set."""
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    return given


def machine(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    n = torch.get_num_threads()
    threads = "1 thread (seconds of the processor)" if n == 1 else f"{n} threads"
    return f"{_processor()}, {threads}, {torch.backends.cpu.get_cpu_capability()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2] for line in lines if line.startswith("model name")]
    return names[0].strip() if names else platform.machine()


# -- Time -----------------------------------------------------------------------------


def seconds(run: Run, device: torch.device, repeats: int = 1) -> float:
    """How long one call takes, as the mean of `repeats`."""
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter
    _wait(device)
    began = clock()
    for _ in range(repeats):
        run()
    _wait(device)
    return (clock() - began) / repeats


def take_turns(
    runs: Mapping[str, Run],
    ceiling: "Ceiling",
    rounds: int,
    *,
    repeats: int = 1,
    at_least: float = 0.0,
) -> Times:
    """Seconds of each, in `rounds` rounds, and more until `at_least` seconds are over.

    A call of each before counts for nothing: memory is allocated, kernels compiled.
    """
    for run in runs.values():
        run()
    times: Times = {name: [] for name in runs}
    began = time.perf_counter()
    while len(next(iter(times.values()))) < rounds or (
        time.perf_counter() - began < at_least
    ):
        # There and back, so that none always comes after the same other one.
        order = list(runs) if len(next(iter(times.values()))) % 2 else [*runs][::-1]
        for name in order:
            times[name].append(seconds(runs[name], ceiling.device, repeats))
    ceiling.measure()
    return times


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def ratios(times: Times, base: str, name: str) -> list[float]:
    """How many times as fast as `base`, in each round."""
    pairs = zip(times[base], times[name], strict=True)
    return [reference / own for reference, own in pairs]


def ratio(times: Times, base: str, name: str) -> dict[str, str]:
    """Two cells of a table: the median of `ratios`, and their range."""
    all_of_them = ratios(times, base, name)
    return {
        "ratio": f"{statistics.median(all_of_them):.2f}",
        "range": f"{min(all_of_them):.2f}–{max(all_of_them):.2f}",
    }


# -- The ceiling ----------------------------------------------------------------------


class Ceiling:
    """The most operations a second that a matrix product reached, by precision.

    Tried are two: tokens × d_model × 4·d_model, as in a feed-forward layer, and a large
    square one. `take_turns` tries again, since a neighbour may have been busy at first:
    the ceiling only rises.
    """

    def __init__(
        self,
        device: torch.device,
        dtypes: Iterable[torch.dtype],
        *,
        tokens: int,
        d_model: int,
    ) -> None:
        self.device = device
        large = 8192 if device.type == "cuda" else 2048
        self.shapes = ((tokens, d_model, 4 * d_model), (large, large, large))
        self.best = dict.fromkeys(sorted(dtypes, key=str), 0.0)
        self.measure()

    def measure(self) -> None:
        for dtype, (n, k, m) in itertools.product(self.best, self.shapes):
            a = torch.randn(n, k, device=self.device, dtype=dtype)
            b = torch.randn(k, m, device=self.device, dtype=dtype)
            a @ b
            least = min(seconds(lambda a=a, b=b: a @ b, self.device) for _ in range(3))
            self.best[dtype] = max(self.best[dtype], 2 * n * k * m / least)

    def share(self, operations: float, took: float, dtype: torch.dtype) -> str:
        return f"{operations / took / self.best[dtype]:.0%}"

    def __str__(self) -> str:
        said = [f"{x / 1e9:,.0f} GFLOP/s in {short(d)}" for d, x in self.best.items()]
        lines = [f"ceiling, the fastest matrix product of this run: {', '.join(said)}"]
        if torch.bfloat16 not in self.best:
            lines.append("no rows in bf16: this processor has no units for it")
        return "\n".join(lines)


def short(dtype: torch.dtype) -> str:
    return {torch.float32: "fp32", torch.bfloat16: "bf16"}[dtype]


# -- The same model twice -------------------------------------------------------------


def print_same_tricks(times: Times, ceiling: Ceiling) -> None:
    """The ratio of lmlib to transformers given the same tricks, for each precision."""
    for dtype in ceiling.best:
        name = short(dtype)
        same = ratio(times, f"transformers, every trick, {name}", f"lmlib, {name}")
        print(
            f"lmlib against transformers with every trick, {name}: "
            f"{same['ratio']} ({same['range']})"
        )


def in_lmlib(theirs: nn.Module, device: torch.device) -> Any:
    """lmlib's model with the weights of one of `transformers`."""
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)  # type: ignore[operator]
        return hub.load(folder, device=device)
