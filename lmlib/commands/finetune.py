"""`lmlib finetune`: a pre-trained model learns a task."""

import argparse
from pathlib import Path
from typing import Any

from lmlib.commands import options
from lmlib.commands.task_options import add_task, task_of

TEXT = """\
Teach a pre-trained model a task, from examples.

MODEL is what `lmlib pretrain` left, or a folder from the Hugging Face hub (BERT,
RoBERTa, ALBERT, GPT-2, T5). The task is

  packages   which package does this docstring come from? (installed documentation)
  polarity   is this sentence of a film review positive? (downloaded once)
  a file     with an example on each line; --kind says what they are:
               classification  {"text": "a fine film", "label": "good"}
               pairs           {"text": "…", "second": "…", "label": "follows"}
               tagging         {"text": "Ann left", "label": ["name", "other"]}
               generation      {"text": "cat", "label": "meow"}
             or a table, .csv or .tsv, whose first line names these columns (for
             tagging a label is names with spaces between); --columns tells others

What trains is all of the model (full), the new head alone (frozen), or the head and
thin matrices beside the attention's (lora), which are merged at the end. A validation
set decides which moment of the training is kept; the test set is opened once, at the
end. In --out you find the model, its tokenizer, its head, and the scores (lmlib.json).

examples:
  lmlib finetune runs/mlm+nsp --task packages --train 500 --out runs/packages
  lmlib finetune bert-base-uncased --task polarity --method lora --lr 2e-4
  lmlib finetune runs/mlm --task reviews.csv --columns review,sentiment
and then:
  lmlib evaluate runs/packages --task packages
  lmlib predict runs/packages "Return the shape of an array."
"""


def add(commands: Any) -> None:
    parser = options.add_parser(
        commands, "finetune", "teach a pre-trained model a task", TEXT
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a folder")
    add_task(parser, "packages")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/finetuned"), help="where"
    )
    parser.add_argument(
        "--method", choices=["full", "frozen", "lora"], default="full", help="see above"
    )
    parser.add_argument(
        "--rank", type=options.whole, default=8, help="of LoRA's matrices"
    )
    parser.add_argument(
        "--length", type=options.whole, default=128, help="tokens, at most"
    )
    options.add_training(parser, steps=300, lr=3e-4, batch=32, every=50)
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    from lmlib.training import parallel
    from lmlib.training.finetune import Pretrained, finetune
    from lmlib.training.saved import load, save

    settings = options.settings_of(given)
    options.check_counts(given, "batch", "train", "length")
    options.check_out(given.out)
    start = load(given.model)
    with (
        parallel.processes(given.device) as device,
        options.threads(options.width_of(start.model)) as n_threads,
    ):
        if not isinstance(start.model, Pretrained):
            raise ValueError(
                f"{given.model} is fine-tuned already: take what it began as"
            )
        task = task_of(given)
        if parallel.rank() == 0:
            print(
                f"{len(task.train):,} examples to learn from, {len(task.valid):,} to "
                f"choose by; on {options.place(device, n_threads)}"
            )
        longest = getattr(start.model.config, "longest", None)
        length = min(given.length, longest or given.length)
        tuned = finetune(
            start.model,
            task,
            start.tokenizer,
            settings,
            method=given.method,
            rank=given.rank,
            length=length,
            batch_size=given.batch,
            device=device,
            folder=options.run_folder(given.out),
            resume=given.resume,
            progress=False if given.quiet else None,
        )
        if parallel.rank() == 0:
            scores = tuned.test()
            made = {
                "command": given.command_line,
                "seed": given.seed,
                "from": str(given.model),
                "method": given.method,
                "task": {
                    "name": str(given.task),
                    "kind": task.kind,
                    "names": task.names,
                    "length": length,
                    "n_train": len(task.train),
                },
                "steps": tuned.run.steps,
                "valid": tuned.run.best_scores,
                "test": scores,
            }
            family = start.model.family
            save(tuned.model, start.tokenizer, given.out, made, family=family)
            print(f"best at step {tuned.run.best_step} of {tuned.run.steps}")
            print("on the test set:")
            options.print_scores(scores)
            print(f"the model is in {given.out}")
    return 0
