"""Causal language modelling: predict each token from those before it (GPT, PanGu-α).

The one objective whose loss is a code length: p(text) = Π p(tokenₜ | tokens before), so
that the sum of the losses over a text, in bits, is what an arithmetic coder writes.
Source: Radford et al. (2018), "Improving Language Understanding by Generative
Pre-Training", eq. 1.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lmlib.data.corpus import Corpus, SpecialTokens
from lmlib.losses import IGNORE, cross_entropy
from lmlib.objectives.objective import Batch, at_targets, forward, n_targets
from lmlib.objectives.sequences import Ids, check_sizes, in_batches, shuffled_rows


class CausalLM:
    """Part "lm": every token of every document, and the end of each document.

    Documents stand in line, each begun by `bos`; position t has the target t + 1, and a
    document's last token has the target `eos`. The line is cut into rows of `length`;
    an epoch goes through all of them once, in an order of its own, so that each token
    and each end of a document is a target exactly once. Only the last row is padded.

    Parameters:
        packed: each document is a world of its own: `document_ids` keep attention
            within it and `position_ids` begin at 0 in it. Without this, attention
            reaches back into the documents before (as in GPT-2), across `bos`.

    Raises:
        ValueError: an empty corpus, length or batch size below 1.
    """

    def __init__(
        self,
        corpus: Corpus,
        special: SpecialTokens,
        *,
        length: int,
        batch_size: int,
        packed: bool = False,
        seed: int = 0,
    ) -> None:
        check_sizes(corpus, length, batch_size, least=1)
        self.special, self.length, self.batch_size = special, length, batch_size
        self.packed, self.seed = packed, seed
        documents = corpus.document_tokens()
        self._tokens = np.insert(corpus.tokens, documents[:-1], special.bos)
        self._documents = documents + np.arange(len(documents))  # each has a bos now
        self.n_rows = -(-len(self._tokens) // length)
        self.n_bytes = corpus.n_bytes

    def batch(self, step: int) -> Batch:
        rows = shuffled_rows(step, self.batch_size, self.n_rows, self.seed)
        return self._windows(rows * self.length)

    def evaluation_batches(self, stride: int | None = None) -> Iterator[Batch]:
        """A pass over the text in which each token is a target exactly once.

        The total loss in bits over `n_bytes` is bits per byte, the ends of documents
        included. Rows are disjoint, so that the first tokens of a row are predicted
        from little. With `stride` < length, windows overlap and each scores only its
        last `stride` tokens (the first one, all): at length/stride times the cost
        every token has at least length − stride tokens of context, and the text is
        closer to what the model can do.

        Raises:
            ValueError: stride is not in 1 … length.
        """
        stride = self.length if stride is None else stride
        if not 1 <= stride <= self.length:
            raise ValueError(f"stride must be in 1 … {self.length}, got {stride}")
        further = max(len(self._tokens) - self.length, 0)
        for windows in in_batches(1 + -(-further // stride), self.batch_size):
            first_scored = np.where(windows == 0, 0, self.length - stride)
            yield self._windows(windows * stride, first_scored)

    def counts(self, batch: Batch) -> dict[str, int]:
        return {"lm": n_targets(batch["targets"])}

    def losses(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        hidden, targets = forward(model, batch), batch["targets"]
        # In training all positions have targets but in the last row: nothing to gather.
        if not model.training:  # windows that overlap
            hidden, targets = at_targets(hidden, targets)
        logits = model.heads["lm"](hidden)
        return {"lm": cross_entropy(logits, targets, reduction="sum")}

    def _windows(self, starts: Ids, first_scored: Ids | None = None) -> Batch:
        column = np.arange(self.length)
        places = starts[:, None] + column
        real = places < len(self._tokens)
        here = np.minimum(places, len(self._tokens) - 1)
        document = np.searchsorted(self._documents, here, side="right") - 1
        is_last = self._documents[document + 1] == here + 1
        following = self._tokens[np.minimum(here + 1, len(self._tokens) - 1)]
        targets = np.where(is_last, self.special.eos, following)
        scored = (
            real if first_scored is None else real & (column >= first_scored[:, None])
        )
        arrays = {
            "token_ids": np.where(real, self._tokens[here], self.special.pad),
            "targets": np.where(scored, targets, IGNORE),
        }
        if self.packed:
            # A document that began in an earlier row begins anew at this row.
            begin = np.maximum(self._documents[document], starts[:, None])
            arrays["position_ids"] = np.where(real, places - begin, 0)
            arrays["document_ids"] = np.where(real, document, -1)
        return {k: torch.from_numpy(v.astype(np.int64)) for k, v in arrays.items()}
