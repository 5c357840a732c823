"""Each token is a target once, predicted from the tokens before it and nothing else."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from lmlib.losses import IGNORE, bits_per_byte
from lmlib.objectives.causal import CausalLM
from tests.objectives.samples import (
    FIRST,
    SPECIAL,
    Model,
    corpus,
    slow_cross_entropy,
    to,
    vocab_size,
)

C = corpus(15)
V = vocab_size(C)


def documents(c):
    ends = c.document_tokens()
    return [c.tokens[a:b].tolist() for a, b in pairwise(ends)]


def examples(batches):
    """All (context, target) there are, context within the row and the document."""
    found = []
    for batch in batches:
        ids, targets = batch["token_ids"].tolist(), batch["targets"].tolist()
        places = batch.get("position_ids", torch.zeros(0)).tolist()
        for i, (row, wanted) in enumerate(zip(ids, targets, strict=True)):
            for t, target in enumerate(wanted):
                if target != IGNORE:
                    first = t - places[i][t] if places else 0
                    found.append((row[first : t + 1], target))
    return found


def every_target(c):
    return sorted(t for d in documents(c) for t in [*d, SPECIAL.eos])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("length", [1, 16, 10_000])
def test_each_token_is_a_target_once_in_an_epoch(packed, length):
    objective = CausalLM(C, SPECIAL, length=length, batch_size=3, packed=packed, seed=1)
    n = 3 * objective.n_rows  # steps of three epochs and twice as many again
    batches = [objective.batch(step) for step in range(n)]
    targets = sorted(target for _, target in examples(batches))
    assert targets == sorted(9 * every_target(C))
    once = examples(objective.evaluation_batches())
    assert sorted(target for _, target in once) == every_target(C)


@pytest.mark.parametrize("packed", [False, True])
def test_a_target_is_what_follows(packed):
    objective = CausalLM(C, SPECIAL, length=16, batch_size=3, packed=packed)
    text = [t for d in documents(C) for t in [SPECIAL.bos, *d]]
    firsts = {d[0] for d in documents(C)}
    for context, target in examples([objective.batch(s) for s in range(8)]):
        if target == SPECIAL.eos:
            assert context[-1] in {d[-1] for d in documents(C)}
        elif target in firsts:
            assert context[-1] == SPECIAL.bos
        else:
            assert context[-1] == target - 1
        if packed:
            assert SPECIAL.bos not in context[1:], "nothing of another document"
    assert text[0] == SPECIAL.bos


def test_packed_documents_are_told_apart():
    objective = CausalLM(C, SPECIAL, length=16, batch_size=4, packed=True)
    for batch in objective.evaluation_batches():
        ids, places = batch["token_ids"].numpy(), batch["position_ids"].numpy()
        own = batch["document_ids"].numpy()
        for i, row in enumerate(ids):
            for t, token in enumerate(row):
                if token == SPECIAL.pad:
                    assert own[i, t] == -1
                    continue
                # the document of a token, from its number
                if token >= FIRST:
                    ends = C.document_tokens()
                    assert ends[own[i, t]] <= token - FIRST < ends[own[i, t] + 1]
                begins = t == 0 or token == SPECIAL.bos
                assert places[i, t] == (0 if begins else places[i, t - 1] + 1)


@pytest.mark.parametrize("stride", [1, 5, 15, 16])
def test_with_a_stride_each_token_is_scored_once_and_sees_enough(stride):
    objective = CausalLM(C, SPECIAL, length=16, batch_size=4)
    found = examples(objective.evaluation_batches(stride))
    assert sorted(target for _, target in found) == every_target(C)
    least = 16 - stride + 1
    for n, (context, _) in enumerate(found):
        assert len(context) >= min(n + 1, least)


def test_bits_per_byte_score_each_byte_once(device):
    """A model without an idea spends log₂ V bits on each token and each end."""
    model = Model(V, "lm").to(device)
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    for stride in (None, 7):
        objective = CausalLM(C, SPECIAL, length=16, batch_size=4)
        total, n = 0.0, 0
        for batch in objective.evaluation_batches(stride):
            batch = to(batch, device)
            total += objective.losses(model, batch)["lm"].item()
            n += objective.counts(batch)["lm"]
        n_documents = len(C.documents) - 1
        assert n == len(C.tokens) + n_documents
        expected = (len(C.tokens) + n_documents) * math.log2(V) / C.n_bytes
        per_byte = bits_per_byte(total, objective.n_bytes)
        assert per_byte == pytest.approx(expected, rel=1e-12)


def test_the_loss_is_the_sum_over_targets():
    objective, model = CausalLM(C, SPECIAL, length=16, batch_size=4), Model(V, "lm")
    *_, batch = objective.evaluation_batches()
    assert (batch["targets"] == IGNORE).any(), "the last row is padded"
    logits = model.heads["lm"](model.backbone(batch["token_ids"]).hidden).detach()
    expected = slow_cross_entropy(logits, batch["targets"])
    assert objective.losses(model, batch)["lm"].item() == pytest.approx(expected)


def test_one_token_for_both_ends_of_a_document_is_gpt_2s_stream():
    special = type(SPECIAL)(**{**vars(SPECIAL), "bos": 7, "eos": 7})
    objective = CausalLM(C, special, length=10_000, batch_size=1)
    (batch,) = objective.evaluation_batches()
    ids, targets = batch["token_ids"][0].numpy(), batch["targets"][0].numpy()
    real = targets != IGNORE
    stream = np.concatenate([[7, *d] for d in documents(C)] + [[7]])
    assert ids[real].tolist() == stream[:-1].tolist()
    assert targets[real].tolist() == stream[1:].tolist()


def check_that_nothing_is_given_away(batch):
    """The target of a place is not in its context: in this corpus no token is twice."""
    for row, wanted in zip(batch["token_ids"], batch["targets"], strict=True):
        for t, target in enumerate(wanted.tolist()):
            if target >= FIRST:
                assert target not in row[: t + 1].tolist()


def test_targets_that_are_not_shifted_are_noticed():
    batch = CausalLM(C, SPECIAL, length=16, batch_size=4).batch(0)
    check_that_nothing_is_given_away(batch)
    with pytest.raises(AssertionError):
        check_that_nothing_is_given_away({**batch, "targets": batch["token_ids"]})


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="length must be at least 1"):
        CausalLM(C, SPECIAL, length=0, batch_size=1)
    objective = CausalLM(C, SPECIAL, length=8, batch_size=1)
    for stride in (0, 9):
        with pytest.raises(ValueError, match="stride must be in 1 … 8"):
            next(objective.evaluation_batches(stride))
