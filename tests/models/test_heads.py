"""lmlib.models.heads by hand, and how weights stay tied."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lmlib.models.gpt import GPT, gpt_config
from lmlib.models.heads import LMHead, PairHead, Pooler, SequenceHead, TokenHead
from lmlib.transformer import TransformerConfig, count_parameters

CONFIG = TransformerConfig(vocab_size=31, d_model=12, n_layers=1, n_heads=2)


def randomise(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_()
    return module


def test_lm_head_by_hand(device):
    embedding = nn.Embedding(31, 8)
    head = LMHead(
        replace(CONFIG, d_embedding=8), embedding, transform=True, bias=True
    ).to(device)
    randomise(head)
    dense, _, norm = head.transform
    hidden = torch.randn(3, 4, 12, device=device)
    x = F.gelu(hidden @ dense.weight.T + dense.bias)
    x = F.layer_norm(x, (8,), norm.weight, norm.bias, 1e-12)
    expected = x @ embedding.weight.T + head.bias
    torch.testing.assert_close(head(hidden), expected, atol=1e-5, rtol=1e-5)


def test_lm_head_on_gathered_positions_is_the_same(device):
    head = randomise(LMHead(CONFIG, nn.Embedding(31, 12), transform=True)).to(device)
    hidden = torch.randn(3, 4, 12, device=device)
    chosen = torch.rand(3, 4, device=device) < 0.5
    torch.testing.assert_close(head(hidden[chosen]), head(hidden)[chosen])
    assert head(hidden[0, 0]).shape == (31,)


def test_lm_head_scale():
    embedding = nn.Embedding(31, 12)
    hidden = torch.randn(2, 12)
    plain, scaled = LMHead(CONFIG, embedding), LMHead(CONFIG, embedding, scale=0.25)
    torch.testing.assert_close(scaled(hidden), plain(hidden) / 4)


def test_lm_head_needs_a_transform_to_change_size():
    with pytest.raises(ValueError, match="transform must be True"):
        LMHead(CONFIG, nn.Embedding(31, 8))


@pytest.mark.parametrize("how", ["as made", "deepcopy", "from meta", "state dict"])
def test_tied_weights_stay_tied_and_count_once(how):
    config = gpt_config(12, 1, 2, vocab_size=31, max_len=8)
    model = GPT(config)
    if how == "deepcopy":
        model = copy.deepcopy(model)
    if how == "from meta":
        with torch.device("meta"):
            model = GPT(config)
        model.to_empty(device="cpu")
    if how == "state dict":
        other = GPT(config)
        other.load_state_dict(model.state_dict())
        model = other
    token = model.backbone.embeddings.token
    assert model.heads["lm"].embedding.weight is token.weight
    d = 12
    block = 4 * d * d + 4 * d + 8 * d * d + 5 * d + 4 * d
    assert count_parameters(model) == 31 * d + 8 * d + block + 2 * d
    randomise(model)
    model(torch.tensor([[1, 2]])).sum().backward()
    # From the head every row has a gradient, also those of tokens that are not read.
    assert (token.weight.grad.abs().amax(-1) > 0).all()


def test_pair_head_by_hand(device):
    head = randomise(PairHead(12, 3)).to(device)
    hidden = torch.randn(5, 4, 12, device=device)
    pooled = torch.tanh(
        F.linear(hidden[:, 0], head.pooler.dense.weight, head.pooler.dense.bias)
    )
    expected = F.linear(pooled, head.classifier.weight, head.classifier.bias)
    torch.testing.assert_close(head(hidden), expected)
    pooler = Pooler(12).to(device)
    pooler.load_state_dict(head.pooler.state_dict())
    torch.testing.assert_close(pooler(hidden), pooled)


def test_token_head_takes_any_shape():
    head = randomise(TokenHead(12, 5))
    hidden = torch.randn(2, 3, 12)
    assert head(hidden).shape == (2, 3, 5)
    torch.testing.assert_close(head(hidden[1, 2]), head(hidden)[1, 2])


@pytest.mark.parametrize(
    ("pool", "rows"), [("first", [1, 0]), ("last", [3, 2]), ("mean", None)]
)
def test_sequence_head_pools_real_positions(pool, rows, device):
    head = randomise(SequenceHead(12, 5, pool=pool)).to(device)
    hidden = torch.randn(2, 4, 12, device=device)
    mask = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 0]], device=device).bool()
    if rows:
        pooled = torch.stack([hidden[0, rows[0]], hidden[1, rows[1]]])
    else:
        pooled = torch.stack([hidden[0, 1:].mean(0), hidden[1, :3].mean(0)])
    torch.testing.assert_close(head(hidden, mask), head.classifier(pooled))
    alone = head(hidden[1:, :3])
    torch.testing.assert_close(alone, head(hidden, mask)[1:])


def test_sequence_head_says_which_pools_there_are(no_runtime_types):
    with pytest.raises(ValueError, match="pool must be first, last or mean"):
        SequenceHead(12, 5, pool="max")


@pytest.mark.parametrize("head", [PairHead, TokenHead, SequenceHead])
def test_dropout_of_heads_is_for_training(head):
    module = head(12, 3, dropout=0.5)
    hidden = torch.randn(2, 4, 12)
    assert not torch.equal(module(hidden), module(hidden))
    module.eval()
    assert torch.equal(module(hidden), module(hidden))
