"""The logistic function and its inverse as tables of integers (section 5.2).

A mixer adds in the domain st(p) = ln(p / (1 − p)). Two machines must add the same
numbers, and exp and log of a machine's library need not be rounded alike: the tables
are computed in decimals. 1 in that domain is 256 here.
"""

from decimal import Decimal, localcontext

import numpy as np
from numpy.typing import NDArray

LIMIT = 2815  # just below 11: p is within 1 of 65,536 from an end


def squash_table() -> NDArray[np.int32]:
    """65536 / (1 + e^(−x/256)), rounded, in 1 … 65535, for x from −LIMIT to LIMIT."""
    with localcontext(prec=30):
        values = [
            round(65536 / (1 + (Decimal(-x) / 256).exp()))
            for x in range(-LIMIT, LIMIT + 1)
        ]
    return np.clip(np.array(values, np.int32), 1, 65535)


def stretch_table() -> NDArray[np.int32]:
    """256 · ln(p / (1 − p)), rounded, for the 4,096 p = (i + ½) / 4096."""
    with localcontext(prec=30):
        odds = [(2 * i + 1) / Decimal(8191 - 2 * i) for i in range(4096)]
        return np.array([round(256 * o.ln()) for o in odds], np.int32)
