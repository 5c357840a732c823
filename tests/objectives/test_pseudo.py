"""Pair conditionals against a loop, and the sums of what is and is no distribution."""

import math

import pytest
import torch

from lmlib.data.corpus import SpecialTokens
from lmlib.models.bert import Bert
from lmlib.objectives.pseudo import inconsistency, log2_kraft_sum, pair_conditionals
from lmlib.transformer import TransformerConfig

SPECIAL = SpecialTokens(pad=0, unk=1, cls=2, sep=3, mask=4, bos=2, eos=3)


def joint(*shape: int) -> torch.Tensor:
    p = torch.rand(*shape, generator=torch.Generator().manual_seed(0)).double()
    return p / p.sum()


@pytest.mark.parametrize("batch_size", [3, 256])
def test_conditionals_are_those_of_rows_one_by_one(batch_size):
    torch.manual_seed(0)
    config = TransformerConfig(12, 8, 1, 2, max_len=4, init_std=0.5)
    model = Bert(config, heads=("mlm",)).eval()
    ids = torch.tensor([5, 7, 8, 11])
    first, second = pair_conditionals(model, SPECIAL, ids, batch_size=batch_size)
    for i, x1 in enumerate(ids):
        for j, x2 in enumerate(ids):
            rows = torch.tensor([[2, 4, x2, 3], [2, x1, 4, 3]])
            with torch.no_grad():
                logits = model(rows)["mlm"][:, :, ids].log_softmax(-1)
            assert torch.isclose(first[i, j], logits[0, 1, i], atol=1e-5)
            assert torch.isclose(second[i, j], logits[1, 2, j], atol=1e-5)
    assert torch.allclose(first.exp().sum(dim=0), torch.ones(4))
    assert torch.allclose(second.exp().sum(dim=1), torch.ones(4))


def test_a_joint_adds_to_one_and_copies_to_their_number():
    p = joint(5, 7)
    assert log2_kraft_sum(p.log()) == pytest.approx(0, abs=1e-9)
    copies = torch.full((8, 8), -math.inf).fill_diagonal_(0.0)
    assert log2_kraft_sum(copies) == pytest.approx(3)


def test_conditionals_of_a_joint_are_consistent_and_others_are_not():
    p = joint(5, 7)
    first, second = (p / p.sum(dim=0)).log(), (p / p.sum(dim=1, keepdim=True)).log()
    assert inconsistency(first, second).abs().max() < 1e-12
    first[0, 0] += math.log(2)
    left = inconsistency(first, second)
    # One bit too much in one of the cells, less its row's and its column's mean.
    assert left[0, 0].item() == pytest.approx((1 - 1 / 5) * (1 - 1 / 7))
