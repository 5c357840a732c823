"""Predictions of many texts at once are those of each alone."""

import numpy as np
import pytest
import torch

from lmlib.data.tokenizers import ByteTokenizer
from lmlib.models.bert import Bert
from lmlib.models.gpt import GPT, gpt_config
from lmlib.training.finetune import initialise
from lmlib.training.predict import predict
from lmlib.training.tasks import Example, HeldOut, Task
from lmlib.transformer import TransformerConfig

TOKENIZER = ByteTokenizer()


def model_for(kind, family=Bert):
    torch.manual_seed(3)
    if family is Bert:
        sizes = {"vocab_size": 260, "d_model": 16, "n_layers": 2, "n_heads": 2}
        start = Bert(TransformerConfig(**sizes, max_len=24, n_segments=2), heads=())
    else:
        start = GPT(gpt_config(16, 2, 2, vocab_size=260, max_len=24))
    wanted = (0,) if kind == "tagging" else 0
    one = [Example("a", wanted, "b" if kind == "pairs" else "")]
    model = initialise(start, Task(kind, ("x", "y", "z"), one, one, HeldOut([])))
    with torch.no_grad():
        for parameter in model.parameters():  # so that classes differ
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


@pytest.mark.parametrize("family", [Bert, GPT])
@pytest.mark.parametrize("kind", ["classification", "pairs"])
def test_each_has_its_own_probabilities_in_order(kind, family):
    model = model_for(kind, family)
    second = "cd" if kind == "pairs" else ""
    texts = ["a long text here", "b", "", "medium", "and again"]
    examples = [Example(text, 7, second) for text in texts]
    found = predict(model, examples, kind, TOKENIZER, length=24, batch_size=2)
    for example, shares in zip(examples, found, strict=True):
        # By hand: [CLS] text [SEP], or with a second text.
        row = [257, *example.text.encode(), 258]
        segments = [0] * len(row)
        if second:
            row += [*second.encode(), 258]
            segments += [1] * 3
        ids = torch.tensor([row])
        more = {"segment_ids": torch.tensor([segments])} if family is Bert else {}
        with torch.no_grad():
            hidden = model.backbone(ids, **more).hidden
            logits = model.heads["task"](hidden)[0].double()
        expected = (logits - logits.logsumexp(0)).exp()
        np.testing.assert_allclose(shares, expected.numpy(), atol=1e-5)
        assert shares.sum() == pytest.approx(1)
    assert np.abs(found[0] - found[1]).max() > 1e-3


@pytest.mark.parametrize("family", [Bert, GPT])
def test_words_have_theirs_and_those_cut_off_have_none(family):
    model = model_for("tagging", family)
    examples = [Example("ab cde f", (0,)), Example("", ()), Example("x " * 40, (0,))]
    long, nothing, cut = 0, 1, 2
    found = predict(model, examples, "tagging", TOKENIZER, length=24)
    assert found[long].shape == (3, 3)
    assert found[nothing].shape == (0, 3)
    # The words without what is between: [CLS] ab cde f [SEP].
    ids = torch.tensor([[257, *b"abcdef", 258]])
    with torch.no_grad():
        logits = model.heads["task"](model.backbone(ids).hidden)[0].double()
    places = [1, 3, 6] if family is Bert else [2, 5, 6]
    expected = logits[places].softmax(-1).numpy()
    np.testing.assert_allclose(found[long], expected, atol=1e-5)
    assert np.isnan(found[cut]).all(axis=1).tolist() == [False] * 22 + [True] * 18


def test_what_cannot_be_predicted_is_refused():
    model = model_for("classification")
    some = [Example("a", 0)]
    with pytest.raises(ValueError, match="kind must have classes"):
        predict(model, some, "generation", TOKENIZER, length=24)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        predict(model, some, "classification", TOKENIZER, length=24, batch_size=0)
    assert predict(model, [], "classification", TOKENIZER, length=24) == []
    with torch.no_grad():
        model.heads["task"].classifier.bias[0] = torch.nan
    with pytest.raises(FloatingPointError, match="no number"):
        predict(model, some, "classification", TOKENIZER, length=24)
