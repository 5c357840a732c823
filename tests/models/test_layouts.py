"""lmlib.models.layouts: settings there and back; names of all published models."""

from dataclasses import replace

import pytest
import torch
import transformers

from lmlib.models import ALBERT, BERT, GPT2, ROBERTA, T5, T5_SIZES, Bert, build
from lmlib.models.gpt import GPT, gpt_config
from lmlib.models.layouts import FAMILIES, write_settings
from lmlib.models.t5 import t5_config
from tests.models import pairs

PUBLISHED = ["bert-base-cased", "roberta-large", "albert-xlarge-v1", "gpt2-xl"]
PUBLISHED += ["t5-11b", "t5-v1.1-xl"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_settings_of_published_models_there_and_back(name):
    with torch.device("meta"):
        model = build(name)
    settings = write_settings(model)
    layout = FAMILIES[settings["model_type"]]
    names = {name for weight in layout.weights(model) for name in weight.theirs}
    with torch.device("meta"):
        again = layout.make(settings, names)
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    assert {key: value.shape for key, value in again.state_dict().items()} == shapes
    # transformers takes the same settings, and makes the same number of parameters
    config = transformers.AutoConfig.for_model(**settings)
    assert config.architectures == settings["architectures"]
    with torch.device("meta"):
        theirs = getattr(transformers, settings["architectures"][0])(config)
    # (their v1.1 is tied until a checkpoint says otherwise)
    expected = {name for name, _ in theirs.named_parameters()}
    assert names - {"lm_head.weight"} == expected - {"lm_head.weight"}


@pytest.mark.parametrize("presets", [BERT, ROBERTA, ALBERT, GPT2, T5_SIZES], ids=str)
def test_every_parameter_has_a_place(presets):
    with torch.device("meta"):
        model = build(next(iter(presets)))
    weights = FAMILIES[model.family].weights(model)
    assert {w.ours for w in weights} == {key for key, _ in model.named_parameters()}
    stored = [name for w in weights for name in w.theirs]
    assert len(stored) == len(set(stored))


def test_first_config_of_bert_had_fewer_settings():
    """The config.json of 2018 has no layer_norm_eps."""
    settings = {
        "attention_probs_dropout_prob": 0.1,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": 768,
        "initializer_range": 0.02,
        "intermediate_size": 3072,
        "max_position_embeddings": 512,
        "model_type": "bert",
        "num_attention_heads": 12,
        "num_hidden_layers": 12,
        "type_vocab_size": 2,
        "vocab_size": 30522,
    }
    with torch.device("meta"):
        model = FAMILIES["bert"].make(settings, [])
    expected = replace(BERT["bert-base-uncased"], d_ff=3072)
    assert model.config == expected


def test_heads_are_those_that_are_stored():
    settings = {"model_type": "bert", **pairs.ENCODER}
    make = FAMILIES["bert"].make
    assert not make(settings, []).heads
    assert list(make(settings, ["bert.pooler.dense.weight"]).heads) == ["pooler"]
    both = ["bert.pooler.dense.weight", "cls.seq_relationship.weight"]
    assert list(make(settings, both).heads) == ["nsp"]
    assert list(make(settings, ["cls.predictions.bias"]).heads) == ["mlm"]


@pytest.mark.parametrize(
    ("stored", "name"),
    [
        ("encoder.layer.0.output.LayerNorm.gamma", "LayerNorm.weight"),
        ("bert.embeddings.LayerNorm.beta", "bert.embeddings.LayerNorm.bias"),
        ("cls.predictions.bias", "cls.predictions.bias"),
    ],
)
def test_canonical_names(stored, name):
    canonical = FAMILIES["bert"].canonical(stored)
    assert canonical.endswith(name)
    assert canonical.startswith(("bert.", "cls."))
    assert canonical.count("bert.") <= 1
    assert FAMILIES["bert"].canonical("bert.embeddings.position_ids") is None
    assert FAMILIES["gpt2"].canonical("h.3.attn.bias") is None
    assert FAMILIES["gpt2"].canonical("h.3.attn.c_attn.bias") is not None


BERT_SMALL = replace(BERT["bert-base-cased"], d_model=24, n_heads=3, n_layers=2)
GPT_SMALL = gpt_config(24, 2, 3, vocab_size=31)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            lambda: Bert(replace(BERT_SMALL, norm_first=True)),
            "norm_first = True cannot",
        ),
        (lambda: Bert(replace(BERT_SMALL, positions="alibi")), "positions = 'alibi'"),
        (lambda: Bert(replace(BERT_SMALL, n_groups=1)), "n_groups = 1 cannot"),
        (lambda: Bert(BERT_SMALL, ["mlm", "sop"]), "heads .* cannot be written"),
        (lambda: GPT(replace(GPT_SMALL, d_head=9)), "d_head = 9 cannot be written"),
        (lambda: GPT(replace(GPT_SMALL, gated=True)), "gated = True cannot"),
        (
            lambda: T5(
                replace(
                    t := t5_config(24, 40, 2, 3),
                    decoder=replace(t.decoder, n_heads=2),
                )
            ),
            "n_heads = 2 cannot be written: in the layout of t5 it is 3",
        ),
    ],
)
def test_models_without_a_place_are_refused(model, message):
    with torch.device("meta"):
        made = model()
    with pytest.raises(ValueError, match=message):
        write_settings(made)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model_type": "bert"}, "config.json must have vocab_size"),
        (
            {"model_type": "albert", **pairs.ENCODER, "inner_group_num": 2},
            "inner_group_num in config.json must be 1",
        ),
        (
            {"model_type": "gpt2", "scale_attn_by_inverse_layer_idx": True},
            "scale_attn_by_inverse_layer_idx in config.json must be False",
        ),
        (
            {"model_type": "gpt2", "resid_pdrop": 0.1, "embd_pdrop": 0.2},
            "embd_pdrop in config.json must be 0.1",
        ),
        (
            {"model_type": "t5", **pairs.T5_SIZES, "feed_forward_proj": "gated-tanh"},
            "activation in config.json must be one of",
        ),
    ],
)
def test_settings_that_lmlib_lacks(settings, message):
    with pytest.raises(ValueError, match=message):
        FAMILIES[settings["model_type"]].make(settings, [])
