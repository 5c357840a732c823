"""GPT, GPT-2 and GPT-3: decoders that predict the next token (sections 1.2 and 3.2).

Sources: Radford et al. (2018), "Improving Language Understanding by Generative
Pre-Training"; Radford et al. (2019), "Language Models are Unsupervised Multitask
Learners"; Brown et al. (2020), "Language Models are Few-Shot Learners". Left out:
GPT-3's every second layer attends to a band of near positions alone (section 2.1, after
the Sparse Transformer, without figures); here all layers attend to the whole past. That
changes neither the parameters nor their number.
"""

from dataclasses import replace

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lmlib.models.heads import LMHead
from lmlib.transformer import Cache, Transformer, TransformerConfig


class GPT(nn.Module):
    """A decoder and its language-model head.

    Parameters:
        tied: the head shares the token embedding, or has a table of its own.

    Attributes:
        backbone: the `Transformer`.
        heads: `nn.ModuleDict` with `lm`.

    Raises:
        ValueError: the config is not causal, or cross-attends.
    """

    family = "gpt2"

    def __init__(self, config: TransformerConfig, *, tied: bool = True) -> None:
        super().__init__()
        if not config.causal or config.cross_attention:
            raise ValueError("config must be causal, without cross_attention")
        self.config, self.tied = config, tied
        self.backbone = self.make_backbone(config)
        table = self.backbone.embeddings.token
        if not tied:
            table = nn.Embedding(config.vocab_size, config.embedding_size)
            nn.init.normal_(table.weight, std=config.init_std)
        self.heads = nn.ModuleDict({"lm": LMHead(config, table)})

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


# Radford et al. 2018, section 4.1: a norm after each sub-layer, and none at the end.
# The vocabulary is that of the release.
GPT1: dict[str, TransformerConfig] = {
    "gpt": replace(
        gpt_config(768, 12, 12, vocab_size=40478, max_len=512), norm_first=False
    ),
}

GPT2: dict[str, TransformerConfig] = {
    "gpt2": gpt_config(768, 12, 12),
    "gpt2-medium": gpt_config(1024, 24, 16),
    "gpt2-large": gpt_config(1280, 36, 20),
    "gpt2-xl": gpt_config(1600, 48, 25),
}

# Table 2.1 of Brown et al. Two of its rows contradict themselves: XL has d_model 2048
# with 24 heads of 128, and only 16 heads make its 1.3 billion; 13B has d_model 5140,
# which 40 heads of 128 = 5120 do not fill. Table D.1 has 12,850 million parameters, and
# 5120 makes them.
GPT3: dict[str, TransformerConfig] = {
    f"gpt3-{size}": gpt_config(d_model, n_layers, n_heads, max_len=2048)
    for size, d_model, n_layers, n_heads in (
        ("small", 768, 12, 12),
        ("medium", 1024, 24, 16),
        ("large", 1536, 24, 16),
        ("xl", 2048, 24, 16),
        ("2.7b", 2560, 32, 32),
        ("6.7b", 4096, 32, 32),
        ("13b", 5120, 40, 40),
        ("175b", 12288, 96, 96),
    )
}
