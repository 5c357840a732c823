"""Who moves which parameter, how fast, and when.

Weight decay pulls matrices towards 0, and neither biases nor the gains of norms, which
have nothing to overfit with (Devlin et al. 2019, in their code). The learning rate
rises from 0 in the first steps, while the second moments of Adam are still noise, and
then falls to the end.
"""

import math
from typing import Literal

import torch
from torch import nn
from torch.optim import AdamW, Optimizer

from lmlib.training.muon import Muon
from lmlib.transformer import Attention

Decay = Literal["linear", "cosine", "constant"]

# Weights that hold several matrices, one above the other (`lmlib.transformer`).
_STACKED = {"qkv": 3, "key_value": 2}


def parameter_groups(model: nn.Module, *, muon: bool) -> dict[str, list[str]]:
    """Names of the parameters that train: "muon", "decay" and "no decay".

    A parameter that several modules share has one name, the first. Frozen ones have
    none. "muon" are the weights of linear layers outside of heads, unless they serve as
    an embedding too.
    """
    embeddings = {
        id(module.weight)
        for module in model.modules()
        if isinstance(module, nn.Embedding)
    }
    hidden = {
        id(module.weight)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and not _in_a_head(name)
    }
    groups: dict[str, list[str]] = {"muon": [], "decay": [], "no decay": []}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if parameter.ndim < 2:
            groups["no decay"].append(name)
        elif muon and id(parameter) in hidden - embeddings:
            groups["muon"].append(name)
        else:
            groups["decay"].append(name)
    return groups


def _in_a_head(name: str) -> bool:
    # A head may be a model with a backbone of its own: ELECTRA's generator.
    parts = [part for part in name.split(".") if part in ("backbone", "heads")]
    return bool(parts) and parts[-1] == "heads"


def make_optimizers(
    model: nn.Module,
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    muon: bool,
    muon_lr: float | None = None,
    muon_dtype: torch.dtype | None = None,
) -> list[Optimizer]:
    """AdamW for all that trains; with `muon`, Muon for the hidden matrices.

    `muon_lr` is `lr` by default; `muon_dtype` is Muon's `dtype`. Each group remembers
    its rate as `peak_lr`, of which `set_learning_rate` gives it a share.

    Raises:
        ValueError: nothing trains; or Muon would have to cut query, key and value of
            unequal heights apart (grouped-query attention).
    """
    parameters = dict(model.named_parameters())
    groups = parameter_groups(model, muon=muon)
    adam = [
        {
            "params": [parameters[name] for name in groups[group]],
            "weight_decay": weight_decay if group == "decay" else 0.0,
            "peak_lr": lr,
        }
        for group in ("decay", "no decay")
        if groups[group]
    ]
    optimizers: list[Optimizer] = []
    if adam:
        optimizers.append(AdamW(adam, lr=lr, betas=betas, eps=eps, fused=True))
    if groups["muon"]:
        if any(
            isinstance(module, Attention) and module.n_kv_heads != module.n_heads
            for module in model.modules()
        ):
            raise ValueError(
                "Muon is for as many heads of keys and values as of queries; take AdamW"
            )
        by_height: dict[int, list[torch.Tensor]] = {}
        for name in groups["muon"]:
            height = _STACKED.get(name.split(".")[-2], 1) if "." in name else 1
            by_height.setdefault(height, []).append(parameters[name])
        peak = lr if muon_lr is None else muon_lr
        matrices = [
            {"params": params, "stacked": height, "peak_lr": peak}
            for height, params in by_height.items()
        ]
        optimizers.append(
            Muon(matrices, lr=peak, weight_decay=weight_decay, dtype=muon_dtype)
        )
    if not optimizers:
        raise ValueError("model has no parameter that trains: all are frozen")
    return optimizers


def learning_rate_share(
    step: int, steps: int, *, warmup: int, decay: Decay, final: float = 0.0
) -> float:
    """The share of the peak rate at step 0 … steps − 1.

    In the first `warmup` steps it is 1/warmup, 2/warmup, … 1; then it falls, along a
    line or half a cosine, and would be `final` at step `steps`.
    """
    if step < warmup:
        return (step + 1) / warmup
    if decay == "constant":
        return 1.0
    done = (step - warmup) / max(steps - warmup, 1)
    left = 1 - done if decay == "linear" else (1 + math.cos(math.pi * done)) / 2
    return final + (1 - final) * left


def set_learning_rate(optimizers: list[Optimizer], share: float) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = share * group["peak_lr"]
