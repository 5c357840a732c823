"""Scaling laws: how loss falls with size and text, and what follows (section 2.3).

    L(N, D) = E + A / N^α + B / D^β,

N parameters that have read D tokens; E is what no model of the family gets below.
Source: Hoffmann et al. (2022), "Training Compute-Optimal Large Language Models", whose
third approach this is.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from scipy.optimize import nnls
from scipy.stats import spearmanr

Numbers = Float64[ndarray, "n"]

#: Exponents among which the best pair is looked for.
EXPONENTS = np.linspace(0.02, 1.5, 75)


@dataclass(frozen=True)
class ScalingLaw:
    """L(N, D) = E + A / N^α + B / D^β."""

    E: float
    A: float
    B: float
    alpha: float
    beta: float

    def __call__(self, n: Numbers | float, d: Numbers | float) -> Numbers | float:
        """The loss of `n` parameters that have read `d` tokens."""
        return self.E + self.A / n**self.alpha + self.B / d**self.beta

    def compute_optimal(self, flops: float) -> tuple[float, float]:
        """The N and D of least loss among those with 6·N·D = `flops`.

        Along C = 6ND the derivative is 0 where αA/N^α = βB/D^β; put D = C/(6N) there.

        Raises:
            ValueError: A, B or an exponent is 0, so that there is no such point.
        """
        if not min(self.A, self.B, self.alpha, self.beta, flops) > 0:
            raise ValueError("A, B, alpha, beta and flops must be positive")
        both = self.alpha + self.beta
        g = (self.alpha * self.A / (self.beta * self.B)) ** (1 / both)
        n = g * (flops / 6) ** (self.beta / both)
        return n, flops / (6 * n)


def fit_scaling_law(n: Numbers, d: Numbers, loss: Numbers) -> ScalingLaw:
    """The law with the least squared relative error.

    For given exponents the rest is linear, so that a grid over the exponents finds the
    best: no start can be wrong, and no optimizer stops early. E, A and B are not
    negative; where that binds, they are 0.

    Raises:
        ValueError: fewer than five runs, or sizes or losses that are not positive.
    """
    if len(n) < 5:
        raise ValueError(f"there must be five runs for five numbers, got {len(n)}")
    if min(n.min(), d.min(), loss.min()) <= 0:
        raise ValueError("n, d and loss must be positive")
    best, found = np.inf, ScalingLaw(0.0, 0.0, 0.0, 0.0, 0.0)
    # Counted in the smallest of each, the columns are of like size.
    small_n, small_d = n.min(), d.min()
    for alpha in EXPONENTS:
        for beta in EXPONENTS:
            columns = np.stack(
                [np.ones(len(n)), (n / small_n) ** -alpha, (d / small_d) ** -beta]
            )
            weights, error = nnls((columns / loss).T, np.ones(len(n)))
            if error < best:
                best = error
                e, a, b = weights.tolist()
                a, b = a * small_n**alpha, b * small_d**beta
                found = ScalingLaw(e, a, b, float(alpha), float(beta))
    return found


# -- Do two measures order alike? -----------------------------------------------------


def rank_correlation(x: Numbers, y: Numbers) -> float:
    """Spearman's: the correlation of the ranks, ties sharing theirs; 1 if alike.

    Raises:
        ValueError: fewer than two values, or all of them equal.
    """
    if len(x) < 2:
        raise ValueError(f"x must have two values at least, got {len(x)}")
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        raise ValueError("all values are equal: they have no order")
    return float(spearmanr(x, y).statistic)
