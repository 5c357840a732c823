"""Mixture of experts against transformers' Mixtral, and what its parts promise."""

import copy
from dataclasses import replace

import pytest
import torch
from transformers import MixtralConfig
from transformers.models.mixtral.modeling_mixtral import (
    MixtralSparseMoeBlock,
    load_balancing_loss_func,
)

from lmlib.models.experts import (
    Experts,
    balance_loss,
    router_logits,
    use,
    use_experts,
)
from lmlib.models.gpt import GPT, gpt_config
from lmlib.transformer import FeedForward, count_parameters

CONFIG = gpt_config(16, 2, 2, vocab_size=11, max_len=8)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("top_k", [2, 3])
def test_output_and_gradients_are_those_of_mixtral(top_k):
    n, d, d_ff = 5, 12, 20
    theirs = MixtralSparseMoeBlock(
        MixtralConfig(
            hidden_size=d,
            intermediate_size=d_ff,
            num_local_experts=n,
            num_experts_per_tok=top_k,
            experts_implementation="eager",
        )
    )
    config = replace(
        gpt_config(d, 2, 2, vocab_size=11),
        d_ff=d_ff,
        bias=False,
        gated=True,
        activation="silu",
    )
    ours = Experts(config, n, top_k)
    with torch.no_grad():
        theirs.gate.weight.copy_(random(n, d, seed=1))
        theirs.experts.gate_up_proj.copy_(random(n, 2 * d_ff, d, seed=2))
        theirs.experts.down_proj.copy_(random(n, d, d_ff, seed=3))
        ours.router.weight.copy_(theirs.gate.weight)
        for i, expert in enumerate(ours.experts):
            expert.up.weight.copy_(theirs.experts.gate_up_proj[i])
            expert.down.weight.copy_(theirs.experts.down_proj[i])
    x = random(3, 7, d, seed=4)
    # float32, sums of 20 products of size about 10 in another order
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-4)
    ours(x).square().sum().backward()
    theirs(x).square().sum().backward()
    torch.testing.assert_close(
        ours.router.weight.grad, theirs.gate.weight.grad, rtol=1e-3, atol=1e-2
    )


@pytest.mark.parametrize("top_k", [1, 2])
def test_balance_loss_of_a_layer_is_that_of_transformers(top_k):
    for seed in range(5):
        logits = 3 * random(40, 6, seed=seed)
        expected = load_balancing_loss_func((logits,), 6, top_k)
        assert float(balance_loss([logits], top_k)) == pytest.approx(float(expected))


def test_each_layer_is_balanced_by_itself():
    first = torch.tensor([[50.0, 0.0]]).expand(8, 2)
    unlike = [first, first.flip(1)]
    assert float(balance_loss(unlike, 1)) == pytest.approx(2)
    even = torch.eye(2).repeat(4, 1)
    assert float(balance_loss([first, even], 1)) == pytest.approx(1.5)  # the mean
    # transformers joins the layers first, and finds them balanced
    assert float(load_balancing_loss_func(tuple(unlike), 2, 1)) == pytest.approx(1)


def test_balance_loss_between_even_and_one_for_all():
    even = torch.eye(4).repeat(3, 1)
    assert float(balance_loss([even], 1)) == pytest.approx(1)
    assert float(balance_loss([50 * torch.eye(4)[:1]], 1)) == pytest.approx(4)
    assert use(even, 1).tolist() == [0.25] * 4
    with pytest.raises(ValueError, match="logits"):
        balance_loss([], 1)


def test_its_gradient_lowers_what_is_chosen_most():
    logits = torch.zeros(10, 3)
    logits[:, 1] = 1.0
    logits.requires_grad_()
    balance_loss([logits], 1).backward()
    assert (logits.grad[:, 1] > 0).all()
    assert (logits.grad[:, [0, 2]] < 0).all()


def test_a_token_passes_through_its_best_expert_alone_times_its_probability():
    layer = Experts(CONFIG, 3)
    torch.nn.init.normal_(layer.router.weight)
    x = random(4, 5, 16)
    p = layer.router(x).softmax(dim=-1)
    out = layer(x)
    for row in range(4):
        for place in range(5):
            best = int(p[row, place].argmax())
            alone = layer.experts[best](x[row, place]) * p[row, place, best]
            torch.testing.assert_close(out[row, place], alone)
    out.sum().backward()
    assert layer.router.weight.grad.abs().max() > 0


def test_one_expert_is_a_feed_forward_layer():
    layer, plain = Experts(CONFIG, 1), FeedForward(CONFIG)
    plain.load_state_dict(layer.experts[0].state_dict())
    x = random(2, 3, 16)
    torch.testing.assert_close(layer(x), plain(x))


def test_in_a_gpt_it_changes_the_layers_and_stays_causal():
    model = GPT(CONFIG).eval()
    before = count_parameters(model)
    layer = count_parameters(model.backbone.blocks[0].feed_forward)
    use_experts(model.backbone, 4)
    assert count_parameters(model) == before + 2 * (3 * layer + 4 * 16)
    ids = torch.arange(8)[None] % 11
    other = ids.clone()
    other[0, 5] = 0
    with torch.no_grad(), router_logits(model) as logits:
        moved = (model(ids) - model(other)).abs().amax(dim=(0, 2))
    assert [tuple(own.shape) for own in logits] == [(8, 4)] * 4
    assert (moved[:5] == 0).all()
    assert (moved[5:] > 0).all()
    with router_logits(model) as logits:
        model(ids).sum().backward()
    balance_loss(logits, 1)
    copy.deepcopy(model)  # a module that keeps its logits could not be copied
    model(ids)
    assert len(logits) == 2  # nothing is collected outside


def test_writes_to_the_residual_stream_start_smaller():
    torch.manual_seed(0)
    layer = Experts(gpt_config(256, 8, 4, vocab_size=11), 2)
    assert float(layer.experts[1].down.weight.detach().std()) == pytest.approx(
        0.02 / 4, rel=0.02
    )


def test_top_k_in_range():
    for top_k in (0, 4):
        with pytest.raises(ValueError, match="top_k"):
            Experts(CONFIG, 3, top_k)
