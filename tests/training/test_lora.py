"""LoRA against the definition."""

import copy

import pytest
import torch
from torch import nn

from lmlib.training.lora import LoRALinear, add_lora, merge_lora
from lmlib.transformer import Transformer, TransformerConfig

CONFIG = TransformerConfig(
    vocab_size=20, d_model=16, n_layers=2, n_heads=4, max_len=8, dropout=0.0
)


def test_begins_at_the_pretrained_model_and_computes_the_sum(device):
    linear = nn.Linear(5, 7).to(device)
    weight, bias = linear.weight.clone(), linear.bias.clone()
    lora, x = LoRALinear(linear, rank=2, alpha=6.0), torch.randn(3, 5, device=device)
    torch.testing.assert_close(lora(x), x @ weight.T + bias)
    assert {n for n, p in lora.named_parameters() if p.requires_grad} == {"a", "b"}
    nn.init.normal_(lora.b)
    expected = x @ (weight + 3.0 * lora.b @ lora.a).T + bias
    torch.testing.assert_close(lora(x), expected, rtol=1e-5, atol=1e-5)


def test_only_the_thin_matrices_train_and_merging_keeps_the_function():
    model = Transformer(CONFIG)
    before = copy.deepcopy(model).eval()
    add_lora(model, rank=3)
    names = [n for n, p in model.named_parameters() if p.requires_grad]
    assert len(names) == 4
    assert all(n.endswith(("qkv.a", "qkv.b")) for n in names)
    ids = torch.randint(20, (2, 6))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])
    for _ in range(3):
        model(ids).hidden[..., 0].sum().backward()
        optimizer.step()
    # What is frozen has not moved by a bit.
    state = model.state_dict()
    for name, tensor in before.state_dict().items():
        assert torch.equal(state[name.replace("qkv.", "qkv.frozen.")], tensor)
    tuned = model.eval()(ids).hidden
    assert (tuned - before(ids).hidden).abs().max() > 1e-3
    merge_lora(model)
    assert not any(isinstance(m, LoRALinear) for m in model.modules())
    assert model.state_dict().keys() == before.state_dict().keys()
    # W·x + s·B·(A·x) and (W + s·B·A)·x: float32 in another order.
    torch.testing.assert_close(model(ids).hidden, tuned, rtol=1e-5, atol=1e-6)


def trained(model):
    return {name for name, p in model.named_parameters() if p.requires_grad}


def test_after_merging_the_same_parameters_train_as_before():
    model = nn.ModuleDict({"backbone": Transformer(CONFIG), "head": nn.Linear(16, 2)})
    backbone = model["backbone"]
    backbone.embeddings.requires_grad_(False)
    backbone.blocks[0].attention.qkv.weight.requires_grad_(False)
    before = trained(model)
    add_lora(backbone, rank=2)
    copied = copy.deepcopy(model)  # as initialise and the best of a training do
    copied["head"] = nn.Linear(16, 3)
    # The backbone is adapted, and the whole is merged.
    merge_lora(copied)
    assert trained(copied) == before
    assert "backbone.blocks.1.attention.qkv.weight" in before
    add_lora(copied, rank=1)
    merge_lora(copied)
    assert trained(copied) == before


def test_a_model_that_cannot_be_adapted_stays_as_it_was():
    model = Transformer(CONFIG)
    before = trained(model)
    for options in ({"targets": ["nothing"]}, {"rank": 17}):
        with pytest.raises(ValueError, match=r"named nothing|rank must be"):
            add_lora(model, **options)
        assert trained(model) == before


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"rank must be in 1 … 4, got 5"):
        LoRALinear(nn.Linear(4, 9), rank=5, alpha=1.0)
    with pytest.raises(ValueError, match="no linear layer named nothing"):
        add_lora(nn.Linear(4, 4), targets=["nothing"])
