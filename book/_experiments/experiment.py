"""What recorded experiments share: how runs become a record, and some of their data.

Each script beside this file is one experiment, named after its section:

    python book/_experiments/3.3-labels.py

It writes `<its name>.json` beside itself, a row for each run as it ends: an experiment
that was stopped goes on with the runs that are missing. All start from the text and
models that come with the course, but for a task that says what it downloads. A run that
starts from a shipped model names its weights, and is made anew when others are shipped.
`--start N/M` does every M-th run, for several processes; each of them writes a file of
its own, which `--join M` puts together. A record names its code, and is as old as its
oldest row (`book/_ext/provenance.py`): to make it anew, take it away first.
`make experiments` does all that is missing.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lmlib.data.cache import replacing
from lmlib.data.installed import installed_packages
from lmlib.data.public import sentence_polarity
from lmlib.objectives import audit
from lmlib.objectives.nsp import NextSentence
from lmlib.objectives.pairs import Pairs, consecutive_pairs
from lmlib.objectives.sequences import Ids
from lmlib.shipped import shipped
from lmlib.training.finetune import weights_digest
from lmlib.training.saved import circumstances
from lmlib.training.settings import Settings
from lmlib.training.tasks import Task, classification

SEEDS = (0, 1, 2)
EPOCHS = {100: 20, 500: 10, 2000: 4}  # by number of labels: less data, more often
N_TEST = 2000

Row = dict[str, Any]
Runs = Iterator[tuple[Row, Callable[[], Row]]]  # what a run is, and how its row is made


# -- A task with labels ---------------------------------------------------------------


def the_task(name: str, n: int, seed: int) -> Task:
    labelled: Any = {"packages": installed_packages, "polarity": sentence_polarity}
    parts = [labelled[name](split) for split in ("train", "valid", "test")]
    return classification(*parts, n_train=n, n_valid=500, seed=seed)


def settings_for(n: int, seed: int) -> Settings:
    """16 examples in a step; the best of ten validations is kept."""
    steps = EPOCHS[n] * n // 16
    return Settings(
        steps=steps,
        lr=5e-4,
        warmup=steps // 10,
        validate_every=max(steps // 10, 1),
        precision="fp32",
        seed=seed,
    )


def shipped_weights(name: str) -> str:
    """The digest of a model that comes with the course."""
    return weights_digest(shipped(name).model)


class AsItComes(NextSentence):
    """Next sentences as they were drawn before the leak was mended (section 3.2.2)."""

    def pairs(
        self, first_sentences: Ids, n_tokens: Ids, rng: np.random.Generator
    ) -> Pairs:
        text = self.corpus
        pairs = consecutive_pairs(text, first_sentences, n_tokens, rng)
        return audit.as_it_comes(text, pairs, first_sentences, n_tokens, rng)


# -- Records --------------------------------------------------------------------------


def carry_out(script: Path, runs: Runs, record: Path, first: int, of: int) -> None:
    """Make every `of`-th row from the `first` on that the record lacks."""
    rows: list[Row] = []
    olds: list[Row] = []
    if record.exists():
        olds = [json.loads(record.read_text(encoding="utf-8"))]
        rows = olds[0]["rows"]
    code = code_to_record(script, olds)
    for number, (what, make) in enumerate(runs):
        if number % of != first or any(what.items() <= row.items() for row in rows):
            continue
        began = time.perf_counter()
        row = {**what, **make(), "minutes": (time.perf_counter() - began) / 60}
        same = {key: value for key, value in what.items() if key != "weights"}
        rows = [old for old in rows if not same.items() <= old.items()] + [row]
        print(what, f"{row['minutes']:.1f} minutes", flush=True)
        write(script, rows, record, code)


def join(script: Path, runs: Runs, parts: list[Path], record: Path) -> None:
    """Put the rows of several processes into one record, in the order of the runs."""
    olds = [json.loads(part.read_text(encoding="utf-8")) for part in parts]
    rows = [row for old in olds for row in old["rows"]]
    order = {json.dumps(what): i for i, (what, _) in enumerate(runs)}
    keys = list(json.loads(next(iter(order))))
    rows.sort(key=lambda row: order[json.dumps({k: row[k] for k in keys})])
    write(script, rows, record, code_to_record(script, olds))
    for part in parts:
        part.unlink()


def code_to_record(script: Path, olds: list[Row]) -> Row:
    """What a record that keeps the rows of `olds` says of its code."""
    sys.path.append(str(Path(__file__).resolve().parent.parent / "_ext"))
    import provenance

    return provenance.code_to_record(script, olds)


def write(script: Path, rows: list[Row], path: Path, code: Row) -> None:
    record = {
        "experiment": script.stem,
        "command": f"python book/_experiments/{script.name}",
        **circumstances(),
        **code,
        "rows": rows,
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def main(file: str, runs: Runs) -> None:
    """The command line of the script `file`, whose runs these are."""
    script = Path(file).resolve()
    parser = argparse.ArgumentParser()
    parser.add_argument("--start", default="0/1", help="this process of so many")
    parser.add_argument("--join", type=int, help="put together M files")
    given = parser.parse_args()
    whole = script.with_name(f"{script.stem}.json")
    if given.join:
        parts = [script.with_name(f"{script.stem}.{i}.json") for i in range(given.join)]
        join(script, runs, parts, whole)
        return
    first, of = map(int, given.start.split("/"))
    path = whole if of == 1 else script.with_name(f"{script.stem}.{first}.json")
    carry_out(script, runs, path, first, of)
