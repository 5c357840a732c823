"""PanGu-α: a decoder whose last layer asks for the next position (section 3.2).

Source: Zeng et al. (2021), "PanGu-α: Large-scale Autoregressive Pretrained Chinese
Language Models with Auto-parallel Computation", section 3; where the text leaves a
choice (a norm before the query layer, whose output is also what it adds to), the
authors' MindSpore code.
"""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from lmlib.models.gpt import GPT, gpt_config
from lmlib.transformer import (
    Attention,
    Cache,
    FeedForward,
    Output,
    Transformer,
    TransformerConfig,
    initialise,
    make_norm,
)


class QueryTransformer(Transformer):
    """A decoder with n_layers − 1 blocks and the query layer on top.

    The query layer is a block in which queries are not made from the hidden vectors:
    position n asks with a learned vector pₙ, "what comes after n?". Keys and values are
    those of the positions up to n.
    """

    def __init__(self, config: TransformerConfig) -> None:
        if config.n_layers < 2:
            raise ValueError(
                f"n_layers counts the query layer and must be at least 2, got "
                f"{config.n_layers}"
            )
        super().__init__(replace(config, n_layers=config.n_layers - 1))
        self.query_position = nn.Embedding(config.max_len, config.d_model)
        self.query_attention = Attention(config, from_context=True)
        self.query_attention_norm = make_norm(config)
        self.query_feed_forward = FeedForward(config)
        self.query_feed_forward_norm = make_norm(config)
        self.dropout = nn.Dropout(config.dropout)
        initialise(self, config)

    def forward(
        self,
        token_ids: Int[Tensor, "batch length"],
        attention_mask: Bool[Tensor, "batch seen"] | None = None,
        segment_ids: Int[Tensor, "batch length"] | None = None,
        position_ids: Int[Tensor, "batch length"] | None = None,
        document_ids: Int[Tensor, "batch length"] | None = None,
        *,
        memory: Float[Tensor, "batch memory d_model"] | None = None,
        memory_mask: Bool[Tensor, "batch memory"] | None = None,
        cache: Cache | None = None,
        return_all: bool = False,
    ) -> Output:
        """As `Transformer`; the query layer's states and weights come last."""
        past = 0 if cache is None else cache.length
        below = super().forward(
            token_ids,
            attention_mask,
            segment_ids,
            position_ids,
            document_ids,
            memory=memory,
            memory_mask=memory_mask,
            cache=cache,
            return_all=return_all,
        )
        if position_ids is None:
            n = token_ids.shape[1]
            position_ids = torch.arange(past, past + n, device=token_ids.device)
            position_ids = position_ids.expand_as(token_ids)
        x = below.hidden
        mask = self.mask(token_ids, attention_mask, document_ids, past)
        added, weights = self.query_attention(
            self.query_position(position_ids),
            self.query_attention_norm(x),
            mask,
            causal=mask is None,
            cache=cache,
            slot="query layer",
            return_weights=return_all,
        )
        x = x + self.dropout(added)
        inner = self.query_feed_forward(self.query_feed_forward_norm(x))
        x = x + self.dropout(inner)
        if below.hidden_states is None or below.attentions is None or weights is None:
            return Output(x)
        return Output(x, (*below.hidden_states, x), (*below.attentions, weights))


class PanGu(GPT):
    """`GPT` on a `QueryTransformer`; `config.n_layers` counts the query layer."""

    family = "pangu"

    def make_backbone(self, config: TransformerConfig) -> Transformer:
        return QueryTransformer(config)


# The sizes of the code that the authors released with MindSpore, where the number of
# layers includes the query layer. The parameter counts of the paper are compared with
# in the tests: 2.6, 13.1 and 207.0 billion.
PANGU: dict[str, TransformerConfig] = {
    "pangu-2.6b": gpt_config(2560, 32, 32, vocab_size=40000),
    "pangu-13b": gpt_config(5120, 40, 40, vocab_size=40000),
    "pangu-200b": gpt_config(16384, 64, 128, vocab_size=40000),
}
