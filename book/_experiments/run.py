"""The experiments whose results the book shows, each over several seeds.

    python book/_experiments/run.py curves       pre-training objectives, AdamW and Muon
    python book/_experiments/run.py labels       pre-trained against from scratch
    python book/_experiments/run.py distillation a student with a teacher, and without

Each writes `<experiment>.json` beside this file, a row for each run as it ends: a run
that was stopped goes on with those that are missing. Every experiment starts from the
text and models that come with the course, but for `labels`, which downloads sentence
polarity once. `--start N/M` does every M-th run, for several processes; each of them
writes a file of its own, which `--join` puts together.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lmlib.data.cache import replacing
from lmlib.data.installed import installed_packages
from lmlib.data.load import load_corpus
from lmlib.data.public import sentence_polarity
from lmlib.models.bert import Bert
from lmlib.shipped import shipped
from lmlib.training.distill import Distillation, spread, student_of
from lmlib.training.finetune import TaskObjective, evaluate, finetune, initialise
from lmlib.training.loop import scores_of, train
from lmlib.training.pretrain import Size, corpus_digest, pretrain
from lmlib.training.saved import circumstances
from lmlib.training.seeds import seed_everything
from lmlib.training.settings import Settings
from lmlib.training.tasks import Example, Task, classification

HERE = Path(__file__).parent
SEEDS = (0, 1, 2)
STEPS = 600  # of `curves`
LABELS = (100, 500, 2000)
EPOCHS = {100: 20, 500: 10, 2000: 4}  # less data, more often
N_TEST = 2000

Row = dict[str, Any]
Runs = Iterator[tuple[Row, Callable[[], Row]]]  # what a run is, and how its row is made


# -- The same text and budget, other objectives ---------------------------------------


def curves() -> Runs:
    """Validation losses of 4 layers of 128 on installed documentation."""

    def run(recipe: str, optimizer: Any, seed: int) -> Row:
        # The tokens are those of the models that come with the course.
        tokenizer = shipped("gpt" if recipe == "causal" else "bert").tokenizer
        corpus = load_corpus("installed", tokenizer)
        held_out = load_corpus("installed", tokenizer, "valid")
        settings = Settings(
            steps=STEPS,
            lr=2e-3,
            optimizer=optimizer,
            warmup=STEPS // 20,
            validate_every=50,
            precision="fp32",
            seed=seed,
        )
        _, done = pretrain(
            recipe, tokenizer, corpus, held_out, Size(), settings, batch_size=16
        )
        points = [line for line in done.history if "validation" in line]
        return {
            "corpus": corpus_digest(corpus),
            "tokens": STEPS * 16 * Size().length,
            "bytes_per_token": held_out.n_bytes / len(held_out.tokens),
            "steps": [line["step"] for line in points],
            "validation": [line["validation"] for line in points],  # nats per target
        }

    for seed in SEEDS:
        for recipe, optimizer in (
            ("mlm+nsp", "muon"),
            ("mlm", "muon"),
            ("rtd", "muon"),
            ("causal", "muon"),
            ("mlm", "adamw"),
            ("causal", "adamw"),
        ):
            what = {"recipe": recipe, "optimizer": optimizer, "seed": seed}
            yield what, lambda what=what: run(**what)


# -- Few labels -----------------------------------------------------------------------


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


def name_found(examples: list[Example], names: tuple[str, ...]) -> float:
    """Accuracy of searching for the package's name, else taking the commonest class."""
    counts = np.bincount([int(e.wanted) for e in examples], minlength=len(names))  # type: ignore[arg-type]
    right = 0
    for example in examples:
        found = [i for i, name in enumerate(names) if name in example.text.lower()]
        right += (found[0] if len(found) == 1 else int(counts.argmax())) == (
            example.wanted
        )
    return right / len(examples)


def labels() -> Runs:
    """Accuracy on the test set: the shipped BERT, and the same with new weights."""

    def run(task: str, start: str, n: int, seed: int) -> Row:
        kept = shipped("bert")
        model: Any = kept.model
        if start == "scratch":
            seed_everything(seed)
            model = Bert(model.config)
        data = the_task(task, n, seed)
        tuned = finetune(
            model,
            data,
            kept.tokenizer,
            settings_for(n, seed),
            length=64,
            batch_size=16,
        )
        examples = data.test.open()[:N_TEST]
        objective = tuned.objective
        scores = scores_of(tuned.model, lambda m: evaluate(m, objective, examples))
        wanted = [int(e.wanted) for e in examples]  # type: ignore[arg-type]
        row: Row = {
            "n_test": len(examples),
            "largest_class": float(np.bincount(wanted).max() / len(wanted)),
        }
        if task == "packages":
            row["name_found"] = name_found(examples, data.names)
        return {**row, **scores}

    for seed in SEEDS:
        for n in LABELS:
            for task in ("packages", "polarity"):
                for start in ("pretrained", "scratch"):
                    what = {"task": task, "start": start, "n": n, "seed": seed}
                    yield what, lambda what=what: run(**what)


