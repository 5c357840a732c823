"""Every recipe learns, keeps what it learned, and transformers can read it."""

import hashlib
import json
import math

import pytest
import torch
import transformers

from lmlib.data.tokenizers import load_tokenizer
from lmlib.models import hub
from lmlib.training.pretrain import (
    N_SENTINELS,
    RECIPES,
    Size,
    WithHeads,
    corpus_digest,
    make_model,
    make_objective,
    pretrain,
)
from lmlib.training.saved import save
from lmlib.training.settings import Settings
from lmlib.transformer import count_parameters
from tests.training.samples import SIZE, TOKENIZER, corpus

SETTINGS = Settings(steps=30, lr=0.01, warmup=3, validate_every=15)
PAIRS = [(recipe, family) for recipe in RECIPES for family in RECIPES[recipe]]


@pytest.mark.parametrize(("recipe", "family"), PAIRS)
def test_a_recipe_learns_and_is_kept(tmp_path, recipe, family):
    model, run = pretrain(
        recipe,
        TOKENIZER,
        corpus(),
        corpus(10, seed=1),
        SIZE,
        SETTINGS,
        family=family,
        batch_size=16,
        evaluation_batches=3,
    )
    first = run.history[0]["losses"]
    # Before the first step a guess among all tokens, or between two.
    vocabulary = TOKENIZER.size + (N_SENTINELS if recipe == "span" else 0)
    guess = {"nsp": math.log(2), "sop": math.log(2), "rtd": math.log(2)}
    for part, loss in first.items():
        assert loss == pytest.approx(guess.get(part, math.log(vocabulary)), rel=0.15)
    words = next(part for part in ("lm", "mlm", "span") if part in first)
    assert run.best_scores[words] < 0.8 * first[words]
    if family == "pangu":
        with pytest.raises(ValueError, match="pangu, which transformers does not have"):
            save(model, TOKENIZER, tmp_path)
        return
    save(model, TOKENIZER, tmp_path, {"recipe": recipe})
    again = hub.load(tmp_path)
    ids = torch.randint(200, (2, 7))
    expected = model.eval().backbone if isinstance(model, WithHeads) else model.eval()
    arguments = (ids, ids) if recipe == "span" else (ids,)
    with torch.no_grad():
        if isinstance(model, WithHeads):
            ours, theirs = expected(ids).hidden, again.backbone(ids).hidden
        else:
            ours, theirs = expected(*arguments), again(*arguments)
            if isinstance(ours, dict):
                ours, theirs = ours["mlm"], theirs["mlm"]
    assert torch.equal(ours, theirs)
    assert load_tokenizer(tmp_path).digest == TOKENIZER.digest
    made = json.loads((tmp_path / "lmlib.json").read_text())
    weights = (tmp_path / "model.safetensors").read_bytes()
    assert made["recipe"] == recipe
    assert made["weights_sha256"] == hashlib.sha256(weights).hexdigest()
    assert made["torch"] == torch.__version__
    config = transformers.AutoConfig.from_pretrained(tmp_path)
    assert config.pad_token_id == TOKENIZER.special.pad
    assert config.model_type == family


def test_what_is_kept_gives_the_same_numbers_in_transformers(tmp_path):
    model = make_model("causal", TOKENIZER.special, TOKENIZER.size, SIZE).eval()
    save(model, TOKENIZER, tmp_path)
    other = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    ids = torch.randint(200, (2, 7))
    with torch.no_grad():
        torch.testing.assert_close(model(ids), other(ids).logits, rtol=1e-5, atol=1e-5)


def test_the_generator_shares_the_embedding_and_is_not_kept(tmp_path):
    model = make_model("rtd", TOKENIZER.special, TOKENIZER.size, SIZE)
    token = model.backbone.embeddings.token.weight
    generator = model.heads["generator"]
    assert generator.backbone.embeddings.token.weight is token
    assert generator.heads["mlm"].embedding.weight is token
    save(model, TOKENIZER, tmp_path)
    kept = hub.load(tmp_path)
    assert count_parameters(kept) == count_parameters(model.backbone)


def test_the_discriminator_teaches_the_generator_nothing():
    model = make_model("rtd", TOKENIZER.special, TOKENIZER.size, SIZE)
    objective = make_objective(
        "rtd", corpus(), TOKENIZER.special, TOKENIZER.size, length=24, batch_size=8
    )
    objective.losses(model, objective.batch(0))["rtd"].backward()
    generator = model.heads["generator"]
    blocks = generator.backbone.blocks.parameters()
    assert all(p.grad is None or not p.grad.any() for p in blocks)


def test_resuming_needs_the_same_text(tmp_path):
    arguments = {"folder": tmp_path, "batch_size": 8, "evaluation_batches": 1}
    settings = Settings(steps=2)
    pretrain("causal", TOKENIZER, corpus(), corpus(5, 1), SIZE, settings, **arguments)
    with pytest.raises(ValueError, match=r"configuration\.corpus: '[0-9a-f]{64}', now"):
        pretrain(
            "causal",
            TOKENIZER,
            corpus(seed=2),
            corpus(5, 1),
            SIZE,
            settings,
            resume=True,
            **arguments,
        )


def test_digest_tells_texts_apart():
    assert corpus_digest(corpus()) == corpus_digest(corpus())
    assert corpus_digest(corpus()) != corpus_digest(corpus(seed=2))


@pytest.mark.parametrize(
    ("recipe", "family", "words"),
    [
        ("gpt", None, "recipe must be one of causal, .*, got 'gpt'"),
        ("mlm", "gpt2", "family must be one of bert, roberta, albert for mlm"),
    ],
)
def test_unknown_recipes_are_refused(recipe, family, words):
    with pytest.raises(ValueError, match=words):
        make_model(recipe, TOKENIZER.special, 300, Size(), family)
