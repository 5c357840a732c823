"""What the commands that train have in common."""

import argparse
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Teaching(argparse.RawDescriptionHelpFormatter):
    """Descriptions keep their lines, and every option says its default."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        default = action.default
        if default in (None, False, argparse.SUPPRESS) or action.nargs == 0:
            return text
        return f"{text} (default: %(default)s)"


def add_parser(commands: Any, name: str, help: str, text: str) -> Any:
    """A command whose description is printed as it is written."""
    return commands.add_parser(
        name, help=help, description=text, formatter_class=Teaching
    )


def add_device(parser: Any) -> None:
    parser.add_argument(
        "--device", help="cpu, cuda, cuda:1, mps; by default the fastest there is"
    )


def add_training(
    parser: argparse.ArgumentParser, *, steps: int, lr: float, batch: int, every: int
) -> None:
    """Options of `lmlib.training.settings.Settings`, with the defaults of a command."""
    group = parser.add_argument_group("training")
    group.add_argument("--steps", type=whole, default=steps, help="parameter updates")
    group.add_argument("--lr", type=real, default=lr, help="peak learning rate")
    group.add_argument(
        "--optimizer",
        choices=["adamw", "muon"],
        default="adamw",
        help="muon: Muon for the hidden matrices, AdamW for the rest",
    )
    group.add_argument("--batch", type=whole, default=batch, help="sequences in a step")
    group.add_argument(
        "--accumulate",
        type=whole,
        default=1,
        help="pieces a batch is worked on in, to save memory",
    )
    group.add_argument(
        "--every", type=whole, default=every, help="steps between validations"
    )
    group.add_argument(
        "--patience", type=whole, help="stop after so many validations without a gain"
    )
    group.add_argument(
        "--precision",
        choices=["auto", "fp32", "bf16"],
        default="auto",
        help="bf16 is twice as fast where the device has units for it",
    )
    group.add_argument(
        "--seed", type=whole, default=0, help="decides all that is random"
    )
    add_device(group)
    group.add_argument(
        "--quiet", action="store_true", help="say nothing but what goes wrong"
    )
    group.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run in --out: to its end if it was killed; further, with "
        "more --steps, if it has ended",
    )


def settings_of(given: argparse.Namespace) -> Any:
    """The `Settings` that the options ask for."""
    from lmlib.training.settings import Settings

    return Settings(
        steps=given.steps,
        lr=given.lr,
        optimizer=given.optimizer,
        warmup=max(given.steps // 20, 1),
        accumulate=given.accumulate,
        precision=given.precision,
        validate_every=given.every,
        patience=given.patience,
        seed=given.seed,
    )


def whole(text: str) -> int:
    """An option's integer: none that would overflow what it comes to."""
    number = int(text)
    if abs(number) >= 1 << 31:
        raise argparse.ArgumentTypeError(f"must be below {1 << 31}, got {text[:20]}")
    return number


def real(text: str) -> float:
    """An option's number: not nan, nor infinite."""
    number = float(text)
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"must be a finite number, got {text[:20]}")
    return number


#: Sequences, tokens, layers and the like: what is more could only be a slip.
MOST = 1_000_000


def check_counts(given: argparse.Namespace, *names: str) -> None:
    """Raise ValueError if one of these options is given and not from 1 to MOST."""
    for name in names:
        value = getattr(given, name)
        if value is not None and not 1 <= value <= MOST:
            bound = f"at least 1, got {value}" if value < 1 else f"at most {MOST:,}"
            raise ValueError(f"{name} must be {bound}")


def check_seed(given: argparse.Namespace) -> None:
    if given.seed < 0:
        raise ValueError(f"seed must not be negative, got {given.seed}")


def check_out(folder: Path) -> None:
    """Raise ValueError if the folder --out cannot be made, before hours of work."""
    for place in (folder, *folder.absolute().parents):
        if os.path.lexists(place):
            if not place.is_dir():
                raise ValueError(f"--out must be a folder, and {place} is none")
            if not os.access(place, os.W_OK | os.X_OK):
                raise ValueError(f"--out must be writable, and {place} is not")
            return


def check_text(name: str, text: str) -> None:
    """Raise ValueError if an argument is no text: bytes that are not UTF-8."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"{name} is no text in UTF-8: {text[:60]!r}")


#: Features of a vector below which a second thread may wait more than it helps:
#: on two cores that others use too, a step took with two threads 5.2 times as long as
#: with one at 32 features, 2.7 at 64, 3.5 at 128.
SMALL = 256


@contextmanager
def threads(width: int) -> Iterator[int]:
    """How many threads torch has in this block: one for a model of small `width`.

    LMLIB_THREADS or OMP_NUM_THREADS in the environment decide, where they are set.
    """
    import torch

    before, told = torch.get_num_threads(), os.environ.get("LMLIB_THREADS")
    wanted = before
    if told is not None:
        if not (told.isdecimal() and 1 <= int(told) <= 1024):
            raise ValueError(f"LMLIB_THREADS must be 1 to 1024, got {told!r}")
        wanted = int(told)
    elif width < SMALL and not os.environ.get("OMP_NUM_THREADS"):
        wanted = 1
    torch.set_num_threads(wanted)
    try:
        yield wanted
    finally:
        torch.set_num_threads(before)


def place(device: Any, n_threads: int) -> str:
    """Where it is computed, in words."""
    if device.type != "cpu":
        return str(device)
    return f"cpu, {n_threads} thread{'s' * (n_threads > 1)}"


def width_of(model: Any) -> int:
    """Features of a hidden vector."""
    width: int = model.get_submodule("backbone").config.d_model
    return width


def check_another(out: Path, model: Path) -> None:
    """Raise ValueError if a model would be written over the one that it came from."""
    if out.resolve() == model.resolve():
        raise ValueError(f"out must be another folder than MODEL, got {out}")


def run_folder(out: Path) -> Path:
    """Where checkpoints and history of the training are, inside of `out`."""
    return out / "training"


def print_losses(scores: dict[str, float]) -> None:
    """The loss of each part in bits per target."""
    from lmlib.losses import bits

    for part, nats in scores.items():
        if part != "loss":
            print(f"  {part:8} {bits(nats):8.4f} bits per target, held out")


def print_scores(scores: dict[str, float]) -> None:
    for name, value in scores.items():
        print(f"  {name:10} {value:.4f}" + (" nats" if name == "loss" else ""))
