"""Sequences of unequal length in one tensor: pad them, sort them, or pack them.

A padded batch computes positions that mean nothing. Batches of similar lengths waste
fewer; rows packed with several sequences waste almost none, but attention must then
keep to the own sequence (`document_ids`) and positions restart (`position_ids`)
(Krell et al. 2021, "Efficient Sequence Packing without Cross-contamination").
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

Batch = dict[str, Tensor]


# -- Padding --------------------------------------------------------------------------


def pad(
    sequences: Sequence[ArrayLike],
    pad_id: int,
    *,
    length: int | None = None,
    multiple_of: int = 1,
) -> Batch:
    """One sequence a row, filled up at the right.

    `token_ids` int64 and `attention_mask` bool, both [batch, length]. The length is
    that of the longest sequence, rounded up to a multiple, unless it is given.

    Raises:
        ValueError: there is no sequence, one is not a row, or one is too long.
    """
    rows = _rows(sequences)
    longest = max(len(row) for row in rows)
    if length is None:
        length = max(-(-longest // multiple_of), 1) * multiple_of
    if longest > length:
        raise ValueError(f"sequences must have at most {length} tokens, got {longest}")
    token_ids = np.full((len(rows), length), pad_id, dtype=np.int64)
    for i, row in enumerate(rows):
        token_ids[i, : len(row)] = row
    lengths = np.array([len(row) for row in rows])
    mask = np.arange(length) < lengths[:, None]
    return {
        "token_ids": torch.from_numpy(token_ids),
        "attention_mask": torch.from_numpy(mask),
    }


# -- Packing --------------------------------------------------------------------------


def pack(
    lengths: Sequence[int] | NDArray[np.int64],
    capacity: int,
    *,
    seed: Sequence[int] | int | None = None,
) -> list[list[int]]:
    """Indices of sequences for each row, so that few rows of `capacity` are needed.

    Best-fit decreasing: from the longest to the shortest, each sequence goes to the
    fullest row that has room, and to a new row if none has. At most 11/9 of the fewest
    possible rows, and one more (Johnson et al. 1974). With a seed sequences of equal
    length and the rows come in random order: give (seed, epoch) for each epoch's own.

    Raises:
        ValueError: a sequence is empty or longer than `capacity`.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    if len(sizes) and not 1 <= sizes.min() <= sizes.max() <= capacity:
        raise ValueError(
            f"lengths must lie between 1 and capacity = {capacity}, got "
            f"{sizes.min()} to {sizes.max()}"
        )
    rng = None if seed is None else np.random.default_rng(seed)
    order = np.arange(len(sizes)) if rng is None else rng.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    rows: list[list[int]] = []
    with_room: list[list[int]] = [[] for _ in range(capacity + 1)]
    # Bit r is set if a row has room for r tokens more: the lowest set bit from `size`
    # up is the best fit.
    rooms = 0
    for i, size in zip(order.tolist(), sizes[order].tolist(), strict=True):
        fitting = rooms >> size
        if fitting:
            room = size + (fitting & -fitting).bit_length() - 1
            row = with_room[room].pop()
            if not with_room[room]:
                rooms &= ~(1 << room)
        else:
            room, row = capacity, len(rows)
            rows.append([])
        rows[row].append(i)
        with_room[room - size].append(row)
        rooms |= 1 << (room - size)
    if rng is not None:
        rows = [rows[i] for i in rng.permutation(len(rows))]
    return rows


