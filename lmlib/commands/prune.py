"""`lmlib prune`: the weights of least magnitude become 0."""

import argparse
import re
from pathlib import Path
from typing import Any

from lmlib.commands import options

TEXT = """\
Set the weights of least magnitude to 0, in each matrix or, with --together, in all
matrices by one threshold. --pattern 2:4 keeps two of each four neighbours, as sparse
tensor cores want it.

What is written is an ordinary model, as large as before: zeros save nothing by being
zero. `lmlib quantize` makes a file of it in which they cost little. Nothing is trained
after it; book section 2.2 shows what training wins back.

examples:
  lmlib prune lmlib/checkpoints/gpt --sparsity 0.5 --out runs/half
  lmlib quantize runs/half --out runs/half-8
  lmlib evaluate runs/half-8
"""


def add(commands: Any) -> None:
    parser = options.add_parser(
        commands, "prune", "the weights of least magnitude become 0", TEXT
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a folder")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--sparsity", type=float, default=0.5, help="the share that goes, 0 to 1"
    )
    how.add_argument("--pattern", metavar="N:M", help="such as 2:4")
    parser.add_argument(
        "--together", action="store_true", help="one threshold for all matrices"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/pruned"), help="where")
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    from lmlib.compression.prune import (
        Pruned,
        global_masks,
        magnitude_mask,
        n_of_m_mask,
    )
    from lmlib.compression.quantize import matrices
    from lmlib.training.saved import load, save

    options.check_another(given.out, given.model)
    pattern = None
    if given.pattern is not None:
        found = re.fullmatch(r"(\d{1,3}):(\d{1,3})", given.pattern)
        if found is None:
            raise ValueError(f"pattern must be N:M, such as 2:4, got {given.pattern!r}")
        if given.together:
            raise ValueError("--together must be left out where there is a --pattern")
        pattern = int(found[1]), int(found[2])
    kept = load(given.model)
    model: Any = kept.model
    backbone = getattr(model, "backbone", model)
    chosen = {n: p for n, p in backbone.named_parameters() if matrices(n, p)}
    if pattern is not None:
        masks = {n: n_of_m_mask(p, *pattern) for n, p in chosen.items()}
    elif given.together:
        masks = global_masks(chosen, given.sparsity)
    else:
        masks = {n: magnitude_mask(p, given.sparsity) for n, p in chosen.items()}
    pruned = Pruned(backbone, masks)
    how = {"sparsity": pruned.sparsity, "pattern": given.pattern}
    save(
        model, kept.tokenizer, given.out, {**kept.made, "pruned": how},
        family=kept.family,
    )  # fmt: skip
    n = sum(mask.numel() for mask in masks.values())
    print(f"{given.out}: {pruned.sparsity:.1%} of {n:,} weights are 0")
    return 0
