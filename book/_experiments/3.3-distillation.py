"""3.3: a student of half the layers, with a teacher and without."""

from dataclasses import replace
from typing import Any

from experiment import (
    N_TEST,
    SEEDS,
    Row,
    Runs,
    main,
    settings_for,
    shipped_weights,
    the_task,
)

from lmlib.shipped import shipped
from lmlib.training.distill import Distillation, spread, student_of
from lmlib.training.finetune import TaskObjective, evaluate, finetune, initialise
from lmlib.training.loop import scores_of, train
from lmlib.training.seeds import seed_everything
from lmlib.training.settings import Settings


def runs() -> Runs:
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

    weights = shipped_weights("bert")
    for seed in SEEDS:
        for student in (
            "teacher",
            "from BERT, labels",
            "from BERT, labels and teacher",
            "from teacher, labels",
            "from teacher, labels and teacher",
        ):
            what = {"student": student, "seed": seed}
            yield {**what, "weights": weights}, lambda what=what: run(**what)


def _by_accuracy(settings: Settings) -> Settings:
    return replace(settings, score="accuracy", higher_is_better=True)


if __name__ == "__main__":
    main(__file__, runs())
