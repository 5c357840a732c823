"""Tasks for fine-tuning: examples, their splits, and a test set that opens once.

A test set that has been looked at while choosing (a model, a learning rate, a moment to
stop) is a second validation set, and its score a boast. Here `HeldOut` keeps the
examples until the choice is made, and gives them out once.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lmlib.data.documents import Labelled
from lmlib.data.rows import read_rows

Kind = Literal["classification", "pairs", "tagging", "generation"]
KINDS = ("classification", "pairs", "tagging", "generation")


@dataclass(frozen=True)
class Example:
    """What is given and what is wanted.

    Attributes:
        text: the text; for tagging, words with a space between.
        wanted: the number of a class; for tagging one for each word; for generation a
            text.
        second: the other text of a pair.
    """

    text: str
    wanted: int | tuple[int, ...] | str
    second: str = ""


class HeldOut:
    """Examples that are given out once."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self._examples: list[Example] | None = list(examples)

    def open(self) -> list[Example]:
        """The examples.

        Raises:
            RuntimeError: for the second time.
        """
        if self._examples is None:
            raise RuntimeError(
                "the test set has been opened already: choose by the validation set, "
                "and test once"
            )
        examples, self._examples = self._examples, None
        return examples


@dataclass(frozen=True)
class Task:
    """What is to be learned.

    Attributes:
        kind: a class for a text; a class for a pair of texts; a class for each word; a
            text for a text.
        names: of the classes; empty for generation.
        train, valid: to learn from, and to choose by.
        test: to be opened when all is chosen.

    Raises:
        ValueError: no examples, or an example that does not fit the kind.
    """

    kind: Kind
    names: tuple[str, ...]
    train: list[Example]
    valid: list[Example]
    test: HeldOut

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}: {self.kind!r}")
        for name, examples in (("train", self.train), ("valid", self.valid)):
            if not examples:
                raise ValueError(f"{name} must have an example at least")
            for example in examples:
                self.check(example)

    def check(self, example: Example) -> None:
        """Raise ValueError if `example` is not one of this task."""
        wanted, kind = example.wanted, self.kind
        if kind == "generation":
            good = isinstance(wanted, str)
        elif kind == "tagging":
            good = (
                isinstance(wanted, tuple)
                and len(wanted) == len(example.text.split())
                and all(0 <= label < len(self.names) for label in wanted)
            )
        else:
            good = isinstance(wanted, int) and 0 <= wanted < len(self.names)
            good = good and bool(example.second) == (kind == "pairs")
        if not good:
            raise ValueError(
                f"{example} is no example of {kind} with {len(self.names)} classes"
            )


def task_data(
    kind: Kind,
    examples: Sequence[Example],
    names: Sequence[str] = (),
    *,
    n_train: int | None = None,
    valid: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
) -> Task:
    """Divide examples by the hashes of their texts; equal texts are in the same part.

    The parts are the same for every seed: a model that was trained with one of them is
    never tested on what another would have trained it on. `n_train` keeps so many of
    the training examples: the first of an order that `seed` decides, so that 100 are
    among 500.

    Raises:
        ValueError: a part is empty, n_train is below 1, or an example does not fit.
    """
    _check_n(n_train=n_train)
    texts = sorted({(e.text, e.second) for e in examples}, key=_hash)
    place = {text: rank for rank, text in enumerate(texts)}
    n_valid, n_test = round(valid * len(texts)), round(test * len(texts))
    parts: list[list[Example]] = [[], [], []]
    for example in sorted(examples, key=lambda e: place[e.text, e.second]):
        rank = place[example.text, example.second]
        parts[0 if rank < n_test else 1 if rank < n_test + n_valid else 2].append(
            example
        )
    if not all(parts):
        raise ValueError(
            f"{len(texts)} different texts are too few for three parts (valid = "
            f"{valid:g}, test = {test:g})"
        )
    order = np.random.default_rng(seed).permutation(len(parts[2]))
    train = [parts[2][i] for i in order.tolist()][:n_train]
    task = Task(kind, tuple(names), train, parts[1], HeldOut(parts[0]))
    for example in (*parts[0], *parts[2]):  # now, not when the training is over
        task.check(example)
    return task


def _hash(texts: tuple[str, str]) -> bytes:
    return hashlib.sha256(json.dumps(texts).encode()).digest()


