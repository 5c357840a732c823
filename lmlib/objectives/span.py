"""Span corruption: restore what was cut out of a text (T5's denoising objective).

    text     Thank you for inviting me to your party last week
    input    Thank you <X> me to your party <Y> week </s>
    target   <X> for inviting <Y> last </s>

15 % of the tokens are noise, in spans of 3 on average; each span is replaced by a
sentinel of its own. Only the noise is predicted, so that targets are short.
Source: Raffel et al. (2020), section 3.1.4, and `random_spans_noise_mask` of their
code. (In the paper a last sentinel ends the target; in the code it is `eos`, as here.
Where spans may lie is decided otherwise than there, see `random_spans`.)
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lmlib.data.corpus import Corpus, SpecialTokens
from lmlib.losses import IGNORE
from lmlib.objectives.mlm import masked_lm_loss
from lmlib.objectives.objective import Batch, generator, n_targets
from lmlib.objectives.sequences import (
    Ids,
    check_sizes,
    in_batches,
    separated,
    shuffled_rows,
)


def noise_and_spans(
    n_tokens: int, share: float = 0.15, mean_length: float = 3.0
) -> tuple[int, int]:
    """How many tokens of a row are noise, in how many spans: the same for all rows."""
    n_noise = min(max(round(n_tokens * share), 1), n_tokens - 1)
    n_spans = max(round(n_noise / mean_length), 1)
    return n_noise, min(n_spans, n_noise, n_tokens - n_noise)


def random_spans(
    n_rows: int,
    n_tokens: int,
    n_noise: int,
    n_spans: int,
    rng: np.random.Generator,
    *,
    anywhere: bool = True,
) -> NDArray[np.bool_]:
    """True for noise: in each row `n_noise` tokens in `n_spans` spans, [rows, tokens].

    No span is empty, there is text between any two, and all rows of that kind are
    equally likely. With `anywhere` false only those that begin with text and end with
    noise, as T5's code draws them: there the first token of a row is never noise and
    the last always, and a short row has its one span at its end.
    """
    extra = int(anywhere)
    # A row may then end with text, too, and the text at either end may be empty.
    text = _random_parts(n_rows, n_tokens - n_noise + 2 * extra, n_spans + extra, rng)
    noise = _random_parts(n_rows, n_noise, n_spans, rng)
    lengths = np.zeros((n_rows, 2 * n_spans + extra), np.int64)
    lengths[:, ::2], lengths[:, 1::2] = text, noise
    if anywhere:
        lengths[:, [0, -1]] -= 1
    is_noise = np.tile(np.arange(lengths.shape[1]) % 2 == 1, n_rows)
    return np.repeat(is_noise, lengths.ravel()).reshape(n_rows, n_tokens)


def _random_parts(n_rows: int, total: int, k: int, rng: np.random.Generator) -> Ids:
    """[rows, k] positive whole numbers that add to `total`, uniformly: k − 1 cuts."""
    cuts = np.argsort(rng.random((n_rows, total - 1)), axis=1)[:, : k - 1] + 1
    zero, end = np.zeros((n_rows, 1), np.int64), np.full((n_rows, 1), total)
    return np.diff(np.concatenate((zero, np.sort(cuts, axis=1), end), axis=1), axis=1)


def corrupt_spans(
    token_ids: Ids, noise: NDArray[np.bool_], sentinels: Ids, eos: int
) -> tuple[Ids, Ids]:
    """Inputs and targets of rows with noise as `random_spans` makes it.

    [rows, tokens − noise + spans + 1] and [rows, noise + spans + 1]: each span is
    sentinel k in the input, and sentinel k and its tokens in the target.

    Raises:
        ValueError: more spans than sentinels, or rows that differ in noise or spans.
    """
    begins = noise.copy()
    begins[:, 1:] &= ~noise[:, :-1]
    n_spans, n_noise = begins.sum(axis=1), noise.sum(axis=1)
    if (n_spans != n_spans[0]).any() or (n_noise != n_noise[0]).any():
        raise ValueError("all rows must have the same number of noise tokens and spans")
    if n_spans[0] > len(sentinels):
        raise ValueError(
            f"{int(n_spans[0])} spans need as many sentinels, got {len(sentinels)}"
        )
    marks = sentinels[np.cumsum(begins, axis=1) - 1]
    # Beside each token the sentinel that may stand before it: two columns, flattened.
    both = np.stack((marks, token_ids), axis=2)
    in_input = np.stack((begins, ~noise), axis=2)
    in_target = np.stack((begins, noise), axis=2)
    end = np.full((len(token_ids), 1), eos)
    return (
        np.concatenate((both[in_input].reshape(len(end), -1), end), axis=1),
        np.concatenate((both[in_target].reshape(len(end), -1), end), axis=1),
    )


def restore_spans(
    inputs: Sequence[int], targets: Sequence[int], sentinels: Sequence[int], eos: int
) -> list[int]:
    """The text that `corrupt_spans` made one row of, or what a model's output makes it.

    Both without padding; a last `eos` is left out (others separate documents). So are
    sentinels that the targets lack, and targets before the first sentinel.
    """
    body, restored = (
        list(row[:-1]) if row and row[-1] == eos else list(row)
        for row in (inputs, targets)
    )
    spans: dict[int, list[int]] = {sentinel: [] for sentinel in sentinels}
    current: list[int] = []
    for token in restored:
        if token in spans:
            current = spans[token]
        else:
            current.append(token)
    return [t for token in body for t in spans.get(token, [token])]


class SpanCorruption:
    """Part "span", for an encoder–decoder: see the module's example.

    The documents stand in line with `eos` between them and are cut into rows of so many
    tokens that the corrupted input has `length`. In an epoch each token comes once (but
    for the last, if it would be a row by itself). Only the last row is padded.

    Batches hold `token_ids` (with `attention_mask` if padded) for `model.encode`,
    `decoder_ids` (the targets one place to the right, after `pad`, as in T5) for
    `model.decode`, and `targets`; the head is `model.heads["lm"]`.

    Parameters:
        sentinels: ids that stand for no text, one for each span of a row at least.
        share: of the tokens that are noise.
        mean_length: of a span of noise, in tokens.
        anywhere: false lets each row end with noise, as T5 did; see `random_spans`.

    Raises:
        ValueError: too few sentinels, sentinels in the text or among the special
            tokens, a share or length out of range.
    """

    def __init__(
        self,
        corpus: Corpus,
        special: SpecialTokens,
        *,
        sentinels: Sequence[int],
        length: int,
        batch_size: int,
        share: float = 0.15,
        mean_length: float = 3.0,
        anywhere: bool = True,
        seed: int = 0,
    ) -> None:
        check_sizes(corpus, length, batch_size, least=4)
        if not 0 < share < 1 or mean_length < 1:
            raise ValueError(
                "share must lie between 0 and 1 and mean_length be at least 1, got "
                f"{share} and {mean_length}"
            )
        self.special, self.length, self.batch_size = special, length, batch_size
        self.share, self.mean_length, self.seed = share, mean_length, seed
        self.anywhere = anywhere
        self.sentinels = np.array(sentinels, np.int64)
        if len(np.unique(self.sentinels)) < len(self.sentinels):
            raise ValueError("sentinels must differ from each other")
        if np.isin(corpus.tokens, self.sentinels).any():
            raise ValueError("sentinels must not occur in the text")
        if taken := sorted(set(self.sentinels.tolist()) & set(special.ids)):
            raise ValueError(f"sentinels must not be special tokens, got {taken}")
        self.n_tokens = self._tokens_of_a_row()
        _, n_spans = self._noise_and_spans(self.n_tokens)
        if n_spans > len(self.sentinels):
            raise ValueError(
                f"rows have {n_spans} spans and need as many sentinels, got "
                f"{len(self.sentinels)}"
            )
        self._tokens, _ = separated(corpus, special.eos)
        # A last row of a single token has nothing beside the noise: it is left out.
        self.n_rows = max(-(-(len(self._tokens) - 1) // self.n_tokens), 1)
        if len(self._tokens) < 2:
            raise ValueError("the corpus has only one token")

    def batch(self, step: int) -> Batch:
        rows = shuffled_rows(step, self.batch_size, self.n_rows, self.seed)
        return self._rows(rows, generator(self.seed, step))

    def evaluation_batches(self) -> Iterator[Batch]:
        """One epoch, each time with the same noise."""
        for i, rows in enumerate(in_batches(self.n_rows, self.batch_size)):
            yield self._rows(rows, generator(self.seed, i, evaluation=True))

    def counts(self, batch: Batch) -> dict[str, int]:
        return {"span": n_targets(batch["targets"])}

    def losses(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        mask = batch.get("attention_mask")
        memory = model.encode(batch["token_ids"], mask)
        hidden = model.decode(batch["decoder_ids"], memory, mask)
        return {"span": masked_lm_loss(model.heads["lm"], hidden, batch["targets"])}

    def _rows(self, rows: Ids, rng: np.random.Generator) -> Batch:
        starts = rows * self.n_tokens
        sizes = np.minimum(len(self._tokens) - starts, self.n_tokens)
        target_length = sum(self._noise_and_spans(self.n_tokens)) + 1
        inputs = np.full((len(rows), self.length), self.special.pad, np.int64)
        targets = np.full((len(rows), target_length), IGNORE, np.int64)
        filled = np.zeros(len(rows), np.int64)
        for size in np.unique(sizes).tolist():  # of full rows, and of the last row
            here = np.flatnonzero(sizes == size)
            places = starts[here, None] + np.arange(size)
            ids = self._tokens[places].astype(np.int64)
            counts = self._noise_and_spans(size)
            noise = random_spans(len(here), size, *counts, rng, anywhere=self.anywhere)
            given, wanted = corrupt_spans(ids, noise, self.sentinels, self.special.eos)
            filled[here] = given.shape[1]
            inputs[here, : given.shape[1]] = given
            targets[here, : wanted.shape[1]] = wanted
        before = np.full_like(targets, self.special.pad)
        before[:, 1:] = np.where(targets == IGNORE, self.special.pad, targets)[:, :-1]
        batch = {
            "token_ids": torch.from_numpy(inputs),
            "decoder_ids": torch.from_numpy(before),
            "targets": torch.from_numpy(targets),
        }
        if (filled < self.length).any():
            real = np.arange(self.length) < filled[:, None]
            batch["attention_mask"] = torch.from_numpy(real)
        return batch

    def _noise_and_spans(self, n_tokens: int) -> tuple[int, int]:
        return noise_and_spans(n_tokens, self.share, self.mean_length)

    def _tokens_of_a_row(self) -> int:
        """The most whose corrupted form, with sentinels and eos, has `length`."""
        n = 2
        while True:
            n_noise, n_spans = self._noise_and_spans(n + 1)
            if n + 1 - n_noise + n_spans + 1 > self.length:
                return n
            n += 1
