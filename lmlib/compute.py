"""What a model costs: floating-point operations of training (section 1.2).

A matrix of N weights multiplies and adds once a weight and token: 2·N operations. The
backward pass has two such products, one for the gradient of the input and one for that
of the weights: 4·N. The rule "6·N·D" for D tokens (Kaplan et al. 2020, section 2.1) is
that, with the number of parameters for N. Here is what it leaves out and what it should
have left out; and a count of what torch really computes, which needs no memory, on the
meta device.
"""

from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from lmlib.models.bert import Bert
from lmlib.models.gpt import GPT
from lmlib.models.t5 import T5
from lmlib.transformer import TransformerConfig


def flops_per_token(config: TransformerConfig, length: int) -> int:
    """Of one training step of a decoder with its head, for each of its tokens.

    Six for each weight of a matrix that multiplies: those of each layer and the head,
    whether it shares the embedding's table or not; no look-up of a row. And the
    products of attention, query by key and weight by value, over all `length` positions
    (masked ones are computed and thrown away): 2·2·length·d forward in each layer.
    """
    d, a, f = config.d_model, config.attention_size, config.ff_size
    kv = config.kv_heads * config.head_size
    attention = d * (a + 2 * kv) + a * d
    feed_forward = (3 if config.gated else 2) * d * f
    matrices = config.n_layers * (attention + feed_forward) + config.vocab_size * d
    return 6 * matrices + 12 * config.n_layers * length * a


def counted_flops(model: Bert | GPT | T5, length: int) -> float:
    """What torch computes in the matrix products of a training step, a token.

    The model should be on the meta device. A T5 reads `length` tokens and writes as
    many; both count.
    """
    tokens = torch.zeros(1, length, dtype=torch.long, device="meta")
    given = (tokens, tokens) if isinstance(model, T5) else (tokens,)
    with FlopCounterMode(display=False) as counter:
        logits: Any = model(*given)
        of_heads = logits.values() if isinstance(logits, dict) else [logits]
        sum(x.sum() for x in of_heads).backward()
    model.zero_grad(set_to_none=True)
    return counter.get_total_flops() / (length * len(given))
