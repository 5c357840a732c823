"""Spans of noise: how many, how long, where; and the text comes back exactly."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from lmlib.losses import IGNORE
from lmlib.objectives.span import (
    SpanCorruption,
    corrupt_spans,
    noise_and_spans,
    random_spans,
    restore_spans,
)
from tests.objectives.samples import (
    SPECIAL,
    Backbone,
    corpus,
    is_uniform,
    slow_cross_entropy,
    vocab_size,
)

C = corpus(40)
V = vocab_size(C)
SENTINELS = list(range(V, V + 20))


class EncoderDecoder(nn.Module):
    """The parts of `lmlib.models.t5.T5` that the objective uses."""

    def __init__(self, n_tokens):
        super().__init__()
        self.encoder, self.decoder = Backbone(n_tokens), Backbone(n_tokens)
        self.heads = nn.ModuleDict({"lm": nn.Linear(8, n_tokens)})
        self.double()

    def encode(self, token_ids, attention_mask=None):
        return self.encoder(token_ids, attention_mask).hidden

    def decode(self, decoder_ids, memory, memory_mask=None):
        return self.decoder(decoder_ids).hidden + memory.mean(1, keepdim=True)


def spans_of(noise):
    """Lengths of the runs of True in a row."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], noise.astype(int), [0]))))
    return edges[1::2] - edges[::2]


@pytest.mark.parametrize(
    ("n", "share", "mean", "expected"),
    # 512 tokens: 77 of noise in 26 spans (T5's code); few tokens: at least one span
    [(512, 0.15, 3.0, (77, 26)), (2, 0.15, 3.0, (1, 1)), (10, 0.9, 3.0, (9, 1))],
)
def test_how_much_noise(n, share, mean, expected):
    assert noise_and_spans(n, share, mean) == expected


def test_spans_are_as_many_and_as_long_as_asked():
    for anywhere in (True, False):
        rng = np.random.default_rng(0)
        noise = random_spans(200, 100, 15, 5, rng, anywhere=anywhere)
        assert (noise.sum(1) == 15).all()
        lengths = [spans_of(row) for row in noise]
        assert {len(row) for row in lengths} == {5}
        assert np.mean(np.concatenate(lengths)) == 3


def test_as_t5_draws_them_the_last_token_is_always_noise():
    rng = np.random.default_rng(0)
    noise = random_spans(200, 100, 15, 5, rng, anywhere=False)
    assert not noise[:, 0].any(), "a row begins with text"
    assert noise[:, -1].all(), "and ends with noise"


def test_no_place_is_always_or_never_noise():
    noise = random_spans(20_000, 128, 19, 6, np.random.default_rng(0))
    share = noise.mean(0)
    # At either end: a span begins there in 6 of the 110 places between the text.
    assert share[[0, -1]] == pytest.approx([6 / 110] * 2, abs=0.006)
    assert share[20:-20] == pytest.approx(19 / 128, abs=0.02)
    # A single span lies anywhere, too.
    one = random_spans(20_000, 20, 3, 1, np.random.default_rng(0))
    assert is_uniform(np.bincount(one.argmax(1)))


def test_the_objective_draws_spans_anywhere_unless_told_otherwise():
    def ends_with_noise(**options):
        o = SpanCorruption(
            C, SPECIAL, sentinels=SENTINELS, length=32, batch_size=8, **options
        )
        # Before eos stands a sentinel.
        return np.mean([ids[-2] in SENTINELS for ids, _ in rows_of(o.batch(0))])

    assert ends_with_noise(anywhere=False) == 1
    assert ends_with_noise() < 0.6


def test_all_divisions_are_equally_likely():
    # 6 tokens, 3 of noise in 2 spans: two ways to divide the text times two the noise
    rng = np.random.default_rng(0)
    noise = random_spans(4000, 6, 3, 2, rng, anywhere=False)
    _, counts = np.unique(noise, axis=0, return_counts=True)
    assert len(counts) == 4
    assert is_uniform(counts)
    # Anywhere: of all rows with 3 of noise those that have 2 spans
    noise = random_spans(12_000, 6, 3, 2, rng)
    seen, counts = np.unique(noise, axis=0, return_counts=True)
    every = np.array(list(itertools.product((False, True), repeat=6)))
    every = every[every.sum(1) == 3]
    assert seen.tolist() == [r.tolist() for r in every if len(spans_of(r)) == 2]
    assert is_uniform(counts)


def test_the_example_of_the_paper():
    text = str.split("Thank you for inviting me to your party last week")
    ids = np.arange(10)[None]
    noise = np.isin(np.array(text), ["for", "inviting", "last"])[None]
    given, wanted = corrupt_spans(ids, noise, np.array([100, 101, 102]), 99)
    assert given.tolist() == [[0, 1, 100, 4, 5, 6, 7, 101, 9, 99]]
    assert wanted.tolist() == [[100, 2, 3, 101, 8, 99]]


def rows_of(batch):
    """Inputs and targets without padding, as lists."""
    mask = batch.get("attention_mask", torch.ones_like(batch["token_ids"]).bool())
    for ids, real, wanted in zip(
        batch["token_ids"], mask, batch["targets"], strict=True
    ):
        yield ids[real].tolist(), wanted[wanted != IGNORE].tolist()


