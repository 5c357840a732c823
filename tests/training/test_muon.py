"""Muon against the singular value decomposition, and against torch's own."""

import numpy as np
import pytest
import torch

from lmlib.training.muon import COEFFICIENTS, Muon, orthogonalise


def oracle(matrix, steps):
    """The polynomial applied to the singular values themselves, in float64."""
    u, s, v = np.linalg.svd(matrix.numpy().astype(np.float64), full_matrices=False)
    s = s / np.sqrt((s**2).sum())
    a, b, c = COEFFICIENTS
    for _ in range(steps):
        s = a * s + b * s**3 + c * s**5
    return (u * s) @ v, s


@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (6, 6)])
def test_singular_values_go_through_the_polynomial(shape, device):
    matrix = torch.randn(shape)
    expected, s = oracle(matrix, 5)
    got = orthogonalise(matrix.to(device)).cpu()
    # Five products in float32 of numbers about 1.
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-4)
    assert 0.4 < s.min() < s.max() < 1.3


def test_a_batch_is_its_matrices():
    batch = torch.randn(3, 4, 7)
    for one, together in zip(batch, orthogonalise(batch), strict=True):
        torch.testing.assert_close(orthogonalise(one), together)


@pytest.mark.parametrize("shape", [(8, 16), (16, 8)])
def test_steps_are_those_of_torch(shape):
    ours = torch.nn.Parameter(torch.randn(shape))
    theirs = torch.nn.Parameter(ours.detach().clone())
    options = {"lr": 0.01, "weight_decay": 0.1}
    mine = Muon([ours], **options, dtype=torch.bfloat16)
    other = torch.optim.Muon([theirs], **options, adjust_lr_fn="match_rms_adamw")
    for _ in range(4):
        ours.grad = torch.randn(shape)
        theirs.grad = ours.grad.clone()
        mine.step()
        other.step()
    # Both orthogonalise in bfloat16, whose rounding (0.4 %) differs with the order of
    # operations; four steps of lr · 0.2·√16 · u, |u| < 1.
    torch.testing.assert_close(ours, theirs, rtol=0, atol=4 * 0.01 * 0.8 * 0.03)
    assert (ours - theirs).abs().max() < 0.1 * (4 * 0.01 * 0.8)


def test_stacked_matrices_are_orthogonal_each_by_itself():
    parts = [torch.nn.Parameter(torch.randn(4, 6)) for _ in range(3)]
    whole = torch.nn.Parameter(torch.cat([p.detach() for p in parts]))
    for i, part in enumerate(parts):
        part.grad = 10.0**i * torch.randn(4, 6)
    whole.grad = torch.cat([p.grad for p in parts])
    Muon(parts, weight_decay=0.1).step()
    Muon([{"params": [whole], "stacked": 3}], weight_decay=0.1).step()
    torch.testing.assert_close(whole, torch.cat(parts), rtol=1e-5, atol=1e-7)


def test_a_parameter_without_gradient_stays():
    parameters = [torch.nn.Parameter(torch.ones(2, 2)) for _ in range(2)]
    parameters[0].grad = torch.eye(2)
    Muon(parameters).step()
    assert torch.equal(parameters[1], torch.ones(2, 2))
    assert not torch.equal(parameters[0], torch.ones(2, 2))


def test_vectors_are_refused():
    with pytest.raises(ValueError, match=r"1 stacked matrices, got shape \(3,\)"):
        Muon([torch.nn.Parameter(torch.ones(3))])
    with pytest.raises(ValueError, match="3 stacked"):
        Muon([{"params": [torch.nn.Parameter(torch.ones(4, 4))], "stacked": 3}])
