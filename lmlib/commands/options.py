"""What the commands that train have in common."""

import argparse
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
    group.add_argument("--steps", type=int, default=steps, help="parameter updates")
    group.add_argument("--lr", type=float, default=lr, help="peak learning rate")
    group.add_argument(
        "--optimizer",
        choices=["adamw", "muon"],
        default="adamw",
        help="muon: Muon for the hidden matrices, AdamW for the rest",
    )
    group.add_argument("--batch", type=int, default=batch, help="sequences in a step")
    group.add_argument(
        "--accumulate",
        type=int,
        default=1,
        help="pieces a batch is worked on in, to save memory",
    )
    group.add_argument(
        "--every", type=int, default=every, help="steps between validations"
    )
    group.add_argument(
        "--patience", type=int, help="stop after so many validations without a gain"
    )
    group.add_argument(
        "--precision",
        choices=["auto", "fp32", "bf16"],
        default="auto",
        help="bf16 is twice as fast where the device has units for it",
    )
    group.add_argument("--seed", type=int, default=0, help="decides all that is random")
    add_device(group)
    group.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run in --out, which was killed or has just begun",
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


def check_counts(given: argparse.Namespace, *names: str) -> None:
    """Raise ValueError if one of these options is given and below 1."""
    for name in names:
        if (value := getattr(given, name)) is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


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
