"""One seed for all generators."""

import random

import numpy as np
import torch

from lmlib.training.seeds import seed_everything


def dice():
    return random.random(), np.random.rand(), torch.rand(1).item()


def test_the_same_seed_gives_the_same_dice_and_another_does_not():
    rolls = {}
    for seed in (0, 1, (0, 1), (1, 0), (0, 0)):
        seed_everything(seed if isinstance(seed, int) else list(seed))
        rolls[seed] = dice()
        seed_everything(seed if isinstance(seed, int) else list(seed))
        assert dice() == rolls[seed]
    for column in zip(*rolls.values(), strict=True):
        assert len(set(column)) == 5


def test_on_every_device(device):
    seed_everything([3, 4])
    expected = torch.rand(5, device=device)
    torch.rand(5, device=device)
    seed_everything([3, 4])
    assert torch.equal(torch.rand(5, device=device), expected)
