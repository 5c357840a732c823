"""The tasks that `lmlib finetune` and `lmlib distill` know."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lmlib.commands.options import whole


def add_task(parser: argparse.ArgumentParser, default: str | None) -> None:
    parser.add_argument(
        "--task", default=default, help="packages, polarity, or a file of examples"
    )
    parser.add_argument(
        "--kind",
        choices=["classification", "pairs", "tagging", "generation"],
        default="classification",
        help="what the examples of a file are",
    )
    add_columns(parser, "text,label, or for pairs text,second,label")
    parser.add_argument(
        "--train", type=whole, help="examples to learn from: so many, if there are"
    )


def add_columns(parser: argparse.ArgumentParser, usual: str) -> None:
    parser.add_argument(
        "--columns",
        type=lambda names: tuple(name.strip() for name in names.split(",")),
        metavar="NAME,NAME",
        help=f"what these are called in a file: {usual}",
    )


def task_of(given: argparse.Namespace) -> Any:
    """The `Task` that the options name."""
    from lmlib.data.installed import installed_packages
    from lmlib.data.public import sentence_polarity
    from lmlib.training.tasks import classification, read_examples, task_data

    labelled: Callable[..., Any]
    if given.task == "packages":
        labelled = installed_packages
    elif given.task == "polarity":
        labelled = sentence_polarity
    else:
        path = Path(given.task)
        if not path.is_file():
            raise FileNotFoundError(
                f"--task {given.task} is neither packages, nor polarity, nor a file"
            )
        examples, names = read_examples(path, given.kind, given.columns)
        return task_data(
            given.kind, examples, names, n_train=given.train, seed=given.seed
        )
    return classification(
        labelled("train"),
        labelled("valid"),
        labelled("test"),
        n_train=given.train,
        n_valid=1000,
        seed=given.seed,
    )


def tuned_task(given: argparse.Namespace, folder: Path, kept: Any) -> Any:
    """The same, which must be what the model `kept` in `folder` was fine-tuned to."""
    known = kept.made.get("task")
    if known is None:
        raise ValueError(
            f"{folder} is not fine-tuned: leave out --task, or `lmlib finetune` it"
        )
    if "length" not in known:
        raise ValueError(f"{folder / 'lmlib.json'} lacks the length of the task")
    task = task_of(given)
    if task.kind != known["kind"]:
        raise ValueError(
            f"--task is {task.kind} (see --kind), the model in {folder} was "
            f"fine-tuned to {known['kind']}"
        )
    if list(task.names) != known["names"]:
        raise ValueError(
            f"--task has the classes {', '.join(task.names)}, the model in {folder} "
            f"{', '.join(known['names'])}"
        )
    return task
