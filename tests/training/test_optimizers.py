"""Which parameter goes where, and the learning rate against transformers' schedules."""

from dataclasses import replace

import pytest
import torch
import transformers
from torch import nn

from lmlib.models.bert import Bert
from lmlib.models.gpt import GPT, gpt_config
from lmlib.training.optimizers import (
    learning_rate_share,
    make_optimizers,
    parameter_groups,
)
from lmlib.transformer import TransformerConfig
from tests.training.toys import Toy

ADAM = {"lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.5}


def bert():
    config = TransformerConfig(
        vocab_size=20, d_model=8, n_layers=2, n_heads=2, max_len=16, n_segments=2
    )
    return Bert(config)


def test_biases_and_norms_do_not_decay_and_heads_are_not_for_muon():
    model = bert()
    groups = parameter_groups(model, muon=True)
    for name in groups["no decay"]:
        assert (
            name.endswith("bias")
            or "norm" in name
            or name.endswith("transform.2.weight")
        )
    assert len(groups["muon"]) == 2 * 4  # qkv, output, up, down of each block
    assert all("blocks" in name for name in groups["muon"])
    decay = set(groups["decay"])
    assert {f"backbone.embeddings.{x}.weight" for x in ("token", "segment")} < decay
    assert "heads.mlm.transform.0.weight" in decay
    assert "heads.nsp.pooler.dense.weight" in decay
    # Each parameter once, although the token embedding is the head's as well.
    names = [name for group in groups.values() for name in group]
    assert sorted(names) == sorted(dict(model.named_parameters()))
    assert not any("mlm.embedding" in name for name in names)


def test_a_tied_weight_moves_once():
    model = Toy()
    optimizers = make_optimizers(model, **ADAM, muon=True)
    held = [p for o in optimizers for g in o.param_groups for p in g["params"]]
    assert len({id(p) for p in held}) == len(held)
    assert sum(p is model.backbone.token.weight for p in held) == 1
    assert not any(p is model.backbone.frozen.weight for p in held)
    # The tied weight is an embedding too, so that Muon does not take it.
    assert parameter_groups(model, muon=True)["muon"] == ["backbone.hidden.weight"]


def test_a_model_that_serves_as_a_head_has_hidden_matrices():
    model = Toy()
    model.heads["generator"] = bert()
    muon = parameter_groups(model, muon=True)["muon"]
    assert "heads.generator.backbone.blocks.0.attention.qkv.weight" in muon
    assert "heads.generator.heads.nsp.classifier.weight" not in muon


def test_query_key_and_value_are_stacked():
    model = bert()
    muon = make_optimizers(model, **ADAM, muon=True)[1]
    stacked = {id(p): g["stacked"] for g in muon.param_groups for p in g["params"]}
    attention = model.backbone.blocks[0].attention
    assert stacked[id(attention.qkv.weight)] == 3
    assert stacked[id(attention.output.weight)] == 1


def test_muon_does_not_cut_unequal_parts():
    config = gpt_config(24, 2, 4, vocab_size=11)
    model = GPT(replace(config, n_kv_heads=2))
    with pytest.raises(ValueError, match="as many heads of keys and values as of quer"):
        make_optimizers(model, **ADAM, muon=True)
    make_optimizers(model, **ADAM, muon=False)


def test_decay_shrinks_what_has_no_gradient_to_speak_of():
    model = Toy()
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
        nn.init.ones_(parameter)
    (adam,) = make_optimizers(model, **ADAM, muon=False)
    adam.step()
    assert model.heads["sum"].weight[0, 0].item() == pytest.approx(1 - 0.1 * 0.5)
    assert torch.equal(model.backbone.norm.weight, torch.ones(8))
    assert torch.equal(model.heads["sum"].bias, torch.ones(2))


@pytest.mark.parametrize("decay", ["linear", "cosine", "constant"])
def test_schedules_are_those_of_transformers(decay):
    steps, warmup = 20, 4
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    name = "constant_with_warmup" if decay == "constant" else decay
    theirs = transformers.get_scheduler(name, optimizer, warmup, steps)
    for step in range(steps):
        optimizer.step()
        if step >= warmup:
            expected = theirs.get_last_lr()[0]
        else:  # theirs wastes the first step on a rate of 0
            expected = theirs.get_last_lr()[0] + 1 / warmup
        share = learning_rate_share(step, steps, warmup=warmup, decay=decay)
        assert share == pytest.approx(expected, abs=1e-9)
        theirs.step()


def test_the_last_rate_is_near_the_final_one():
    shares = [
        learning_rate_share(s, 1000, warmup=0, decay="cosine", final=0.1)
        for s in (0, 999)
    ]
    assert shares == pytest.approx([1, 0.1], abs=1e-4)


def test_nothing_to_train_is_an_error():
    model = Toy().requires_grad_(False)
    with pytest.raises(ValueError, match="no parameter that trains"):
        make_optimizers(model, **ADAM, muon=False)
