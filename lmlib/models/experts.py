"""Mixture of experts: a feed-forward layer of which a token uses a part (section 8.5).

A router scores e experts for each token; the token passes through the `top_k` that it
likes best, and what they say is added up, each times its gate. So parameters grow with
e and operations with `top_k`. Sources: Shazeer et al. (2017) for the layer; Fedus et
al. (2022), the Switch Transformer, for one expert a token and the loss that balances
them; Jiang et al. (2024), Mixtral, for gates that sum to 1.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lmlib.transformer import FeedForward, Transformer, TransformerConfig, initialise


class Experts(nn.Module):
    """`n` feed-forward layers and a router; in the place of one feed-forward layer.

    No expert is ever full: each works on all tokens that chose it, however many.

    Parameters:
        config: what each expert is made of.
        n: experts.
        top_k: how many a token passes through. With one its gate is its probability, or
            else no gradient would reach the router; with more they sum to 1.

    Raises:
        ValueError: top_k is not in 1 … n.
    """

    def __init__(self, config: TransformerConfig, n: int, top_k: int = 1) -> None:
        super().__init__()
        if not 1 <= top_k <= n:
            raise ValueError(f"top_k must be in 1 … n = {n}, got {top_k}")
        self.top_k = top_k
        self.router = nn.Linear(config.d_model, n, bias=False)
        self.experts = nn.ModuleList(FeedForward(config) for _ in range(n))
        initialise(self, config)

    def forward(
        self, x: Float[Tensor, "*batch d_model"]
    ) -> Float[Tensor, "*batch d_model"]:
        tokens = x.reshape(-1, x.shape[-1])
        gates, chosen = self.router(tokens).softmax(dim=-1).topk(self.top_k)
        if self.top_k > 1:
            gates = gates / gates.sum(dim=-1, keepdim=True)
        out = torch.zeros_like(tokens)
        for i, expert in enumerate(self.experts):
            token, place = torch.where(chosen == i)
            said = gates[token, place, None] * expert(tokens[token])
            out.index_add_(0, token, said.to(out.dtype))
        return out.reshape(x.shape)


def use_experts(model: Transformer, n: int, top_k: int = 1) -> None:
    """Put new experts in the place of each block's feed-forward layer."""
    for block in model.blocks:
        block.feed_forward = Experts(model.config, n, top_k)


@contextmanager
def router_logits(model: nn.Module) -> Iterator[list[Tensor]]:
    """A list that gets [tokens, experts] from each router that is called inside."""
    found: list[Tensor] = []
    hooks = [
        layer.router.register_forward_hook(lambda _, __, logits: found.append(logits))
        for layer in model.modules()
        if isinstance(layer, Experts)
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def use(
    logits: Float[Tensor, "tokens experts"], top_k: int
) -> Float[Tensor, " experts"]:
    """The share of tokens that chose each expert; together top_k."""
    chosen = logits.topk(top_k).indices
    return torch.bincount(chosen.flatten(), minlength=logits.shape[-1]) / len(logits)


def balance_loss(
    logits: Sequence[Float[Tensor, "tokens experts"]], top_k: int
) -> Float[Tensor, ""]:
    """e·Σᵢ fᵢ·Pᵢ, the mean over layers: `top_k` when all are used alike, up to e.

    fᵢ is the share of a layer's tokens that chose expert i, Pᵢ its mean probability;
    the gradient goes through Pᵢ alone. Each layer is balanced by itself: two layers of
    which one uses the first expert alone and one the second are not balanced.

    Raises:
        ValueError: there is no layer.
    """
    if not logits:
        raise ValueError("logits must have those of one layer at least")
    losses = [
        of_layer.shape[-1]
        * (use(of_layer, top_k) * of_layer.softmax(dim=-1).mean(dim=0)).sum()
        for of_layer in logits
    ]
    return torch.stack(losses).mean()
