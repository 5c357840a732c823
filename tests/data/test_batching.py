"""Nothing is lost, doubled or moved by padding, packing and sorting."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from lmlib.data.batching import LengthBuckets, efficiency, pack, packed_batch, pad


def lengths_of(seed, n, capacity):
    rng = np.random.default_rng(seed)
    return np.clip(rng.lognormal(math.log(capacity / 4), 0.8, n), 1, capacity).astype(
        np.int64
    )


def fewest_rows(lengths, capacity):
    """A bound from below: L2 of Martello and Toth (1990), section 8.3.2."""
    best = 0
    for small in range(capacity // 2 + 1):
        huge = [n for n in lengths if n > capacity - small]
        large = [n for n in lengths if capacity / 2 < n <= capacity - small]
        middle = [n for n in lengths if small <= n <= capacity / 2]
        room = len(large) * capacity - sum(large)
        more = max(0, math.ceil((sum(middle) - room) / capacity))
        best = max(best, len(huge) + len(large) + more)
    return best


def slow_best_fit(lengths, capacity):
    rows, left = [], []
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        fitting = [r for r in range(len(rows)) if left[r] >= lengths[i]]
        if fitting:
            row = min(fitting, key=lambda r: left[r])
        else:
            row = len(rows)
            rows.append([])
            left.append(capacity)
        rows[row].append(i)
        left[row] -= lengths[i]
    return rows


@pytest.mark.parametrize("seed", [None, 0, (3, 1)])
@pytest.mark.parametrize(("n", "capacity"), [(0, 8), (1, 1), (50, 7), (700, 128)])
def test_every_sequence_is_packed_once_and_fits(n, capacity, seed):
    lengths = lengths_of(n, n, capacity)
    rows = pack(lengths, capacity, seed=seed)
    assert sorted(i for row in rows for i in row) == list(range(n))
    assert all(row and sum(lengths[row]) <= capacity for row in rows)
    assert pack(lengths, capacity, seed=seed) == rows


@pytest.mark.parametrize("seed", range(5))
def test_packing_is_best_fit_decreasing_and_near_the_bound(seed):
    lengths = lengths_of(seed, 300, 64)
    rows = pack(lengths, 64)
    slow = slow_best_fit(lengths.tolist(), 64)
    filled = [sorted(sum(lengths[r]) for r in packed) for packed in (rows, slow)]
    assert filled[0] == filled[1]
    fewest = fewest_rows(lengths.tolist(), 64)
    assert fewest <= len(rows) <= 11 / 9 * fewest + 1
    assert len(rows) <= 1.02 * fewest + 1  # much better than the guarantee
    assert efficiency(lengths, rows, 64) == pytest.approx(sum(lengths) / 64 / len(rows))


def test_another_epoch_packs_and_orders_differently():
    lengths = lengths_of(0, 200, 64)
    one, two = (pack(lengths, 64, seed=(0, epoch)) for epoch in (0, 1))
    assert {frozenset(row) for row in one} != {frozenset(row) for row in two}


@pytest.mark.parametrize("wrong", [[0, 3], [3, 9]])
def test_what_cannot_be_packed_is_refused(wrong):
    with pytest.raises(ValueError, match="between 1 and capacity = 8"):
        pack(wrong, 8)


def test_packed_rows_by_hand():
    sequences = [[5, 6], np.array([7, 8, 9], dtype=np.int32), [4]]
    batch = packed_batch(sequences, [[1, 0], [2]], capacity=6, pad_id=1)
    expected = {
        "token_ids": [[7, 8, 9, 5, 6, 1], [4, 1, 1, 1, 1, 1]],
        "position_ids": [[0, 1, 2, 0, 1, 0], [0, 0, 0, 0, 0, 0]],
        "document_ids": [[0, 0, 0, 1, 1, -1], [0, -1, -1, -1, -1, -1]],
        "attention_mask": [[True] * 5 + [False], [True] + [False] * 5],
    }
    assert {name: t.tolist() for name, t in batch.items()} == expected
    assert {batch[n].dtype for n in expected if n != "attention_mask"} == {torch.int64}
    with pytest.raises(ValueError, match="row 0 holds 5 tokens, capacity is 4"):
        packed_batch(sequences, [[1, 0]], capacity=4, pad_id=1)


def test_unpacking_gives_the_sequences_back():
    rng = np.random.default_rng(0)
    lengths = lengths_of(0, 100, 32)
    sequences = [rng.integers(2, 50, n) for n in lengths]
    rows = pack(lengths, 32, seed=1)
    batch = packed_batch(sequences, rows, 32, pad_id=0)
    for r, row in enumerate(rows):
        for d, i in enumerate(row):
            own = batch["document_ids"][r] == d
            assert batch["token_ids"][r][own].tolist() == sequences[i].tolist()
            assert batch["position_ids"][r][own].tolist() == list(range(lengths[i]))
    assert int(batch["attention_mask"].sum()) == sum(lengths)


def test_padding_agrees_with_torch():
    rows = [torch.arange(1, n + 1) for n in (3, 1, 5)]
    batch = pad([row.numpy() for row in rows], 9)
    assert torch.equal(batch["token_ids"], pad_sequence(rows, True, 9))
    assert batch["attention_mask"].sum(1).tolist() == [3, 1, 5]
    assert batch["attention_mask"].dtype == torch.bool
    assert pad([[1, 2, 3]], 0, multiple_of=4)["token_ids"].tolist() == [[1, 2, 3, 0]]
    assert pad([[1], []], 0, length=2)["token_ids"].tolist() == [[1, 0], [0, 0]]


def test_padding_refuses_what_it_cannot_hold():
    with pytest.raises(ValueError, match="at most 2 tokens, got 3"):
        pad([[1, 2, 3]], 0, length=2)
    with pytest.raises(ValueError, match="there must be a sequence"):
        pad([], 0)
    with pytest.raises(ValueError, match="sequence 0 must be a row of integers"):
        pad([[0.5]], 0)


@pytest.mark.parametrize(("n", "size"), [(1, 4), (40, 4), (103, 8)])
def test_an_epoch_has_each_sequence_once(n, size):
    buckets = LengthBuckets(lengths_of(0, n, 50), size, seed=1, pool=3)
    for epoch in range(3):
        batches = [buckets.batch(epoch * len(buckets) + i) for i in range(len(buckets))]
        assert Counter(np.concatenate(batches).tolist()) == Counter(range(n))
        assert sorted(len(b) for b in batches)[1:] == [size] * (len(batches) - 1)


def test_a_batch_depends_on_seed_and_step_alone():
    lengths = lengths_of(0, 100, 50)
    one, two = (LengthBuckets(lengths, 8, seed=5) for _ in range(2))
    forwards = [one.batch(step).tolist() for step in range(30)]
    assert [two.batch(step).tolist() for step in reversed(range(30))] == forwards[::-1]
    other = LengthBuckets(lengths, 8, seed=6)
    assert [other.batch(step).tolist() for step in range(30)] != forwards
    assert forwards[: len(one)] != forwards[len(one) : 2 * len(one)]


def test_buckets_waste_less_than_shuffled_batches():
    lengths = lengths_of(0, 2000, 128)
    buckets = LengthBuckets(lengths, 16)
    sorted_batches = [buckets.batch(i) for i in range(len(buckets))]
    shuffled = np.array_split(np.random.default_rng(0).permutation(2000), 125)
    assert efficiency(lengths, shuffled) < 0.6
    assert efficiency(lengths, sorted_batches) > 0.9
    by_hand = sum(lengths) / sum(16 * max(lengths[b]) for b in sorted_batches)
    assert efficiency(lengths, sorted_batches) == pytest.approx(by_hand)


def test_buckets_refuse_nonsense():
    with pytest.raises(ValueError, match="batch_size = 0"):
        LengthBuckets([1], 0)
    with pytest.raises(ValueError, match="0 sequences"):
        LengthBuckets([], 1)
