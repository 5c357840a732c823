"""Vectors against rows one by one; a probe on classes that a line tells apart."""

import numpy as np
import pytest
import torch

from lmlib.data.tokenizers import ByteTokenizer
from lmlib.models.bert import Bert
from lmlib.models.gpt import GPT, gpt_config
from lmlib.training.probe import features, linear_probe
from lmlib.transformer import TransformerConfig

TEXTS = ["a", "some words", "and quite a few more of them"]


@pytest.fixture(params=["encoder", "decoder"])
def model(request):
    torch.manual_seed(0)
    if request.param == "decoder":
        return GPT(gpt_config(8, 1, 2, vocab_size=260, max_len=16)).eval()
    return Bert(TransformerConfig(260, 8, 1, 2, max_len=16), heads=()).eval()


@pytest.mark.parametrize("pool", ["mean", "first", "last"])
def test_padding_counts_for_nothing(model, pool):
    tokenizer = ByteTokenizer()
    together = features(model, tokenizer, TEXTS, pool, length=16)
    for text, vector in zip(TEXTS, together, strict=True):
        room = 15 if model.config.causal else 14
        ids = [257, *text.encode()[:room], *([] if model.config.causal else [258])]
        with torch.no_grad():
            hidden = model.backbone(torch.tensor([ids])).hidden[0]
        wanted = {"mean": hidden.mean(0), "first": hidden[0], "last": hidden[-1]}
        assert np.allclose(vector, wanted[pool], atol=1e-5)


def test_an_unknown_pool_is_refused(model):
    with pytest.raises(ValueError, match="pool"):
        features(model, ByteTokenizer(), TEXTS, "max")


def test_probe_finds_a_line_whatever_the_scale_of_the_features():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3)) * [1e-3, 1, 1e3] + [5, 0, -1e4]
    y = (x[:, 0] > 5).astype(np.int64) + 1
    x = np.column_stack([x, np.ones(400)])  # a feature that never changes
    assert (linear_probe(x[:200], y[:200])(x[200:]) == y[200:]).mean() > 0.95


def test_a_large_penalty_leaves_the_commonest_class():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 2)), np.array([0] * 10 + [1] * 20)
    x[:10] += 5
    assert (linear_probe(x, y, l2=1e9)(x) == 1).all()
    assert (linear_probe(x, y, l2=1.0)(x) == y).mean() > 0.9


def test_what_cannot_be_learned_from_is_refused():
    x, y = np.zeros((4, 2)), np.zeros(4, np.int64)
    with pytest.raises(ValueError, match="two classes"):
        linear_probe(x, y)
    with pytest.raises(ValueError, match="l2"):
        linear_probe(x, np.arange(4), l2=0.0)
