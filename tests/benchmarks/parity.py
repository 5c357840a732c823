"""How far lmlib's models are from `transformers`' with the same weights.

    python -m tests.benchmarks.parity

Prints, per family, the largest absolute difference of logits, hidden states and
attention maps, and the largest difference of a gradient relative to the largest entry
of its parameter's gradient, over padding on the right, on the left, and none; float32.
"""

import tempfile
from pathlib import Path

from lmlib.tables import Table
from tests.models import pairs

SEEDS = range(3)
PADDINGS = ("none", "right", "left")


def rows() -> list[dict[str, str]]:
    """One row per family."""
    table = []
    for name in pairs.MAKERS:
        forward: dict[str, float] = {}
        backward = 0.0
        for seed in SEEDS:
            with tempfile.TemporaryDirectory() as folder:
                reference, model = pairs.both(name, Path(folder), seed)
            for padding in PADDINGS:
                inputs = pairs.make_inputs(name, padding, seed)
                for what, d in pairs.forward_difference(
                    reference, model, inputs
                ).items():
                    forward[what] = max(forward.get(what, 0.0), d)
                worst, _ = pairs.backward_difference(reference, model, inputs)
                backward = max(backward, worst)
        table.append(
            {"family": name}
            | {what: f"{d:.1e}" for what, d in forward.items()}
            | {"gradients (relative)": f"{backward:.1e}"}
        )
    return table


if __name__ == "__main__":
    print(Table(rows()))
