"""`lmlib predict`: a fine-tuned model tells the class of texts."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lmlib.commands import options
from lmlib.commands.task_options import add_columns

TEXT = """\
Let a model that was fine-tuned to classes tell those of texts.

Texts come as arguments; from a --file; or, without either, from standard input, a text
on each line. Of a file that ends in .csv or .tsv the column "text" is read, of lines of
JSON (.jsonl, .json) that field, of any other file its lines. To a model of pairs give
two arguments for each pair, a tab between two texts on a line, or a column "second".

There is a line for each text, with the classes from the likeliest down and their
probabilities, separated by tabs; of a model that tags, a line for each word, and an
empty one after each text. With --json it is an object for each text, which has its
"text", "label" and the "probabilities" by name (for each word, if it tags; null for a
word that was beyond the model's length).

examples:
  lmlib predict runs/packages "Return the shape of an array."
  lmlib predict runs/packages --file reviews.csv --columns review --json
  head -n 20 notes.txt | lmlib predict runs/packages --top 1
"""


def add(commands: Any) -> None:
    parser = options.add_parser(
        commands, "predict", "a fine-tuned model tells classes", TEXT
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a folder")
    parser.add_argument("texts", metavar="TEXT", nargs="*", help="see above")
    parser.add_argument("--file", type=Path, help="with texts; - is the standard input")
    add_columns(parser, "text, or text,second")
    parser.add_argument(
        "--top", type=options.whole, help="so many classes at most, of all"
    )
    parser.add_argument("--json", action="store_true", help="an object for each text")
    parser.add_argument("--batch", type=options.whole, default=32, help="texts at once")
    options.add_device(parser)
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    import lmlib
    from lmlib.training.predict import predict
    from lmlib.training.saved import load

    options.check_counts(given, "batch", "top")
    for text in given.texts:
        options.check_text("TEXT", text)
    if given.texts and given.file:
        raise ValueError("--file must be left out where there is a TEXT")
    kept = load(given.model, lmlib.device(given.device))
    task = kept.made.get("task")
    if task is None:
        raise ValueError(
            f"{given.model} is not fine-tuned, and knows no classes: `lmlib finetune` "
            "it to a task"
        )
    if task["kind"] == "generation":
        raise ValueError(f"{given.model} answers with texts: see `lmlib generate`")
    if "length" not in task:
        raise ValueError(f"{given.model / 'lmlib.json'} lacks the length of the task")
    examples = list(_examples(given, task["kind"]))
    with options.threads(options.width_of(kept.model)):
        found = predict(
            kept.model,
            examples,
            task["kind"],
            kept.tokenizer,
            length=task["length"],
            batch_size=given.batch,
        )
    if cut := _too_long(examples, kept.model, kept.tokenizer, task):
        print(
            f"{cut} of {len(examples)} texts had more than {task['length']} tokens "
            "and were read so far",
            file=sys.stderr,
        )
    show = _json if given.json else _plain
    for example, shares in zip(examples, found, strict=True):
        print(show(example, shares, task["names"], given.top))
    return 0


# -- What is read ---------------------------------------------------------------------


def _examples(given: argparse.Namespace, kind: str) -> Iterator[Any]:
    from lmlib.data.files import read_text
    from lmlib.data.rows import read_rows
    from lmlib.training.tasks import Example, columns_of

    columns = columns_of(kind, given.columns, labelled=False)
    named = str(given.file or "-") != "-"
    if given.texts:
        if len(given.texts) % len(columns):
            raise ValueError(
                f"TEXT must be two for each pair, got {len(given.texts)} in all"
            )
        texts = [
            (f"TEXT {i + 1}", given.texts[i : i + len(columns)])
            for i in range(0, len(given.texts), len(columns))
        ]
    elif named and given.file.suffix.lower() in (
        *(".csv", ".tsv", ".tab"),
        *(".json", ".jsonl", ".ndjson"),
    ):
        texts = [
            (row.place, [row.fields[name] for name in columns])
            for row in read_rows(given.file, columns)
        ]
    else:
        source = str(given.file) if named else "standard input"
        if given.columns:
            raise ValueError(f"--columns must be of a table or JSON, not of {source}")
        content = read_text(given.file) if named else _standard_input()
        lines = [line.removesuffix("\r") for line in content.split("\n")]
        if lines[-1] == "":
            lines.pop()
        texts = [
            (f"{source}, line {i}", line.split("\t") if len(columns) > 1 else [line])
            for i, line in enumerate(lines, 1)
        ]
    for place, parts in texts:
        if len(parts) != len(columns) or not all(isinstance(p, str) for p in parts):
            wanted = "two texts" if len(columns) > 1 else "a text"
            raise ValueError(f"{place}: expected {wanted}, got {str(parts)[:60]}")
        text, second = [*parts, ""][:2]
        if len(columns) > 1 and not second.strip():
            raise ValueError(f"{place}: the second text of the pair is empty")
        yield Example(text, 0, second)


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ValueError(f"standard input, line {line}: this is not UTF-8") from None


def _too_long(
    examples: Sequence[Any], model: Any, tokenizer: Any, task: dict[str, Any]
) -> int:
    """How many examples have more tokens than the model was fine-tuned to read."""
    from lmlib.training.finetune import n_separators

    room = task["length"] - 2  # [CLS] and the last [SEP]
    if task["kind"] == "pairs":
        room -= n_separators(model)
    return sum(
        sum(len(tokenizer.encode(text)) for text in (e.text, e.second) if text) > room
        for e in examples
    )


# -- What is written ------------------------------------------------------------------


def _ranked(shares: Any, names: Sequence[str], top: int | None) -> dict[str, float]:
    """Classes and probabilities, from the likeliest down; equal ones by their order."""
    order = (-shares).argsort(kind="stable")[:top]
    return {names[i]: round(float(shares[i]), 6) for i in order.tolist()}


def _plain(example: Any, shares: Any, names: Sequence[str], top: int | None) -> str:
    def told(own: Any) -> str:
        if own[0] != own[0]:  # nan
            return "_"
        ranked = _ranked(own, names, top)
        return "\t".join(f"{name} {share:.4f}" for name, share in ranked.items())

    if shares.ndim == 1:
        return told(shares)
    words = zip(example.text.split(), shares, strict=True)
    return "".join(f"{word}\t{told(own)}\n" for word, own in words)


def _json(example: Any, shares: Any, names: Sequence[str], top: int | None) -> str:
    tags = shares.ndim == 2
    found = [
        None if own[0] != own[0] else _ranked(own, names, top)
        for own in (shares if tags else [shares])
    ]
    labels = [next(iter(own)) if own else None for own in found]
    row = {"text": example.text}
    if example.second:
        row["second"] = example.second
    row |= {
        "label": labels if tags else labels[0],
        "probabilities": found if tags else found[0],
    }
    return json.dumps(row, ensure_ascii=False)
