"""T5: an encoder that reads and a decoder that writes (section 3.2).

Sources: Raffel et al. (2020), "Exploring the Limits of Transfer Learning with a Unified
Text-to-Text Transformer"; T5 v1.1 from the authors' released checkpoints: gated GELU,
a head of its own, no dropout in pre-training.
"""

from dataclasses import dataclass, replace

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lmlib.models.heads import LMHead
from lmlib.transformer import (
    Attention,
    Cache,
    FeedForward,
    Transformer,
    TransformerConfig,
)


@dataclass(frozen=True)
class T5Config:
    """An encoder, a decoder that attends to it, and whether the head is the embedding.

    With a tied head, hidden vectors are multiplied by d_model^(−½) before it.

    Raises:
        ValueError: the two do not fit together.
    """

    encoder: TransformerConfig
    decoder: TransformerConfig
    tied_head: bool = True

    def __post_init__(self) -> None:
        for name in ("vocab_size", "d_model", "embedding_size"):
            sizes = [getattr(c, name) for c in (self.encoder, self.decoder)]
            if sizes[0] != sizes[1]:
                raise ValueError(
                    f"encoder and decoder must have the same {name}, got {sizes[0]} "
                    f"and {sizes[1]}"
                )
        if self.encoder.causal or self.encoder.cross_attention:
            raise ValueError("encoder must not be causal, nor have cross_attention")
        if not (self.decoder.causal and self.decoder.cross_attention):
            raise ValueError("decoder must be causal and have cross_attention")


class T5(nn.Module):
    """Encoder, decoder and language-model head; all three share one token embedding.

    Parameters:
        config: see `t5_config`; `T5_SIZES` has the published ones.

    Attributes:
        encoder, backbone: the two `Transformer`s; the backbone is the decoder, whose
            hidden vectors the head takes.
        heads: `nn.ModuleDict` with `lm`.
    """

    family = "t5"

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.config = config
        self.encoder = Transformer(config.encoder)
        self.backbone = Transformer(config.decoder)
        self.backbone.embeddings.token = self.encoder.embeddings.token
        self.dropout = nn.Dropout(config.decoder.dropout)
        token = self.encoder.embeddings.token
        d_model = config.decoder.d_model
        table = token if config.tied_head else nn.Embedding(*token.weight.shape)
        self.heads = nn.ModuleDict(
            {
                "lm": LMHead(
                    config.decoder,
                    table,
                    scale=d_model**-0.5 if config.tied_head else 1.0,
                )
            }
        )
        _initialise(self)

    def encode(
        self,
        token_ids: Int[Tensor, "batch length"],
        attention_mask: Bool[Tensor, "batch length"] | None = None,
        document_ids: Int[Tensor, "batch length"] | None = None,
    ) -> Float[Tensor, "batch length d_model"]:
        """The memory that the decoder attends to."""
        hidden = self.encoder(
            token_ids, attention_mask, document_ids=document_ids
        ).hidden
        return self.dropout(hidden)

    def decode(
        self,
        decoder_ids: Int[Tensor, "batch target"],
        memory: Float[Tensor, "batch source d_model"],
        memory_mask: Bool[Tensor, "batch source"] | None = None,
        decoder_mask: Bool[Tensor, "batch seen"] | None = None,
        *,
        cache: Cache | None = None,
    ) -> Float[Tensor, "batch target d_model"]:
        """Hidden vectors of the decoder: what `heads["lm"]` takes."""
        hidden = self.backbone(
            decoder_ids,
            decoder_mask,
            memory=memory,
            memory_mask=memory_mask,
            cache=cache,
        ).hidden
        return self.dropout(hidden)

    def forward(
        self,
        token_ids: Int[Tensor, "batch source"],
        decoder_ids: Int[Tensor, "batch target"],
        attention_mask: Bool[Tensor, "batch source"] | None = None,
        decoder_mask: Bool[Tensor, "batch target"] | None = None,
    ) -> Float[Tensor, "batch target vocab"]:
        """Logits of the token after each position of `decoder_ids`."""
        memory = self.encode(token_ids, attention_mask)
        hidden = self.decode(decoder_ids, memory, attention_mask, decoder_mask)
        return self.heads["lm"](hidden)


def _initialise(model: T5) -> None:
    """As in the authors' Mesh TensorFlow: the scale that the scores do not have is in
    the queries' weights, and the embeddings start at standard deviation 1."""
    config = model.config.encoder
    d_model, d_head = config.d_model, config.attention_size // config.n_heads
    narrow = (d_model * d_head) ** -0.5
    for module in model.modules():
        if isinstance(module, Attention):
            size = module.output.in_features
            if module.from_context:
                nn.init.normal_(module.query.weight, std=narrow)
                nn.init.normal_(module.key_value.weight, std=d_model**-0.5)
            else:
                nn.init.normal_(module.qkv.weight[:size], std=narrow)
                nn.init.normal_(module.qkv.weight[size:], std=d_model**-0.5)
            nn.init.normal_(module.output.weight, std=size**-0.5)
        elif isinstance(module, FeedForward):
            nn.init.normal_(module.up.weight, std=d_model**-0.5)
            nn.init.normal_(module.down.weight, std=module.down.in_features**-0.5)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=1.0)
    for stack in (model.encoder, model.backbone):
        if stack.config.positions == "t5":
            nn.init.normal_(stack.relative_bias.bias.weight, std=d_model**-0.5)


# -- Published sizes ------------------------------------------------------------------


def t5_config(
    d_model: int,
    d_ff: int,
    n_layers: int,
    n_heads: int,
    *,
    d_head: int = 64,
    v1_1: bool = False,
    vocab_size: int = 32128,
    n_decoder_layers: int | None = None,
    dropout: float = 0.1,
) -> T5Config:
    """T5 as published: pre-norm, RMSNorm, no biases, unscaled scores, relative bias.

    `v1_1` is gated GELU for ReLU, and a head that is not the embedding.
    """
    encoder = TransformerConfig(
        vocab_size=vocab_size,
        d_model=d_model,
        n_layers=n_layers,
        n_heads=n_heads,
        d_ff=d_ff,
        d_head=d_head,
        positions="t5",
        norm="rms",
        norm_first=True,
        embedding_norm=False,
        norm_eps=1e-6,
        activation="gelu_tanh" if v1_1 else "relu",
        gated=v1_1,
        bias=False,
        scale_scores=False,
        dropout=dropout,
        attention_dropout=dropout,
        ff_dropout=dropout,
    )
    decoder = replace(
        encoder,
        causal=True,
        cross_attention=True,
        n_layers=n_layers if n_decoder_layers is None else n_decoder_layers,
    )
    return T5Config(encoder, decoder, tied_head=not v1_1)


T5_SIZES: dict[str, T5Config] = {
    "t5-small": t5_config(512, 2048, 6, 8),
    "t5-base": t5_config(768, 3072, 12, 12),
    "t5-large": t5_config(1024, 4096, 24, 16),
    "t5-3b": t5_config(1024, 16384, 24, 32, d_head=128),
    "t5-11b": t5_config(1024, 65536, 24, 128, d_head=128),
    "t5-v1.1-small": t5_config(512, 1024, 8, 6, v1_1=True),
    "t5-v1.1-base": t5_config(768, 2048, 12, 12, v1_1=True),
    "t5-v1.1-large": t5_config(1024, 2816, 24, 16, v1_1=True),
    "t5-v1.1-xl": t5_config(2048, 5120, 24, 32, v1_1=True),
    "t5-v1.1-xxl": t5_config(4096, 10240, 24, 64, v1_1=True),
}
