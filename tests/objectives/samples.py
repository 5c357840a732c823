"""A corpus whose tokens tell where they are from, and a model that is hardly one.

Statistics are tested at a false-alarm probability of 1e-6 for each test; as all seeds
are fixed, a test that passes once passes always.
"""

from types import SimpleNamespace

import numpy as np
import torch
from scipy.stats import binomtest, chisquare
from torch import nn

from lmlib.data.corpus import Corpus, SpecialTokens
from lmlib.losses import IGNORE

FALSE_ALARM = 1e-6
SPECIAL = SpecialTokens(pad=0, unk=1, cls=2, sep=3, mask=4, bos=5, eos=6)
FIRST = 10  # token FIRST + i is the i-th of the corpus


def corpus(n_documents=12, *, seed=0, most_sentences=12, longest=9, least_sentences=1):
    """Every token occurs once. Words have one to three tokens."""
    rng = np.random.default_rng([seed, 99])
    per_document = rng.integers(least_sentences, most_sentences + 1, size=n_documents)
    lengths = rng.integers(1, longest + 1, size=per_document.sum())
    sentences = np.concatenate(([0], np.cumsum(lengths)))
    n = int(sentences[-1])
    starts = rng.random(n) < 0.6
    starts[sentences[:-1]] = True
    starts[3:][~starts[2:-1] & ~starts[1:-2]] = True
    return Corpus(
        tokens=np.arange(FIRST, FIRST + n, dtype=np.int32),
        sentences=sentences,
        documents=np.concatenate(([0], np.cumsum(per_document))),
        word_starts=starts,
        n_bytes=3 * n,
    )


def vocab_size(c):
    return FIRST + len(c.tokens)


def is_plausible(k, n, p):
    """Whether k of n is what an event of probability p may well give (exact test)."""
    return binomtest(int(k), int(n), p).pvalue > FALSE_ALARM


def is_uniform(counts):
    return chisquare(counts).pvalue > FALSE_ALARM


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


class Backbone(nn.Module):
    """Embeddings and their mean over the real tokens: each output sees all inputs."""

    def __init__(self, n_tokens, d_model=8):
        super().__init__()
        self.token = nn.Embedding(n_tokens, d_model)
        self.seen = []

    def forward(
        self,
        token_ids,
        attention_mask=None,
        segment_ids=None,
        position_ids=None,
        document_ids=None,
    ):
        self.seen.append(token_ids)
        x = self.token(token_ids)
        if attention_mask is None:
            attention_mask = torch.ones_like(token_ids, dtype=torch.bool)
        real = attention_mask[..., None].to(x.dtype)
        mean = (x * real).sum(1, keepdim=True) / real.sum(1, keepdim=True)
        if segment_ids is not None:
            x = x + segment_ids[..., None]
        return SimpleNamespace(hidden=(x + mean).tanh())


class First(nn.Module):
    """Classes of a sequence from its first position."""

    def __init__(self, d_model=8):
        super().__init__()
        self.linear = nn.Linear(d_model, 2)

    def forward(self, hidden):
        return self.linear(hidden[:, 0])


class Model(nn.Module):
    def __init__(self, n_tokens, *parts, d_model=8):
        super().__init__()
        self.backbone = Backbone(n_tokens, d_model)
        make = {
            "lm": lambda: nn.Linear(d_model, n_tokens),
            "mlm": lambda: nn.Linear(d_model, n_tokens),
            "nsp": lambda: First(d_model),
            "sop": lambda: First(d_model),
            "rtd": lambda: nn.Linear(d_model, 1),
            "keep": lambda: nn.Linear(d_model, 1),
            "generator": lambda: Model(n_tokens, "mlm", d_model=4),
        }
        self.heads = nn.ModuleDict({part: make[part]() for part in parts})
        self.double()


def to(batch, device):
    return {name: tensor.to(device) for name, tensor in batch.items()}


def slow_cross_entropy(logits, targets):
    """The sum over targets that are not IGNORE, in a loop."""
    total = 0.0
    for row, target in zip(
        logits.reshape(-1, logits.shape[-1]), targets.reshape(-1), strict=True
    ):
        if target != IGNORE:
            total -= (row - row.max()).softmax(0)[target].log().item()
    return total