def test_the_text_comes_back_exactly():
    objective = SpanCorruption(C, SPECIAL, sentinels=SENTINELS, length=32, batch_size=4)
    batches = list(objective.evaluation_batches())
    restored = [
        token
        for batch in batches
        for given, wanted in rows_of(batch)
        for token in restore_spans(given, wanted, SENTINELS, SPECIAL.eos)
    ]
    text = [token for token in restored if token != SPECIAL.eos]
    assert text == C.tokens.tolist()[: len(text)]
    assert len(C.tokens) - len(text) <= 1
    assert "attention_mask" not in batches[0], "full rows have exactly `length`"
    steps = range(objective.n_rows)
    seen = [
        token
        for step in steps
        for given, wanted in rows_of(objective.batch(step))
        for token in restore_spans(given, wanted, SENTINELS, SPECIAL.eos)
        if token != SPECIAL.eos
    ]
    assert sorted(seen) == sorted(4 * text)


def test_a_models_guess_is_put_in_its_place():
    assert restore_spans([1, 100, 2, 101, 99], [9, 101, 7, 8], [100, 101], 99) == [
        1,
        2,
        7,
        8,
    ]


def test_the_decoder_sees_the_targets_before():
    objective = SpanCorruption(C, SPECIAL, sentinels=SENTINELS, length=32, batch_size=4)
    for batch in objective.evaluation_batches():
        assert (batch["decoder_ids"][:, 0] == SPECIAL.pad).all()
        before = batch["targets"][:, :-1]
        counted = before != IGNORE
        assert torch.equal(batch["decoder_ids"][:, 1:][counted], before[counted])
        assert (batch["decoder_ids"][:, 1:][~counted] == SPECIAL.pad).all()


def test_the_loss_is_the_sum_over_the_noise(device):
    objective = SpanCorruption(C, SPECIAL, sentinels=SENTINELS, length=32, batch_size=4)
    model = EncoderDecoder(V + 20).to(device)
    *_, batch = objective.evaluation_batches()
    batch = {k: v.to(device) for k, v in batch.items()}
    mask = batch.get("attention_mask")
    hidden = model.decode(
        batch["decoder_ids"], model.encode(batch["token_ids"], mask), mask
    )
    expected = slow_cross_entropy(model.heads["lm"](hidden).detach(), batch["targets"])
    got = objective.losses(model, batch)["span"].item()
    assert got == pytest.approx(expected)


def check_spans(corrupt):
    """Of 100 tokens 15, in 5 spans, each with a sentinel of its own; all restorable."""
    rng = np.random.default_rng(5)
    ids = np.arange(100)[None].repeat(20, 0)
    noise = random_spans(20, 100, 15, 5, rng)
    given, wanted = corrupt(ids, noise)
    marks = range(500, 505)
    assert given.shape == (20, 91)
    assert wanted.shape == (20, 21)
    for a, b in zip(given.tolist(), wanted.tolist(), strict=True):
        assert restore_spans(a, b, marks, 99) == list(range(100))


def one_sentinel_for_all(ids, noise):
    given, wanted = corrupt_spans(ids, noise, np.arange(500, 505), 99)
    return np.where(given >= 500, 500, given), np.where(wanted >= 500, 500, wanted)


def a_mask_for_each_token(ids, noise):
    return np.where(noise, 500, ids), np.where(noise, ids, IGNORE)


def sentinels_swapped(ids, noise):
    given, wanted = corrupt_spans(ids, noise, np.arange(500, 505), 99)
    return given, np.where(wanted >= 500, 1004 - wanted, wanted)


def no_end(ids, noise):
    given, wanted = corrupt_spans(ids, noise, np.arange(500, 505), 99)
    return given[:, :-1], wanted[:, :-1]


@pytest.mark.parametrize(
    "mutant", [one_sentinel_for_all, a_mask_for_each_token, sentinels_swapped, no_end]
)
def test_mistakes_in_spans_are_noticed(mutant):
    check_spans(lambda ids, noise: corrupt_spans(ids, noise, np.arange(500, 505), 99))
    with pytest.raises(AssertionError):
        check_spans(mutant)


def test_bad_input_is_refused():
    def make(**changes):
        options = {"sentinels": SENTINELS, "length": 32, "batch_size": 2, **changes}
        return SpanCorruption(C, SPECIAL, **options)

    for changes, message in [
        ({"sentinels": SENTINELS[:1]}, "2 spans and need as many sentinels, got 1"),
        ({"sentinels": [V, V]}, "differ"),
        ({"sentinels": [V, 12, V + 1]}, "must not occur in the text"),
        (
            {"sentinels": [V, V + 1, SPECIAL.eos]},
            rf"must not be special tokens, got \[{SPECIAL.eos}\]",
        ),
        ({"share": 1.0}, "share"),
        ({"mean_length": 0.5}, "mean_length"),
        ({"length": 3}, "length must be at least 4"),
    ]:
        with pytest.raises(ValueError, match=message):
            make(**changes)
    two = np.array([[False, True, False, True], [False, True, True, False]])
    with pytest.raises(ValueError, match="same number"):
        corrupt_spans(np.zeros((2, 4), np.int64), two, np.array([9, 8]), 0)
    with pytest.raises(ValueError, match="2 spans need as many sentinels, got 1"):
        corrupt_spans(np.zeros((1, 4), np.int64), two[:1], np.array([9]), 0)
