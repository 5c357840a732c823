"""GPT-2 and GPT-3: decoders that predict the next token (section 3.2).

Sources: Radford et al. (2019), "Language Models are Unsupervised Multitask Learners";
Brown et al. (2020), "Language Models are Few-Shot Learners". Left out: GPT-3's every
second layer attends to a band of near positions alone (section 2.1, after the Sparse
Transformer, without figures); here all layers attend to the whole past. That changes
neither the parameters nor their number.
"""

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lmlib.models.heads import LMHead
from lmlib.transformer import Cache, Transformer, TransformerConfig


class GPT(nn.Module):
    """A decoder and its language-model head, which shares the token embedding.

    Attributes:
        backbone: the `Transformer`.
        heads: `nn.ModuleDict` with `lm`.

    Raises:
        ValueError: the config is not causal, or cross-attends.
    """

    family = "gpt2"

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        if not config.causal or config.cross_attention:
            raise ValueError("config must be causal, without cross_attention")
        self.config = config
        self.backbone = self.make_backbone(config)
        self.heads = nn.ModuleDict(
            {"lm": LMHead(config, self.backbone.embeddings.token)}
        )

    def make_backbone(self, config: TransformerConfig) -> Transformer:
        """What a family with another backbone overrides."""
        return Transformer(config)

    def forward(
        self,
        token_ids: Int[Tensor, "batch length"],
        attention_mask: Bool[Tensor, "batch seen"] | None = None,
        position_ids: Int[Tensor, "batch length"] | None = None,
        document_ids: Int[Tensor, "batch length"] | None = None,
        *,
        cache: Cache | None = None,
        last_only: bool = False,
    ) -> Float[Tensor, "batch positions vocab"]:
        """Logits of the token after each position (or after the last alone)."""
        hidden = self.backbone(
            token_ids,
            attention_mask,
            position_ids=position_ids,
            document_ids=document_ids,
            cache=cache,
        ).hidden
        return self.heads["lm"](hidden[:, -1:] if last_only else hidden)


# -- Published sizes ------------------------------------------------------------------


def gpt_config(
    d_model: int,
    n_layers: int,
    n_heads: int,
    *,
    vocab_size: int = 50257,
    max_len: int = 1024,
    d_head: int | None = None,
) -> TransformerConfig:
    """A decoder as GPT-2 has it: learned positions, pre-norm, GELU by tanh."""
    return TransformerConfig(
        vocab_size=vocab_size,
        d_model=d_model,
        n_layers=n_layers,
        n_heads=n_heads,
        d_head=d_head,
        max_len=max_len,
        causal=True,
        norm_first=True,
        embedding_norm=False,
        norm_eps=1e-5,
        activation="gelu_tanh",
    )


GPT2: dict[str, TransformerConfig] = {
    "gpt2": gpt_config(768, 12, 12),
    "gpt2-medium": gpt_config(1024, 24, 16),
    "gpt2-large": gpt_config(1280, 36, 20),
    "gpt2-xl": gpt_config(1600, 48, 25),
}

# Table 2.1 of Brown et al. Two of its rows contradict themselves: XL has d_model 2048
# with 24 heads of 128, and only 16 heads make its 1.3 billion; 13B has d_model 5140
# with 40 heads of 128 = 5120, which we take at its word, with d_head = 128.
GPT3: dict[str, TransformerConfig] = {
    f"gpt3-{size}": gpt_config(d_model, n_layers, n_heads, max_len=2048, d_head=d_head)
    for size, d_model, n_layers, n_heads, d_head in (
        ("small", 768, 12, 12, None),
        ("medium", 1024, 24, 16, None),
        ("large", 1536, 24, 16, None),
        ("xl", 2048, 24, 16, None),
        ("2.7b", 2560, 32, 32, None),
        ("6.7b", 4096, 32, 32, None),
        ("13b", 5140, 40, 40, 128),
        ("175b", 12288, 96, 96, None),
    )
}