def packed_batch(
    sequences: Sequence[ArrayLike],
    rows: Sequence[Sequence[int]],
    capacity: int,
    pad_id: int,
) -> Batch:
    """The sequences of each row side by side, all tensors [len(rows), capacity].

    `token_ids`; `attention_mask`, False at padding; `position_ids`, from 0 in each
    sequence, 0 at padding; `document_ids`, 0, 1, … along a row, −1 at padding.

    Raises:
        ValueError: a row holds more than `capacity` tokens.
    """
    shape = (len(rows), capacity)
    token_ids = np.full(shape, pad_id, dtype=np.int64)
    position_ids = np.zeros(shape, dtype=np.int64)
    document_ids = np.full(shape, -1, dtype=np.int64)
    for r, row in enumerate(rows):
        own = _rows([sequences[i] for i in row])
        ends = np.cumsum([0, *(len(tokens) for tokens in own)])
        if ends[-1] > capacity:
            raise ValueError(f"row {r} holds {ends[-1]} tokens, capacity is {capacity}")
        for d, (tokens, (a, b)) in enumerate(zip(own, pairwise(ends), strict=True)):
            token_ids[r, a:b] = tokens
            position_ids[r, a:b] = np.arange(b - a)
            document_ids[r, a:b] = d
    return {
        "token_ids": torch.from_numpy(token_ids),
        "attention_mask": torch.from_numpy(document_ids >= 0),
        "position_ids": torch.from_numpy(position_ids),
        "document_ids": torch.from_numpy(document_ids),
    }


# -- Batches of similar lengths -------------------------------------------------------


class LengthBuckets:
    """Batches whose sequences have similar lengths, in an order that a seed decides.

    In each epoch the sequences are shuffled, cut into pools of `pool` batches, sorted
    by length within a pool, and cut into batches, which are shuffled again. Larger
    pools waste less and mix less. Every sequence comes once in an epoch; one batch of
    it may be smaller.

    Raises:
        ValueError: there is no sequence, or `batch_size` or `pool` is below 1.
    """

    def __init__(
        self,
        lengths: Sequence[int] | NDArray[np.int64],
        batch_size: int,
        *,
        seed: int = 0,
        pool: int = 50,
    ) -> None:
        self.lengths = np.asarray(lengths, dtype=np.int64)
        if not len(self.lengths) or batch_size < 1 or pool < 1:
            raise ValueError(
                "there must be a sequence, and batch_size and pool at least 1; got "
                f"{len(self.lengths)} sequences, batch_size = {batch_size}, "
                f"pool = {pool}"
            )
        self.batch_size, self.seed, self.pool = batch_size, seed, pool
        self._last: tuple[int, list[NDArray[np.int64]]] | None = None

    def __len__(self) -> int:
        """Batches in an epoch."""
        return -(-len(self.lengths) // self.batch_size)

    def batch(self, step: int) -> NDArray[np.int64]:
        """Indices of the sequences of batch `step`, a function of it and the seed."""
        epoch, place = divmod(step, len(self))
        if self._last is None or self._last[0] != epoch:
            self._last = (epoch, self._epoch(epoch))
        return self._last[1][place]

    def _epoch(self, epoch: int) -> list[NDArray[np.int64]]:
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(len(self.lengths))
        size = self.batch_size * self.pool
        batches = []
        for start in range(0, len(order), size):
            part = order[start : start + size]
            part = part[np.argsort(self.lengths[part], kind="stable")]
            batches += [
                part[i : i + self.batch_size]
                for i in range(0, len(part), self.batch_size)
            ]
        return [batches[i] for i in rng.permutation(len(batches))]


# -- What it saves --------------------------------------------------------------------


def efficiency(
    lengths: Sequence[int] | NDArray[np.int64],
    groups: Sequence[Sequence[int] | NDArray[np.int64]],
    capacity: int | None = None,
) -> float:
    """The share of computed positions that hold a token.

    With `capacity`, groups are packed rows of that length; without, they are batches
    padded to their longest sequence.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    used = sum(int(sizes[np.asarray(group)].sum()) for group in groups)
    if capacity is not None:
        return used / (len(groups) * capacity)
    return used / sum(len(g) * int(sizes[np.asarray(g)].max()) for g in groups)


def _rows(sequences: Sequence[ArrayLike]) -> list[NDArray[np.int64]]:
    rows = [np.asarray(sequence) for sequence in sequences]
    if not rows:
        raise ValueError("there must be a sequence at least")
    for i, row in enumerate(rows):
        if row.ndim != 1 or (len(row) and row.dtype.kind not in "iu"):
            raise ValueError(
                f"sequence {i} must be a row of integers, got shape {row.shape} of "
                f"{row.dtype}"
            )
    return [row.astype(np.int64) for row in rows]