# -- A student of half the layers -----------------------------------------------------


def distillation() -> Runs:
    """A teacher is fine-tuned on 2,000 labels; the students see the same examples.

    All students start from every second layer of the shipped BERT, which has not seen
    the task, or of the teacher, which has.
    """
    teachers: dict[int, Any] = {}

    def teacher_of(seed: int) -> Any:
        if seed not in teachers:
            kept = shipped("bert")
            teachers[seed] = finetune(
                kept.model,  # type: ignore[arg-type]
                the_task("packages", 2000, seed),
                kept.tokenizer,
                settings_for(2000, seed),
                length=64,
                batch_size=16,
            )
        return teachers[seed]

    def run(student: str, seed: int) -> Row:
        kept, teacher = shipped("bert"), teacher_of(seed)
        data = the_task("packages", 2000, seed)
        model: Any = teacher.model
        plain = TaskObjective(
            data, kept.tokenizer, model, length=64, batch_size=16, seed=seed
        )
        if student != "teacher":
            start, _, lesson = student.partition(", ")
            seed_everything(seed)
            whole: Any = model
            if start == "from BERT":
                whole = initialise(kept.model, data)  # type: ignore[arg-type]
            model = student_of(whole, spread(2, 4))
            taught = {"labels": 1.0, "soft": 1.0, "cosine": 1.0}
            objective = (
                plain
                if lesson == "labels"
                else Distillation(plain, teacher.model, head="task", weights=taught)
            )
            train(
                model,
                objective,
                _by_accuracy(settings_for(2000, seed)),
                validate=lambda m: evaluate(m, plain, data.valid),
            )
        examples = data.test.open()[:N_TEST]
        scores = scores_of(model, lambda m: evaluate(m, plain, examples))
        parameters = sum(p.numel() for p in model.parameters())
        return {"parameters": parameters, "n_test": len(examples), **scores}

    for seed in SEEDS:
        for student in (
            "teacher",
            "from BERT, labels",
            "from BERT, labels and teacher",
            "from teacher, labels",
            "from teacher, labels and teacher",
        ):
            what = {"student": student, "seed": seed}
            yield what, lambda what=what: run(**what)


def _by_accuracy(settings: Settings) -> Settings:
    return replace(settings, score="accuracy", higher_is_better=True)


# -- Records --------------------------------------------------------------------------


def carry_out(name: str, runs: Runs, path: Path, first: int, of: int) -> None:
    command = f"python book/_experiments/run.py {name}"
    rows: list[Row] = []
    if path.exists():
        rows = json.loads(path.read_text())["rows"]
    for number, (what, make) in enumerate(runs):
        if number % of != first or any(what.items() <= row.items() for row in rows):
            continue
        began = time.perf_counter()
        row = {**what, **make(), "minutes": (time.perf_counter() - began) / 60}
        rows.append(row)
        print(what, f"{row['minutes']:.1f} minutes", flush=True)
        write(name, command, rows, path)


def write(name: str, command: str, rows: list[Row], path: Path) -> None:
    record = {
        "experiment": name,
        "command": command,
        **circumstances(),
        "rows": rows,
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    known = {"curves": curves, "labels": labels, "distillation": distillation}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", choices=known)
    parser.add_argument("--start", default="0/1", help="this process of so many")
    parser.add_argument("--join", type=int, help="put together M files")
    given = parser.parse_args()
    name, runs = given.experiment, known[given.experiment]()
    whole = HERE / f"{name}.json"
    if given.join:
        parts = [HERE / f"{name}.{i}.json" for i in range(given.join)]
        rows = [row for p in parts for row in json.loads(p.read_text())["rows"]]
        order = {json.dumps(what): i for i, (what, _) in enumerate(runs)}
        keys = list(json.loads(next(iter(order))))
        rows.sort(key=lambda row: order[json.dumps({k: row[k] for k in keys})])
        write(name, f"python book/_experiments/run.py {name}", rows, whole)
        for part in parts:
            part.unlink()
        return
    first, of = map(int, given.start.split("/"))
    path = whole if of == 1 else HERE / f"{name}.{first}.json"
    carry_out(name, runs, path, first, of)


if __name__ == "__main__":
    main()
