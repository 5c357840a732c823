"""The curves that 2.1 asks about are those of the recorded runs."""

import ast
import json

from lmlib.exercises.self_supervised_pre_training.reading import reference_answers
from lmlib.grading.assignment import ROOT

VARIANTS = {
    "right": "moved by 1",
    "unshifted": "moved by 0",
    "by_two": "moved by 2",
    "unmasked": "moved by 1, no mask",
}


def test_the_notebooks_curves_are_recorded_and_rightly_named():
    name = "2.1-self-supervised-pre-training"
    source = (ROOT / "solutions" / name / f"{name}.py").read_text()
    given = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and node.targets[0].id in ("steps", "curves")
    }
    record = ROOT / "book" / "_experiments" / "2.1-four-runs.json"
    rows = json.loads(record.read_text())["rows"]
    first = {row["variant"]: row for row in rows if row["seed"] == 0}
    answers = reference_answers()
    for question, variant in VARIANTS.items():
        row = first[variant]
        at = dict(zip(row["steps"], row["bits"], strict=True))
        wanted = [round(at[step], 2) for step in given["steps"]]
        assert given["curves"][answers[question].upper()] == wanted
