"""Llama, and the families that are built like it: Qwen2, Qwen3, SmolLM2, openPangu.

What is left of GPT is the mask, the objective and the residual stream. Instead of
LayerNorm there is RMSNorm (Zhang & Sennrich 2019), instead of a table of positions
rotary ones (Su et al. 2021), instead of GELU a gated SiLU, SwiGLU (Shazeer 2020);
several heads of queries share one of keys and values (Ainslie et al. 2023), and biases
are gone but for a few: Qwen2 has them at query, key and value, openPangu at all four
projections of attention. Qwen3 norms each head's queries and keys.

Sources: Touvron et al. (2023), "LLaMA: Open and Efficient Foundation Language Models";
Grattafiori et al. (2024), "The Llama 3 Herd of Models"; Yang et al. (2024), "Qwen2.5
Technical Report"; Yang et al. (2025), "Qwen3 Technical Report"; Ben Allal et al.
(2025), "SmolLM2: When Smol Goes Big". The sizes are those of the checkpoints'
config.json.
"""

from dataclasses import replace
from typing import Any

from lmlib.models.gpt import GPT
from lmlib.positions import RotaryScaling
from lmlib.transformer import TransformerConfig


class Llama(GPT):
    """A `GPT` of `llama_config`, whose family is what Hugging Face calls such a config:
    qwen3 with norms of queries and keys, qwen2 with biases at qkv alone, else llama."""

    def __init__(self, config: TransformerConfig, *, tied: bool = True) -> None:
        super().__init__(config, tied=tied)
        self.family = "llama"
        if config.qk_norm:
            self.family = "qwen3"
        elif config.qkv_bias and not config.bias:
            self.family = "qwen2"


# -- Published sizes ------------------------------------------------------------------


def llama_config(
    d_model: int,
    d_ff: int,
    n_layers: int,
    n_heads: int,
    n_kv_heads: int,
    *,
    vocab_size: int,
    max_len: int = 2048,
    **options: Any,
) -> TransformerConfig:
    """A decoder as Llama has it; `options` are further fields of the config.

    Pairs of features that are rotated together lie d_head / 2 apart, as in the
    checkpoints of the Hugging Face hub.
    """
    config = TransformerConfig(
        vocab_size=vocab_size,
        d_model=d_model,
        n_layers=n_layers,
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        d_ff=d_ff,
        max_len=max_len,
        causal=True,
        positions="rotary",
        rotary_interleaved=False,
        norm="rms",
        norm_first=True,
        embedding_norm=False,
        norm_eps=1e-5,
        activation="silu",
        gated=True,
        bias=False,
        dropout=0.0,
        attention_dropout=0.0,
    )
    return replace(config, **options)


#: Sizes, and whether the head shares the embedding's table.
LLAMA: dict[str, tuple[TransformerConfig, bool]] = {
    "llama-7b": (llama_config(4096, 11008, 32, 32, 32, vocab_size=32000), False),
    "llama-3.2-1b": (
        llama_config(
            2048,
            8192,
            16,
            32,
            8,
            vocab_size=128256,
            max_len=131072,
            rotary_base=500000.0,
            rotary_scaling=RotaryScaling(32.0, 1.0, 4.0, 8192),
        ),
        True,
    ),
    "smollm2-135m": (
        llama_config(
            576,
            1536,
            30,
            9,
            3,
            vocab_size=49152,
            max_len=8192,
            rotary_base=100000.0,
        ),
        True,
    ),
    "qwen2.5-0.5b": (
        llama_config(
            896,
            4864,
            24,
            14,
            2,
            vocab_size=151936,
            max_len=32768,
            rotary_base=1000000.0,
            norm_eps=1e-6,
            qkv_bias=True,
        ),
        True,
    ),
    "qwen3-0.6b": (
        llama_config(
            1024,
            3072,
            28,
            16,
            8,
            vocab_size=151936,
            max_len=40960,
            rotary_base=1000000.0,
            norm_eps=1e-6,
            qk_norm=True,
            d_head=128,
        ),
        True,
    ),
    "openpangu-7b": (
        llama_config(
            4096,
            12800,
            34,
            32,
            8,
            vocab_size=153376,
            max_len=32768,
            rotary_base=16000000.0,
            bias=True,
            ff_bias=False,
        ),
        False,
    ),
}
