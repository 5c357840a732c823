"""`lmlib distill`: a smaller model learns from a larger one."""

import argparse
from pathlib import Path
from typing import Any

from lmlib.commands import options
from lmlib.commands.task_options import add_task, tuned_task

TEXT = """\
Train a student of fewer layers to agree with a teacher.

The student starts from every second (third, …) of the teacher's layers, as DistilBERT
did. It learns from the labels, from the teacher's probabilities softened by a
temperature, and from the direction of its hidden vectors; --hidden and --attention add
what TinyBERT compares, layer by layer.

With a teacher from `lmlib pretrain` or the Hugging Face hub it learns on a --text (to
predict or fill in tokens; next sentences are left out), with one from `lmlib finetune`
on its --task. In --out you find the student, as of its best moment, in the layout of
the teacher. With --soft 0 --cosine 0 it learns from labels alone: the comparison that
shows what the teacher is worth.

examples:
  lmlib distill runs/mlm --layers 2 --out runs/small
  lmlib distill runs/packages --task packages --layers 2 --out runs/small-packages
"""


def add(commands: Any) -> None:
    parser = options.add_parser(
        commands, "distill", "a smaller model learns from a larger one", TEXT
    )
    parser.add_argument("teacher", type=Path, metavar="TEACHER", help="a folder")
    parser.add_argument(
        "--layers", type=options.whole, help="of the student (default: half)"
    )
    parser.add_argument("--text", default="installed", help="for a pre-trained teacher")
    add_task(parser, None)
    parser.add_argument("--out", type=Path, default=Path("runs/student"), help="where")
    parser.add_argument(
        "--temperature", type=options.real, default=2.0, help="of the softmax"
    )
    parser.add_argument(
        "--length", type=options.whole, default=128, help="tokens of a --text"
    )
    for part, weight, about in (
        ("labels", 1.0, "of the loss with the labels"),
        ("soft", 1.0, "of the divergence from the teacher's probabilities"),
        ("cosine", 1.0, "of the angle between last hidden vectors"),
        ("hidden", 0.0, "of the distance of hidden vectors, layer by layer"),
        ("attention", 0.0, "of the divergence of attention maps, layer by layer"),
    ):
        parser.add_argument(f"--{part}", type=options.real, default=weight, help=about)
    options.add_training(parser, steps=300, lr=5e-4, batch=16, every=50)
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    from lmlib.training import parallel
    from lmlib.training.distill import PARTS, spread, student_of
    from lmlib.training.finetune import weights_digest
    from lmlib.training.loop import train
    from lmlib.training.saved import load, save

    options.settings_of(given)  # says what is wrong with it before anything is read
    options.check_counts(given, "batch", "train", "length")
    for part in PARTS:
        if not getattr(given, part) >= 0:  # nor is nan
            raise ValueError(
                f"--{part} must not be negative, got {getattr(given, part)}"
            )
    options.check_out(given.out)
    kept = load(given.teacher)
    with (
        parallel.processes(given.device) as device,
        options.threads(options.width_of(kept.model)) as n_threads,
    ):
        teacher: Any = kept.model
        if kept.family == "t5":
            raise ValueError("a T5 cannot be distilled: give an encoder or a decoder")
        n_teacher = teacher.backbone.config.n_layers
        n_student = max(n_teacher // 2, 1) if given.layers is None else given.layers
        layers = spread(n_student, n_teacher)
        student = student_of(teacher, layers)
        lesson = _task if "task" in kept.made else _text
        objective, settings, validate, about = lesson(given, kept, student)
        if parallel.rank() == 0:
            where = options.place(device, n_threads)
            print(f"{n_student} layers learn from {n_teacher}; on {where}")
        done = train(
            student,
            objective,
            settings,
            validate=validate,
            device=device,
            folder=options.run_folder(given.out),
            resume=given.resume,
            progress=False if given.quiet else None,
            configuration={
                "teacher": weights_digest(teacher),
                "tokenizer": kept.tokenizer.digest,
                "layers": layers,
                **about,
            },
        )
        if parallel.rank() == 0:
            # The teacher's own scores are not the student's.
            task = {"task": kept.made["task"]} if "task" in kept.made else {}
            made = {
                **task,
                **about,
                "command": given.command_line,
                "seed": given.seed,
                "teacher": str(given.teacher),
                "layers": layers,
                "steps": done.steps,
                "scores": done.best_scores,
            }
            save(student, kept.tokenizer, given.out, made, family=kept.family)
            print(f"best at step {done.best_step} of {done.steps}, on held-out data:")
            options.print_scores(done.best_scores or {})
            print(f"the student, of {len(layers)} layers, is in {given.out}")
    return 0


def _text(given: argparse.Namespace, kept: Any, student: Any) -> tuple[Any, ...]:
    """Objective, settings, validation and description: on a text."""
    from itertools import islice

    from lmlib.data.load import load_corpus
    from lmlib.models.gpt import GPT
    from lmlib.training.loop import validation_loss
    from lmlib.training.pretrain import corpus_digest, make_objective

    if given.task is not None:
        raise ValueError(
            f"{given.teacher} is not fine-tuned, and learns from --text: leave out "
            "--task, or `lmlib finetune` the teacher first"
        )
    decoder = isinstance(student, GPT)
    recipe, head = ("causal", "lm") if decoder else ("mlm", "mlm")
    if head not in student.heads:
        raise ValueError(
            f"{given.teacher} has no head for {recipe}: nothing to agree on"
        )
    # Heads that nothing teaches would fit the student's vectors no more.
    for untaught in set(student.heads) - {head}:
        del student.heads[untaught]
    length = min(given.length, student.backbone.config.longest or given.length)
    corpora = [load_corpus(given.text, kept.tokenizer, s) for s in ("train", "valid")]
    plain, held_out = (
        make_objective(
            recipe,
            corpus,
            kept.tokenizer.special,
            kept.tokenizer.size,
            length=length,
            batch_size=given.batch,
            seed=given.seed,
        )
        for corpus in corpora
    )
    validate = validation_loss(
        held_out,
        lambda: islice(held_out.evaluation_batches(), 50),
        precision=given.precision,
    )
    about = {
        "recipe": recipe,
        "text": str(given.text),
        "corpus": corpus_digest(corpora[0]),
        "length": length,
    }
    objective, weights = _distillation(given, kept.model, plain, student, head)
    return objective, options.settings_of(given), validate, {**about, **weights}


def _task(given: argparse.Namespace, kept: Any, student: Any) -> tuple[Any, ...]:
    """Objective, settings, validation and description: on a task."""
    from dataclasses import replace

    from lmlib.training.finetune import (
        SCORES,
        TaskObjective,
        evaluate,
        examples_digest,
    )

    if given.task is None:
        raise ValueError(f"{given.teacher} is fine-tuned: give the --task to distil on")
    task = tuned_task(given, given.teacher, kept)
    plain = TaskObjective(
        task,
        kept.tokenizer,
        student,
        length=kept.made["task"]["length"],
        batch_size=given.batch,
        seed=given.seed,
    )
    score, higher = SCORES[task.kind]
    settings = options.settings_of(given)
    settings = replace(settings, score=score, higher_is_better=higher)
    head = "task" if "task" in student.heads else "lm"  # of one that generates
    objective, weights = _distillation(given, kept.model, plain, student, head)
    about = {"examples": examples_digest(task), **weights}
    return objective, settings, lambda m: evaluate(m, plain, task.valid), about


def _distillation(
    given: argparse.Namespace, teacher: Any, plain: Any, student: Any, head: str
) -> tuple[Any, dict[str, Any]]:
    from lmlib.training.distill import PARTS, Distillation, layer_map

    weights = {part: w for part in PARTS if (w := getattr(given, part)) > 0}
    layers = []
    if {"hidden", "attention"} & weights.keys():
        depths = (m.backbone.config.n_layers for m in (student, teacher))
        layers = layer_map(*depths)
    objective = Distillation(
        plain,
        teacher,
        head=head,
        weights=weights,
        temperature=given.temperature,
        layers=layers,
    )
    return objective, {
        "weights": weights,
        "temperature": given.temperature,
        "batch": given.batch,
    }
