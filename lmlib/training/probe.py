"""What a frozen model's vectors know of a label: a linear probe.

The model stays as it is; a text is the mean of its tokens' hidden vectors, and a
logistic regression reads the class off it. It measures what has been learned already,
where fine-tuning measures what can still be learned. Alain and Bengio (2016),
"Understanding intermediate layers using linear classifier probes".
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, Int64
from numpy import ndarray

from lmlib.data.tokenizers import Tokenizer


@torch.inference_mode()
def features(
    model: Any,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    pool: str = "mean",
    *,
    length: int = 64,
    batch_size: int = 64,
) -> Float64[ndarray, "texts d_model"]:
    """A vector for each text: the mean of its hidden vectors, the first or the last.

    A text is its first `length` tokens, behind [CLS] and before [SEP] in an encoder,
    behind the token that begins a document in a decoder. Padding counts for nothing.

    Parameters:
        model: a `Bert` or `GPT`, in evaluation mode.

    Raises:
        ValueError: there is no such `pool`.
    """
    if pool not in ("mean", "first", "last"):
        raise ValueError(f"pool must be 'mean', 'first' or 'last', got {pool!r}")
    special, causal = tokenizer.special, model.config.causal
    begin = [special.bos if causal else special.cls]
    end = [] if causal else [special.sep]
    room = length - len(begin) - len(end)
    rows = [begin + tokenizer.encode(t)[:room].tolist() + end for t in texts]
    device = next(model.parameters()).device
    found = []
    for at in range(0, len(rows), batch_size):
        some = rows[at : at + batch_size]
        n = torch.tensor([len(row) for row in some], device=device)
        real = torch.arange(int(n.max()), device=device) < n[:, None]
        ids = torch.full(real.shape, special.pad, device=device)
        ids[real] = torch.tensor([i for row in some for i in row], device=device)
        hidden = model.backbone(ids, real).hidden.double()
        if pool == "mean":
            vector = (hidden * real[..., None]).sum(dim=1) / n[:, None]
        else:
            place = n - 1 if pool == "last" else torch.zeros_like(n)
            vector = hidden[torch.arange(len(n), device=device), place]
        found.append(vector.cpu().numpy())
    return np.concatenate(found)


def linear_probe(
    x: Float64[ndarray, "n d"], y: Int64[ndarray, " n"], l2: float = 1.0
) -> Callable[[Float64[ndarray, "m d"]], Int64[ndarray, " m"]]:
    """The classes that a logistic regression, learned from x and y, gives other texts.

    Features are first shifted and scaled to mean 0 and variance 1 (by x). What is
    minimised is the sum of the losses and l2/2 of the squared weights, so that with
    more examples the penalty counts less.

    Raises:
        ValueError: x has no two classes, or l2 is not positive.
    """
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
    from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]
    from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]

    if not l2 > 0:
        raise ValueError(f"l2 must be positive, got {l2}")
    if len(np.unique(y)) < 2:
        raise ValueError("y must have two classes at least")
    regression = LogisticRegression(C=1 / l2, max_iter=1000)
    return make_pipeline(StandardScaler(), regression).fit(x, y).predict
