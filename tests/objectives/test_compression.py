"""Which words are kept, as labels and back; the loss at each word's first token."""

import difflib

import numpy as np
import pytest
import torch

from lmlib.losses import IGNORE
from lmlib.objectives.compression import (
    CompressionExample,
    SentenceCompression,
    cheapest,
    compression_example,
    keep_labels,
    keep_loss,
    kept_words,
    predict_keep,
)
from tests.objectives.samples import SPECIAL, Model


def words(text):
    return text.split()


SENTENCE = words("a fire broke out in the old town on Monday night , police said .")
SHORT = words("a fire broke out in the old town .")
WORDS = sorted(set(SENTENCE))


def encode(word):
    """Long words have two tokens."""
    first = 10 + 2 * WORDS.index(word)
    return [first, first + 1] if len(word) > 3 else [first]


def example(sentence, compressed):
    return compression_example(sentence, keep_labels(sentence, compressed), encode)


def examples():
    return [
        example(SENTENCE, SHORT),
        example(SENTENCE[:6], SENTENCE[1:3]),
        example(["police", "said", "."], ["police", "."]),
    ]


def objective(**options):
    return SentenceCompression(
        examples(), SPECIAL, **{"length": 24, "batch_size": 3, **options}
    )


def slow_longest(a, b):
    """The length of a longest common subsequence, by trying all of a's."""
    best = 0
    for choice in range(1 << len(a)):
        part = [x for i, x in enumerate(a) if choice >> i & 1]
        rest = iter(b)
        if len(part) > best and all(x in rest for x in part):
            best = len(part)
    return best


# -- Labels ---------------------------------------------------------------------------


def test_labels_give_the_compression_back():
    keep = keep_labels(SENTENCE, SHORT)
    assert kept_words(SENTENCE, keep) == SHORT
    assert sum(keep) == len(SHORT)


def check_labels(label):
    rng = np.random.default_rng(0)
    for _ in range(150):
        a = rng.integers(4, size=rng.integers(0, 9)).tolist()
        b = rng.integers(5, size=rng.integers(0, 9)).tolist()
        keep = label(a, b)
        kept = [x for x, k in zip(a, keep, strict=True) if k]
        rest = iter(b)
        assert all(x in rest for x in kept), "in the same order"
        assert len(kept) == slow_longest(a, b), "as many as can be"


def as_a_set(a, b):
    return [x in b for x in a]


def greedily(a, b):
    keep, j = [], 0
    for x in a:
        keep.append(x in b[j:])
        if keep[-1]:
            j += b[j:].index(x) + 1
    return keep


def by_difflib(a, b):
    """Longest blocks first: not the longest common subsequence."""
    keep = [False] * len(a)
    for block in difflib.SequenceMatcher(None, a, b, False).get_matching_blocks():
        keep[block.a : block.a + block.size] = [True] * block.size
    return keep


@pytest.mark.parametrize("mutant", [as_a_set, greedily, by_difflib])
def test_mistakes_in_labels_are_noticed(mutant):
    check_labels(keep_labels)
    with pytest.raises(AssertionError):
        check_labels(mutant)


def test_of_equal_words_the_first_is_kept_and_foreign_words_are_lost():
    assert keep_labels(words("the man in the house"), words("the house")) == [
        True,
        False,
        False,
        False,
        True,
    ]
    assert keep_labels(["a", "b"], ["x", "b", "y"]) == [False, True]
    # A foreign word in front changes nothing.
    sentence, short = words("the man in the house"), words("so the house")
    assert keep_labels(sentence, short) == [True, False, False, False, True]
    assert keep_labels(["a", "b"], ["b", "a"]) == [True, False]
    assert keep_labels(["a"], []) == [False]
    assert keep_labels([], ["a"]) == []


def test_the_cheapest_words_go_first():
    bits = np.array([3.0, 0.5, 3.0, 7.0, 0.1])
    assert cheapest(bits, 0.4).tolist() == [False, True, False, False, True]
    assert cheapest(bits, 0.6).tolist() == [True, True, False, False, True]
    assert not cheapest(bits, 0.0).any()
    assert cheapest(bits, 1.0).all()
    assert cheapest(np.array([]), 0.5).tolist() == []
    with pytest.raises(ValueError, match="share must be in"):
        cheapest(bits, 1.5)