def _check_n(**given: int | None) -> None:
    for name, n in given.items():
        if n is not None and n < 1:
            raise ValueError(f"{name} must be at least 1, got {n}")


# What a row of a file holds.
_ROWS: dict[Kind, str] = {
    "classification": "a text, and a name as label",
    "pairs": "a text, a second text, and a name as label",
    "tagging": "a text, and as label a name for each word of the text",
    "generation": "a text, and a text as label",
}


def columns_of(
    kind: str, columns: Sequence[str] | None = None, *, labelled: bool = True
) -> tuple[str, ...]:
    """What the fields of a file are called: text, for pairs second, and label.

    Raises:
        ValueError: `columns` names others, and more or fewer.
    """
    usual = ("text", *(("second",) if kind == "pairs" else ()))
    usual += ("label",) if labelled else ()
    if columns is None:
        return usual
    if len(columns) != len(usual) or len({*columns, ""}) <= len(columns):
        raise ValueError(
            f"columns must be names for {', '.join(usual)} ({kind}), got "
            f"{', '.join(columns)}"
        )
    return tuple(columns)


def read_examples(
    path: Path, kind: Kind, columns: Sequence[str] | None = None
) -> tuple[list[Example], tuple[str, ...]]:
    """Examples and names of classes from a file of JSON objects, or a table.

    {"text": "a fine film", "label": "good"}; for pairs also "second"; for tagging
    "label" is a list with a name for each word, or in a table names with a space
    between; for generation it is a text. `columns` are other names for these, in the
    order text, second, label. See `lmlib.data.rows` for the files.

    Raises:
        ValueError: a row that is not so, by its line; or there is one class alone.
    """
    columns = columns_of(kind, columns)
    rows: list[tuple[str, str, Any]] = []
    for row in read_rows(path, columns):
        text, label = row.fields[columns[0]], row.fields[columns[-1]]
        second = row.fields.get(columns[1] if kind == "pairs" else "second", "")
        if kind == "tagging" and isinstance(label, str):
            label = label.split()
        elif kind != "generation" and isinstance(label, str):
            label = label.strip()
        good = isinstance(text, str) and isinstance(second, str)
        if kind == "tagging":
            good = good and isinstance(label, list) and len(label) == len(text.split())
        labels = label if kind == "tagging" and good else [label]
        good = good and all(isinstance(name, str | int) for name in labels)
        good = good and (kind == "generation" or "" not in labels)
        if not good or (kind == "pairs" and not second):
            got = json.dumps([text, second, label] if second else [text, label])
            raise ValueError(
                f"{row.place}: expected {_ROWS[kind]} for {kind}, got {got[:80]}"
            )
        rows.append((text, second, label))
    if kind == "generation":
        return [Example(text, str(label)) for text, _, label in rows], ()
    every = [label if kind == "tagging" else [label] for _, _, label in rows]
    names = tuple(sorted({str(label) for own in every for label in own}))
    if len(names) < 2:
        raise ValueError(
            f"{path} must have two classes at least, got {', '.join(names) or 'none'}"
        )
    numbers = {name: i for i, name in enumerate(names)}
    if kind == "tagging":
        return [
            Example(text, tuple(numbers[str(x)] for x in label))
            for text, _, label in rows
        ], names
    return [
        Example(text, numbers[str(label)], second) for text, second, label in rows
    ], names


def classification(
    train: Labelled,
    valid: Labelled,
    test: Labelled,
    *,
    n_train: int | None = None,
    n_valid: int | None = None,
    seed: int = 0,
) -> Task:
    """The task of labelled texts that are divided already, shuffled.

    `n_train` and `n_valid` keep so many: the first of an order that `seed` decides.

    Raises:
        ValueError: one of them is below 1, or an example does not fit.
    """
    _check_n(n_train=n_train, n_valid=n_valid)

    def shuffled(part: Labelled) -> list[Example]:
        order = np.random.default_rng(seed).permutation(len(part.texts))
        labels = part.labels.tolist()
        return [Example(part.texts[i], labels[i]) for i in order.tolist()]

    return Task(
        "classification",
        train.names,
        shuffled(train)[:n_train],
        shuffled(valid)[:n_valid],
        HeldOut(shuffled(test)),
    )
