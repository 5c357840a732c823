"""`lmlib quantize`: the same model in fewer bits a weight."""

import argparse
from pathlib import Path
from typing import Any

from lmlib.commands import options

TEXT = """\
Round the weights of a model to codes of a few bits, and write them as a file.

Matrices become codes; biases and norms are few, and stay as float16. The codes are
entropy coded: a code takes as many bits as it is rare, so that 8 bits end near 7. With
--rows each row of a matrix has a scale of its own: more exact, and a larger file.

evaluate, generate and the others read the result as they read any model.

examples:
  lmlib quantize lmlib/checkpoints/gpt --bits 4 --rows --out runs/gpt-4
  lmlib evaluate runs/gpt-4
"""


def add(commands: Any) -> None:
    parser = options.add_parser(
        commands, "quantize", "the same model in fewer bits a weight", TEXT
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a folder")
    parser.add_argument("--bits", type=int, default=8, help="of a code, 2 to 8")
    parser.add_argument(
        "--rows", action="store_true", help="a scale for each row, not for each matrix"
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="--bits for each code, without entropy coding: larger, and read faster",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("runs/quantized"), help="where"
    )
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    from lmlib.compression.quantize import BITS
    from lmlib.training.saved import load, save_quantized_model

    if given.bits not in BITS:
        raise ValueError(f"bits must be in {BITS[0]} … {BITS[-1]}, got {given.bits}")
    options.check_another(given.out, given.model)
    kept = load(given.model)
    size = save_quantized_model(
        kept.model,
        kept.tokenizer,
        given.out,
        {
            **kept.made,
            "quantized": {
                "bits": given.bits,
                "scales": "rows" if given.rows else "matrices",
                "entropy_coded": not given.plain,
            },
        },
        family=kept.family,
        bits=given.bits,
        axis=0 if given.rows else None,
        entropy_coded=not given.plain,
    )
    n = sum(p.numel() for p in getattr(kept.model, "backbone", kept.model).parameters())
    print(f"{given.out}: {size:,} bytes, {8 * size / n:.2f} bits a weight")
    print(f"  float32 takes {4 * n:,} bytes: this is {size / (4 * n):.1%} of it")
    return 0