# -- Rows -----------------------------------------------------------------------------


def test_a_label_is_at_the_first_token_of_its_word():
    (batch,) = objective().evaluation_batches()
    row, targets = batch["token_ids"][1], batch["targets"][1]
    # a fire broke out in the: fire and broke have two tokens
    ids = [t for word in SENTENCE[:6] for t in encode(word)]
    assert row[:10].tolist() == [SPECIAL.cls, *ids, SPECIAL.sep]
    assert (row[10:] == SPECIAL.pad).all()
    assert targets[:10].tolist() == [
        IGNORE, 0, 1, IGNORE, 1, IGNORE, 0, 0, 0, IGNORE,
    ]  # fmt: skip
    assert (targets[10:] == IGNORE).all()
    assert objective().counts(batch) == {"keep": 15 + 6 + 3}


def test_each_example_comes_once_in_an_epoch():
    o = objective(batch_size=2)
    rows = torch.cat([o.batch(step)["token_ids"] for step in range(6)])
    _, counts = torch.unique(rows, dim=0, return_counts=True)
    assert counts.tolist() == [4, 4, 4]


def test_perfect_logits_decode_to_the_compression():
    (batch,) = objective().evaluation_batches()
    targets = batch["targets"]
    hidden = torch.where(targets == 1, 3.0, -3.0)[..., None]
    keep = predict_keep(torch.nn.Identity(), hidden, targets)
    assert kept_words(SENTENCE, keep[0]) == SHORT
    assert kept_words(["police", "said", "."], keep[2]) == ["police", "."]
    none = predict_keep(torch.nn.Identity(), hidden, targets, threshold=0.99)
    assert not any(any(row) for row in none)
    # 0.953 = σ(3)
    most = predict_keep(torch.nn.Identity(), hidden, targets, threshold=0.9)
    assert most == keep


# -- Loss -----------------------------------------------------------------------------


def check_loss(loss, device):
    (batch,) = objective().evaluation_batches()
    batch = {k: v.to(device) for k, v in batch.items()}
    model = Model(80, "keep").to(device)
    hidden = model.backbone(batch["token_ids"], batch["attention_mask"]).hidden
    z = model.heads["keep"](hidden).squeeze(-1).tolist()
    expected = 0.0
    for row, wanted in zip(z, batch["targets"].tolist(), strict=True):
        for logit, target in zip(row, wanted, strict=True):
            if target != IGNORE:
                expected += np.log1p(np.exp(-logit if target else logit))
    got = loss(model.heads["keep"], hidden, batch["targets"])
    assert got.item() == pytest.approx(expected, rel=1e-10)


def every_token_counts(head, hidden, targets):
    return keep_loss(head, hidden, targets.clamp(min=0))


def sigmoid_twice(head, hidden, targets):
    return keep_loss(lambda x: head(x).sigmoid(), hidden, targets)


@pytest.mark.parametrize("mutant", [every_token_counts, sigmoid_twice])
def test_mistakes_in_the_loss_are_noticed(mutant, device):
    check_loss(keep_loss, device)
    with pytest.raises(AssertionError):
        check_loss(mutant, device)


# -- Bad input ------------------------------------------------------------------------


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="no examples"):
        SentenceCompression([], SPECIAL, length=8, batch_size=1)
    with pytest.raises(ValueError, match="example 0 has 22"):
        objective(length=23)
    with pytest.raises(ValueError, match="2 words need as many labels"):
        compression_example(["a", "fire"], [True], encode)
    with pytest.raises(ValueError, match="word 'x' has no tokens"):
        compression_example(["x"], [True], lambda word: [])
    with pytest.raises(ValueError, match="must begin a word"):
        CompressionExample(np.array([1]), np.array([False]), np.array([], bool))
    with pytest.raises(ValueError, match="needs tokens"):
        compression_example([], [], encode)
    with pytest.raises(ValueError, match="got 1 labels for 2 words"):
        kept_words(["a", "b"], [True])
    with pytest.raises(ValueError, match="head 'keep' must give one logit"):
        keep_loss(torch.nn.Linear(4, 2), torch.zeros(1, 1, 4), torch.ones(1, 1).long())
