"""lmlib.models.scoring against sums by hand and the loss of `transformers`."""

import math

import pytest
import torch

from lmlib.models.scoring import continuation_bits, rolling_bits, text_bits
from lmlib.shipped import shipped
from tests.models import pairs


@pytest.fixture(scope="module")
def gpt(tmp_path_factory):
    return pairs.both("GPT-2", tmp_path_factory.mktemp("gpt2"))


def test_bits_are_the_loss_of_transformers(gpt):
    reference, model = gpt
    rows = torch.randint(pairs.VOCAB, (2, 11))
    context, continuation = rows[:, :4], rows[:, 4:]
    got = continuation_bits(model, context, continuation)
    assert got.shape == (2, 7)
    labels = rows.clone()
    labels[:, :4] = -100  # what is not to be scored
    expected = reference(input_ids=rows, labels=labels).loss / math.log(2)
    torch.testing.assert_close(got.mean(), expected)


def test_bits_of_a_text_do_not_depend_on_where_the_context_ends(gpt):
    rows = torch.randint(pairs.VOCAB, (3, 9))
    late = continuation_bits(gpt[1], rows[:, :6], rows[:, 6:])
    early = continuation_bits(gpt[1], rows[:, :1], rows[:, 1:])
    torch.testing.assert_close(late, early[:, 5:])


def test_fills_all_positions_and_no_more(gpt):
    rows = torch.randint(pairs.VOCAB, (1, 34))
    assert continuation_bits(gpt[1], rows[:, :1], rows[:, 1:33]).shape == (1, 32)
    with pytest.raises(ValueError, match="at most 33 tokens, got 1 \\+ 33"):
        continuation_bits(gpt[1], rows[:, :1], rows[:, 1:])
    with pytest.raises(ValueError, match="begin with the bos token"):
        continuation_bits(gpt[1], rows[:, :0], rows[:, 1:])


def test_bits_of_many_texts_are_those_of_each():
    kept = shipped("gpt")
    tokenizer = kept.tokenizer
    pairs = [
        ("", "Return a tensor."),
        ("a", "b"),
        ("sort", "\n\nSort a list in place."),
    ]
    found = text_bits(kept.model, tokenizer, pairs, batch_size=2)
    for (first, second), got in zip(pairs, found, strict=True):
        context = [tokenizer.special.bos, *tokenizer.encode(first).tolist()]
        continuation = tokenizer.encode(second).tolist()
        alone = continuation_bits(
            kept.model, torch.tensor([context]), torch.tensor([continuation])
        )
        torch.testing.assert_close(got, alone[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stride", [1, 3, 8])
@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 21])
def test_a_long_text_costs_what_each_token_costs_after_its_window(gpt, n, stride):
    ids = torch.randint(1, pairs.VOCAB, (n,))
    got = rolling_bits(gpt[1], ids, bos=0, window=8, stride=stride, batch_size=2)
    whole = torch.cat((torch.tensor([0]), ids))
    expected = torch.empty(n)
    end = 0
    while end < n:  # windows by hand, one after the other
        first, end = end, min(8 if end == 0 else end + stride, n)
        begin = max(end - 8, 0)
        for i in range(first, end):
            context, token = whole[None, begin : i + 1], whole[None, i + 1 : i + 2]
            expected[i] = continuation_bits(gpt[1], context, token)[0, 0]
    torch.testing.assert_close(got, expected)


def test_windows_that_cannot_be():
    model, ids = shipped("gpt").model, torch.arange(9)
    for stride in (0, 5):
        with pytest.raises(ValueError, match=f"stride must be in 1 … 4, got {stride}"):
            rolling_bits(model, ids, bos=0, window=4, stride=stride)
    with pytest.raises(ValueError, match="at most 128, got 129"):
        rolling_bits(model, ids, bos=0, window=129, stride=4)
