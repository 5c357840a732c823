"""Seeds: every random number of a step is a function of (seed, step, process).

A generator that runs on through a whole training has a state, which a checkpoint must
hold and every library must agree on. Seeded anew at each step it has none: a resumed
run throws the same dice as one that was never interrupted.
"""

import random
from collections.abc import Sequence

import numpy as np
import torch


def seed_everything(seed: int | Sequence[int]) -> None:
    """Seed Python, NumPy and torch (all devices), with numbers from 0 up.

    Several numbers give one seed that depends on each of them and on their order.
    """
    entropy = [seed] if isinstance(seed, int) else list(seed)
    entropy.append(1)  # to NumPy, 0s at the end are nothing: (3, 0) would equal 3
    state = np.random.SeedSequence(entropy).generate_state(3, np.uint32).tolist()
    random.seed(state[0])
    np.random.seed(state[1])
    torch.manual_seed(state[2])
