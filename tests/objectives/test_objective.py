"""What all objectives keep: their part of the contract with the training loop."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import lmlib.objectives.mlm
import lmlib.objectives.pairs
import lmlib.objectives.rtd
from lmlib.losses import IGNORE
from lmlib.models.bert import Bert
from lmlib.models.gpt import GPT
from lmlib.models.heads import TokenHead
from lmlib.models.t5 import T5, t5_config
from lmlib.objectives.causal import CausalLM
from lmlib.objectives.compression import SentenceCompression, compression_example
from lmlib.objectives.mlm import MaskedLM
from lmlib.objectives.nsp import NextSentence
from lmlib.objectives.objective import (
    Use,
    at_targets,
    forward,
    generator,
    one_logit,
)
from lmlib.objectives.rtd import ReplacedTokens
from lmlib.objectives.sequences import PackedSequences
from lmlib.objectives.sop import SentenceOrder
from lmlib.objectives.span import SpanCorruption
from lmlib.transformer import TransformerConfig
from tests.objectives.samples import SPECIAL, Model, corpus, same, to, vocab_size
from tests.objectives.test_span import EncoderDecoder

C = corpus(30)
V = vocab_size(C)
ROWS = {"length": 20, "batch_size": 6, "seed": 3}


def masked(sequences, **options):
    return MaskedLM(sequences, vocab_size=V, seed=3, **options)


def examples():
    words = [f"w{i}" for i in range(9)]
    return [
        compression_example(
            words[:n], [k % 2 == 0 for k in range(n)], lambda w: [10 + int(w[1:]), 25]
        )
        for n in range(1, 10)
    ]


OBJECTIVES = {
    "causal": (lambda: CausalLM(C, SPECIAL, **ROWS), {"lm"}),
    "packed": (lambda: CausalLM(C, SPECIAL, **ROWS, packed=True), {"lm"}),
    "mlm": (lambda: masked(PackedSequences(C, SPECIAL, **ROWS)), {"mlm"}),
    "nsp": (lambda: NextSentence(C, SPECIAL, **ROWS), {"nsp"}),
    "sop": (lambda: SentenceOrder(C, SPECIAL, **ROWS), {"sop"}),
    "mlm+nsp": (lambda: masked(NextSentence(C, SPECIAL, **ROWS)), {"mlm", "nsp"}),
    "mlm+sop": (
        lambda: masked(SentenceOrder(C, SPECIAL, **ROWS), whole_words=True),
        {"mlm", "sop"},
    ),
    "rtd": (
        lambda: ReplacedTokens(masked(PackedSequences(C, SPECIAL, **ROWS))),
        {"mlm", "rtd"},
    ),
    "keep": (lambda: SentenceCompression(examples(), SPECIAL, **ROWS), {"keep"}),
    "span": (
        lambda: SpanCorruption(C, SPECIAL, sentinels=[V, V + 1, V + 2], **ROWS),
        {"span"},
    ),
}


@pytest.fixture(params=OBJECTIVES)
def objective_and_parts(request):
    make, parts = OBJECTIVES[request.param]
    return make, parts


def model_for(parts):
    if "span" in parts:
        return EncoderDecoder(V + 3)
    if "rtd" in parts:
        return Model(V, "rtd", "generator")
    return Model(V, *parts)


def test_a_batch_is_a_pure_function_of_seed_and_step(objective_and_parts):
    make, _ = objective_and_parts
    one, other = make(), make()
    batches = [one.batch(step) for step in range(4)]
    assert all(same(other.batch(step), batches[step]) for step in (3, 0, 2, 1))
    assert not same(batches[0], batches[1])
    for name, tensor in batches[0].items():
        assert tensor.shape[0] == 6, name
    assert batches[0]["token_ids"].shape == (6, 20)
    assert batches[0]["token_ids"].dtype == torch.int64


def test_evaluation_is_the_same_every_time(objective_and_parts):
    make, _ = objective_and_parts
    one = make()
    first, second = list(one.evaluation_batches()), list(one.evaluation_batches())
    assert len(first) == len(second) > 0
    assert all(same(a, b) for a, b in zip(first, second, strict=True))


def test_losses_are_sums_over_as_many_targets_as_are_counted(
    objective_and_parts, device
):
    """Two halves of a batch have the sums and counts of the whole."""
    make, parts = objective_and_parts
    objective, model = make(), model_for(parts).to(device)
    batch = to(objective.batch(1), device)
    losses, counts = objective.losses(model, batch), objective.counts(batch)
    assert losses.keys() == counts.keys() == parts
    halves = [
        {k: v[half] for k, v in batch.items()} for half in (slice(2), slice(2, 6))
    ]
    for part in parts:
        assert losses[part].shape == ()
        assert counts[part] > 0
        assert sum(objective.counts(half)[part] for half in halves) == counts[part]
        total = sum(objective.losses(model, half)[part] for half in halves)
        torch.testing.assert_close(total, losses[part], rtol=1e-12, atol=0)
    sum(losses.values()).backward()
    heads = [n for n, p in model.named_parameters() if p.grad is None]
    assert heads == [], "every parameter is trained"


def library_model(parts, n_tokens):
    """The smallest model of the library that has the heads for `parts`."""
    n_segments = 2 if parts & {"nsp", "sop"} else 0
    config = TransformerConfig(
        n_tokens,
        16,
        n_layers=1,
        n_heads=2,
        max_len=20,
        n_segments=n_segments,
        dropout=0.0,
        attention_dropout=0.0,
    )
    if "span" in parts:
        return T5(t5_config(16, 16, 1, 2, d_head=8, vocab_size=n_tokens, dropout=0.0))
    if "lm" in parts:
        return GPT(replace(config, causal=True, norm_first=True))
    model = Bert(config, heads=sorted(parts & {"mlm", "nsp", "sop"} - {"rtd"}))
    for part in parts & {"rtd", "keep"}:
        model.heads[part] = TokenHead(16, 1)
    if "rtd" in parts:
        del model.heads["mlm"]
        model.heads["generator"] = Bert(replace(config, d_model=8), heads=["mlm"])
    return model


def test_models_of_the_library_begin_at_chance(objective_and_parts, device):
    """Weights start small: every class is about as likely as any other."""
    make, parts = objective_and_parts
    objective, model = make(), library_model(parts, V + 3).to(device)
    batch = to(objective.batch(0), device)
    losses, counts = objective.losses(model, batch), objective.counts(batch)
    n_classes = {"lm": V + 3, "mlm": V + 3, "span": V + 3}
    for part in parts:
        chance = math.log(n_classes.get(part, 2))
        # T5 starts with large embeddings, which are its head too
        slack = 0.3 if part == "span" else 0.03
        assert losses[part].item() / counts[part] == pytest.approx(chance, rel=slack)
    sum(losses.values()).backward()
    without = [n for n, p in model.named_parameters() if p.grad is None]
    assert without == []


def test_a_batch_without_targets_has_loss_zero(device):
    objective, model = masked(PackedSequences(C, SPECIAL, **ROWS)), Model(V, "mlm")
    batch = to(objective.batch(0), device)
    batch["targets"] = torch.full_like(batch["targets"], IGNORE)
    losses = objective.losses(model.to(device), batch)
    assert losses["mlm"].item() == 0
    assert objective.counts(batch) == {"mlm": 0}


def test_one_forward_pass_for_both_parts():
    objective, model = masked(NextSentence(C, SPECIAL, **ROWS)), Model(V, "mlm", "nsp")
    objective.losses(model, objective.batch(0))
    assert len(model.backbone.seen) == 1


def test_parts_together_are_the_parts_alone():
    pairs = NextSentence(C, SPECIAL, **ROWS)
    both, model = masked(pairs), Model(V, "mlm", "nsp")
    batch = both.batch(5)
    assert torch.equal(batch["labels"], pairs.batch(5)["labels"])
    losses = both.losses(model, batch)
    alone = pairs.losses(model, batch)
    torch.testing.assert_close(losses["nsp"], alone["nsp"])


def test_only_positions_with_targets_reach_the_head():
    hidden = torch.arange(24.0).reshape(2, 4, 3)
    targets = torch.tensor([[IGNORE, 7, IGNORE, 0], [IGNORE, IGNORE, 2, IGNORE]])
    at, wanted = at_targets(hidden, targets)
    assert wanted.tolist() == [7, 0, 2]
    assert at[:, 0].tolist() == [3, 9, 18]


def test_the_model_gets_what_the_batch_has():
    objective = CausalLM(C, SPECIAL, **ROWS, packed=True)
    batch = objective.batch(0)
    given = {}

    class Recorder:
        @staticmethod
        def backbone(token_ids, **inputs):
            given.update(inputs, token_ids=token_ids)
            return Model(V).backbone(token_ids)

    forward(Recorder, batch)
    assert given.keys() == {"token_ids", "position_ids", "document_ids"}


def test_uses_of_randomness_are_independent():
    draws = {
        tuple(generator(1, 2, use, evaluation=evaluation).integers(1 << 30, size=3))
        for use in Use
        for evaluation in (False, True)
    }
    assert len(draws) == 8
    default = np.random.default_rng([1, 2]).random()
    assert generator(1, 2).random() == default
    with pytest.raises(ValueError, match="seed must not be negative, got -1"):
        generator(-1, 2)


def test_no_random_numbers_are_used_twice(monkeypatch):
    drawn = []

    def recorder(seed, step, use=Use.ROWS, *, evaluation=False):
        drawn.append((seed, step, use, evaluation))
        return generator(seed, step, use, evaluation=evaluation)

    for module in (lmlib.objectives.pairs, lmlib.objectives.mlm, lmlib.objectives.rtd):
        monkeypatch.setattr(module, "generator", recorder)
    objective = ReplacedTokens(masked(NextSentence(C, SPECIAL, **ROWS)), seed=3)
    for step in range(3):
        objective.batch(step)
    n_evaluated = len(list(objective.evaluation_batches()))
    assert len(drawn) == len(set(drawn)) == 3 * (3 + n_evaluated)


def test_a_head_with_two_logits_for_yes_or_no_is_refused():
    assert one_logit("rtd", torch.ones(3, 1), 3).shape == (3,)
    with pytest.raises(ValueError, match="head 'rtd' must give one logit"):
        one_logit("rtd", torch.ones(3, 2), 3)
