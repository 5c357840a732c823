"""A made-up class of records: what grading a class might come to, without grading."""

import math
import random
import re
import textwrap
from dataclasses import replace
from functools import cache

from lmlib.exercises.exercise import Exercise
from lmlib.exercises.self_attention import other_solutions
from lmlib.grading.results.record import CellResult, Record
from tests.grading import sample_class

EXERCISES = sample_class.SECTIONS[sample_class.ASSIGNMENT].EXERCISES


def result(exercise: Exercise, mistake: int | None, seconds: float) -> CellResult:
    """As if it had been tried; a mistake costs all parts but the first ones."""
    parts = exercise.parts
    right = len(parts) if mistake is None else min(mistake, len(parts) - 1)
    points = sum(part.points for part in parts[:right])
    lines = [f"{exercise.name}: {points} of {exercise.points} points"]
    names: tuple[str, ...] = ()
    for k, part in enumerate(parts):
        worth = f"{part.points} point" + "s" * (part.points != 1)
        lines.append(f"  {'✓' if k < right else '✗'} {part.name} ({worth})")
        if k == right and mistake is not None:
            named = exercise.misconceptions[mistake]
            names = (named.name,)
            lines += [f"      {line}" for line in textwrap.wrap(named.explanation, 76)]
        elif k > right:
            lines.append("      The same mistake.")
    return CellResult(
        grade_id=f"test_{exercise.short_name}",
        points=float(points),
        max_points=float(exercise.points),
        state="passed" if mistake is None else "failed",
        output="\n".join(lines),
        seconds=seconds,
        misconceptions=names,
    )


# One more way to write it, which nobody else has.
OWN_WAY = {
    "attention_weights": """\
def attention_weights(query, key):
    n_keys, width = key.size(-2), key.size(-1)
    table = query.new_zeros(*query.shape[:-1], n_keys)
    for j in range(n_keys):
        one = key.select(-2, j).unsqueeze(-2)
        table[..., j] = (query * one).sum(-1).div(width ** 0.5)
    biggest = table.max(dim=-1, keepdim=True).values
    table = table.sub(biggest).exp()
    return table.div(table.sum(dim=-1, keepdim=True))
""",
    "split_heads": """\
def split_heads(x, n_heads):
    batch, n, d_model = x.size()
    if d_model // n_heads * n_heads != d_model:
        raise ValueError("cannot be split")
    pieces = []
    for h in range(n_heads):
        first = h * (d_model // n_heads)
        pieces.append(x.narrow(2, first, d_model // n_heads).unsqueeze(1))
    return torch.cat(pieces, dim=1)
""",
    "apply_rotary": """\
def apply_rotary(x, positions):
    half = x.size(-1) // 2
    turned = x.clone()
    for i in range(half):
        speed = 10000 ** (-2 * i / x.size(-1))
        c, s = (positions * speed).cos(), (positions * speed).sin()
        first, second = x[..., 2 * i], x[..., 2 * i + 1]
        turned[..., 2 * i] = first.mul(c).sub(second.mul(s))
        turned[..., 2 * i + 1] = first.mul(s).add(second.mul(c))
    return turned.type_as(x)
""",
}


@cache
def styles() -> list[dict[str, str]]:
    return [
        sample_class.solution(),
        sample_class.written_as(other_solutions.einsum_style),
        sample_class.written_as(other_solutions.torch_style),
        OWN_WAY,
    ]


def boilerplate() -> list[str]:
    """The reference solution, and every mistake: here they are all word for word."""
    return [
        *sample_class.solution().values(),
        *(
            sample_class.source_of(mistake.implementation, exercise.short_name)
            for exercise in EXERCISES
            for mistake in exercise.misconceptions
        ),
    ]


def made_up(n: int = 40, seed: int = 0) -> list[Record]:
    """`n` records, s01 …, in all states; who is better solves harder exercises."""
    draw = random.Random(seed)
    records = []
    for i in range(1, n + 1):
        ability = draw.gauss(0.8, 1.2)
        cells, answers = [], []
        for k, exercise in enumerate(EXERCISES):
            solved = draw.random() < 1 / (1 + math.exp(0.35 * k - 1.5 - ability))
            mistake = None
            text = draw.choice(styles()[:3])[exercise.short_name]
            if not solved:
                # Some mistakes are made more often than others.
                of = len(exercise.misconceptions)
                mistake = min(int(draw.expovariate(0.8)), of - 1)
                text = sample_class.source_of(
                    exercise.misconceptions[mistake].implementation,
                    exercise.short_name,
                )
            cells.append(result(exercise, mistake, draw.uniform(0.01, 0.06)))
            answers.append((exercise.short_name, text))
        record = Record(
            student=f"s{i:02}",
            assignment=sample_class.ASSIGNMENT,
            state="graded",
            cells=tuple(cells),
            answers=tuple(answers),
            seconds=sum(c.seconds for c in cells) + draw.lognormvariate(-1.5, 0.4),
        )
        if record.points < record.max_points:
            record = replace(record, state="failed tests")
        records.append(record)
    return disturbed(records)


def disturbed(records: list[Record]) -> list[Record]:
    """The same class with what goes wrong in one."""

    def stopped(record: Record, at: int, state: str, says: str) -> Record:
        cells = list(record.cells)
        broken = replace(cells[at], points=0.0, state=state, output=says)
        cells[at] = replace(broken, misconceptions=(), seconds=10.0)
        return replace(
            record,
            state=state,
            reason=f"The test of {EXERCISES[at].title} did not end.",
            cells=tuple(cells),
            seconds=record.seconds + 10,
        )

    records[4] = stopped(records[4], 5, "timed out", "Stopped after 10 seconds.")
    records[9] = stopped(
        records[9], 7, "crashed", "The process was killed (signal 11)."
    )
    records[14] = replace(
        records[14],
        state="malformed",
        reason="The file is not a notebook: it ends in the middle of a cell.",
        cells=(),
        answers=(),
        seconds=0.0,
    )
    for i in (20, 33):
        records[i] = Record(f"s{i + 1:02}", sample_class.ASSIGNMENT, "missing")
    records[24] = replace(
        records[24],
        repairs=(
            "The cell split_heads was there twice; the last one counts.",
            "You edited a locked test cell; the original was run.",
        ),
    )
    # Copied, with other names.
    copied = tuple(
        (name, re.sub(r"\b(query|key|x|scores|weights)\b", r"my_\1", text))
        for name, text in styles()[3].items()
    )
    records[11] = replace(records[11], answers=tuple(styles()[3].items()))
    records[26] = replace(records[26], answers=copied)
    records[29] = replace(
        records[29], needs_person=("A thread was still running after the tests.",)
    )
    return records
