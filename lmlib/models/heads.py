"""Heads: from hidden vectors to predictions.

Each takes the `hidden` of a transformer. `LMHead` and `TokenHead` act on any leading
shape, so that a loss gathers the positions it needs first and pays for those alone.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from lmlib.transformer import ACTIVATIONS, TransformerConfig, initialise, make_norm


class LMHead(nn.Module):
    """Logits over the vocabulary: the product with each token's embedding.

    Parameters:
        embedding: the model's token embedding for tied weights (Press & Wolf 2017), or
            a table of the head's own. The module is shared, not the tensor: so they
            stay tied when the model moves from the meta device, and count once.
        transform: BERT's dense layer, activation and norm before the product. It also
            brings the hidden vector to the size of the embedding.
        bias: whether each token has a bias of its own.
        scale: what the hidden vector is multiplied by; T5 with tied weights has
            d_model^(−½).

    Raises:
        ValueError: without transform, the embedding is not of size d_model.
    """

    def __init__(
        self,
        config: TransformerConfig,
        embedding: nn.Embedding,
        *,
        transform: bool = False,
        bias: bool = False,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        vocab_size, d_embedding = embedding.weight.shape
        self.transform: nn.Module = nn.Identity()
        if transform:
            self.transform = nn.Sequential(
                nn.Linear(config.d_model, d_embedding),
                _Activation(config.activation),
                make_norm(config, d_embedding),
            )
            initialise(self.transform, config)
        elif d_embedding != config.d_model:
            raise ValueError(
                f"embedding has {d_embedding} features and hidden vectors have "
                f"{config.d_model}: transform must be True"
            )
        self.embedding = embedding
        self.bias = nn.Parameter(torch.zeros(vocab_size)) if bias else None
        self.scale = scale

    def forward(
        self, hidden: Float[Tensor, "*batch d_model"]
    ) -> Float[Tensor, "*batch vocab"]:
        hidden = self.transform(hidden)
        if self.scale != 1.0:
            hidden = hidden * self.scale
        return F.linear(hidden, self.embedding.weight, self.bias)


class _Activation(nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        return ACTIVATIONS[self.name](x)


class Pooler(nn.Module):
    """BERT's vector for a sequence: tanh of a dense layer on position 0."""

    def __init__(self, d_model: int, *, init_std: float = 0.02) -> None:
        super().__init__()
        self.dense = _linear(d_model, d_model, init_std)

    def forward(
        self, hidden: Float[Tensor, "batch length d_model"]
    ) -> Float[Tensor, "batch d_model"]:
        return torch.tanh(self.dense(hidden[:, 0]))


class PairHead(nn.Module):
    """Logits of classes of a sequence or pair, from position 0: NSP, SOP, fine-tuning.

    `Pooler`, dropout, linear layer.
    """

    def __init__(
        self,
        d_model: int,
        n_classes: int = 2,
        *,
        dropout: float = 0.0,
        init_std: float = 0.02,
    ) -> None:
        super().__init__()
        self.pooler = Pooler(d_model, init_std=init_std)
        self.dropout = nn.Dropout(dropout)
        self.classifier = _linear(d_model, n_classes, init_std)

    def forward(
        self, hidden: Float[Tensor, "batch length d_model"]
    ) -> Float[Tensor, "batch classes"]:
        return self.classifier(self.dropout(self.pooler(hidden)))


class TokenHead(nn.Module):
    """Logits of classes of each token: replaced-token detection, tagging."""

    def __init__(
        self,
        d_model: int,
        n_classes: int,
        *,
        dropout: float = 0.0,
        init_std: float = 0.02,
    ) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.classifier = _linear(d_model, n_classes, init_std)

    def forward(
        self, hidden: Float[Tensor, "*batch d_model"]
    ) -> Float[Tensor, "*batch classes"]:
        return self.classifier(self.dropout(hidden))


class SequenceHead(nn.Module):
    """Logits of classes of a sequence, by a linear layer on one vector for all of it.

    Parameters:
        pool: that of the first real position, of the last (the only one that a causal
            model has told everything), or the mean of the real ones.
    """

    def __init__(
        self,
        d_model: int,
        n_classes: int,
        *,
        pool: Literal["first", "last", "mean"] = "last",
        dropout: float = 0.0,
        init_std: float = 0.02,
    ) -> None:
        super().__init__()
        if pool not in ("first", "last", "mean"):
            raise ValueError(f"pool must be first, last or mean, got {pool!r}")
        self.pool = pool
        self.dropout = nn.Dropout(dropout)
        self.classifier = _linear(d_model, n_classes, init_std)

    def forward(
        self,
        hidden: Float[Tensor, "batch length d_model"],
        attention_mask: Bool[Tensor, "batch length"] | None = None,
    ) -> Float[Tensor, "batch classes"]:
        if attention_mask is None:
            attention_mask = torch.ones(
                hidden.shape[:2], dtype=torch.bool, device=hidden.device
            )
        if self.pool == "mean":
            real = attention_mask[..., None].to(hidden.dtype)
            pooled = (hidden * real).sum(dim=1) / real.sum(dim=1).clamp(min=1)
        else:
            mask = attention_mask.int()
            if self.pool == "last":
                place = mask.shape[1] - 1 - mask.flip(1).argmax(dim=1)
            else:
                place = mask.argmax(dim=1)
            pooled = hidden[torch.arange(len(hidden), device=hidden.device), place]
        return self.classifier(self.dropout(pooled))


def _linear(d_in: int, d_out: int, std: float) -> nn.Linear:
    linear = nn.Linear(d_in, d_out)
    nn.init.normal_(linear.weight, std=std)
    nn.init.zeros_(linear.bias)
    return linear
