"""BERT and two of its kin: encoders that fill in blanks (section 3.2).

BERT (Devlin et al. 2019) learns from masked tokens and next sentences. RoBERTa (Liu et
al. 2019) drops the sentences, takes ten times the text, and counts positions from the
padding token's id + 1. ALBERT (Lan et al. 2020) has one block for all layers, small
embeddings, and asks for the order of sentences instead.
"""

from collections.abc import Sequence
from typing import ClassVar

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lmlib.models.heads import LMHead, PairHead, Pooler
from lmlib.transformer import Transformer, TransformerConfig


class Bert(nn.Module):
    """An encoder with its pre-training heads.

    Parameters:
        config: of the encoder; see `BERT`, `ROBERTA` and `ALBERT` for published ones.
        heads: which of `mlm` (masked tokens), `nsp` or `sop` (pairs of sentences) and
            `pooler` (the first half of a pair head); those of the family by default.

    Attributes:
        backbone: the `Transformer`.
        heads: `nn.ModuleDict`, by name.

    Raises:
        ValueError: an unknown head, or a causal or cross-attending config.
    """

    family: ClassVar[str] = "bert"
    pretraining: ClassVar[tuple[str, ...]] = ("mlm", "nsp")

    def __init__(
        self, config: TransformerConfig, heads: Sequence[str] | None = None
    ) -> None:
        super().__init__()
        if config.causal or config.cross_attention:
            raise ValueError("config must be of an encoder, not causal, without memory")
        self.config = config
        self.backbone = Transformer(config)
        self.heads = nn.ModuleDict()
        for name in self.pretraining if heads is None else heads:
            if name == "mlm":
                self.heads[name] = LMHead(
                    config, self.backbone.embeddings.token, transform=True, bias=True
                )
            elif name in ("nsp", "sop"):
                self.heads[name] = PairHead(config.d_model, init_std=config.init_std)
            elif name == "pooler":
                self.heads[name] = Pooler(config.d_model, init_std=config.init_std)
            else:
                raise ValueError(
                    f"heads must be of mlm, nsp, sop and pooler, got {name!r}"
                )

    def forward(
        self,
        token_ids: Int[Tensor, "batch length"],
        attention_mask: Bool[Tensor, "batch length"] | None = None,
        segment_ids: Int[Tensor, "batch length"] | None = None,
        position_ids: Int[Tensor, "batch length"] | None = None,
        document_ids: Int[Tensor, "batch length"] | None = None,
    ) -> dict[str, Float[Tensor, "batch ..."]]:
        """What each head says: `mlm` logits [batch, length, vocab], `nsp` [batch, 2] …

        To train, call `backbone` and give a head the positions that have targets: this
        computes the logits at all.
        """
        hidden = self.backbone(
            token_ids, attention_mask, segment_ids, position_ids, document_ids
        ).hidden
        return {name: head(hidden) for name, head in self.heads.items()}


class Roberta(Bert):
    """BERT without next sentences, whose positions count from `pad_id` + 1."""

    family = "roberta"
    pretraining = ("mlm",)


class Albert(Bert):
    """BERT with one block for all layers, small embeddings, and sentence order."""

    family = "albert"
    pretraining = ("mlm", "sop")


# -- Published sizes ------------------------------------------------------------------


def _bert(vocab_size: int, d_model: int, n_layers: int) -> TransformerConfig:
    return TransformerConfig(
        vocab_size=vocab_size,
        d_model=d_model,
        n_layers=n_layers,
        n_heads=d_model // 64,
        n_segments=2,
    )


def _roberta(d_model: int, n_layers: int) -> TransformerConfig:
    return TransformerConfig(
        vocab_size=50265,
        d_model=d_model,
        n_layers=n_layers,
        n_heads=d_model // 64,
        max_len=514,
        pad_id=1,
        # One kind of segment: a vector that is added to every token.
        n_segments=1,
        norm_eps=1e-5,
    )


def _albert(
    version: int, d_model: int, n_layers: int, n_heads: int
) -> TransformerConfig:
    """Version 2 has no dropout (nor has xxlarge of version 1), and GELU by tanh."""
    dropout = 0.1 if version == 1 and d_model < 4096 else 0.0
    return TransformerConfig(
        vocab_size=30000,
        d_model=d_model,
        n_layers=n_layers,
        n_heads=n_heads,
        d_embedding=128,
        n_groups=1,
        n_segments=2,
        activation="gelu" if version == 1 else "gelu_tanh",
        dropout=dropout,
        attention_dropout=dropout,
    )


BERT: dict[str, TransformerConfig] = {
    "bert-base-uncased": _bert(30522, 768, 12),
    "bert-large-uncased": _bert(30522, 1024, 24),
    "bert-base-cased": _bert(28996, 768, 12),
    "bert-large-cased": _bert(28996, 1024, 24),
    "bert-base-chinese": _bert(21128, 768, 12),
}

ROBERTA: dict[str, TransformerConfig] = {
    "roberta-base": _roberta(768, 12),
    "roberta-large": _roberta(1024, 24),
}

ALBERT: dict[str, TransformerConfig] = {
    f"albert-{size}-v{version}": _albert(version, d_model, n_layers, n_heads)
    for version in (1, 2)
    for size, d_model, n_layers, n_heads in (
        ("base", 768, 12, 12),
        ("large", 1024, 24, 16),
        ("xlarge", 2048, 24, 16),
        ("xxlarge", 4096, 12, 64),
    )
}
