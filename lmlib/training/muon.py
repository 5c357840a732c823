"""Muon: momentum, made orthogonal, for the matrices inside a network.

The update of a weight matrix is its gradient's momentum with all singular values
brought near 1: directions in which the gradient is weak move as far as the strong
ones. That makes sense for matrices that map hidden vectors to hidden vectors;
embeddings, heads, biases and norms stay with AdamW (`lmlib.training.optimizers`).

Sources: Jordan et al. (2024), "Muon: An optimizer for hidden layers in neural
networks"; Liu et al. (2025), "Muon is Scalable for LLM Training", for the scale of the
step.

`torch.optim.Muon` computes the same in bfloat16. On a CPU without units for that it is
some thirty times slower than this in float32.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalise(
    matrices: Float[Tensor, "*batch rows columns"],
    steps: int = 5,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "*batch rows columns"]:
    """U·S·Vᵀ → about U·Vᵀ: the singular values are pushed into about 0.7 … 1.2.

    Newton–Schulz: X ← aX + (bA + cA²)X with A = XXᵀ applies the odd polynomial
    aσ + bσ³ + cσ⁵ to each singular value, with products alone. The coefficients make
    it steep at 0, so that five steps suffice; they do not converge to 1 exactly.
    """
    a, b, c = COEFFICIENTS
    x = matrices.to(dtype)
    tall = x.shape[-2] > x.shape[-1]
    if tall:  # the smaller of the two squares
        x = x.mT
    # The Frobenius norm is at least the largest singular value.
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Muon for two-dimensional parameters.

    Each step: m ← βm + (1 − β)g; then the parameter moves by −lr · 0.2·√max(rows,
    columns) · orthogonalise((1 − β)g + βm), Nesterov's look-ahead, and shrinks by lr ·
    weight_decay. The factor gives the step the usual root mean square of AdamW's, so
    that both take the same `lr`.

    Parameters:
        parameters: tensors, or groups; a group's `stacked` (1 by default) says of how
            many matrices, one above the other, its parameters are made, such as 3
            where query, key and value are one: each is made orthogonal by itself.
        dtype: in which to orthogonalise. bfloat16 by default where the device has units
            for it, else float32.

    Raises:
        ValueError: a parameter is not a matrix, or `stacked` does not divide its rows.
    """

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float = 1e-3,
        *,
        momentum: float = 0.95,
        weight_decay: float = 0.1,
        dtype: torch.dtype | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "stacked": 1,
        }
        super().__init__(parameters, defaults)
        self._dtype = dtype
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.ndim != 2 or parameter.shape[0] % group["stacked"]:
                    raise ValueError(
                        f"parameters must be {group['stacked']} stacked matrices, got "
                        f"shape {tuple(parameter.shape)}"
                    )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move all parameters that have a gradient."""
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            # Those of one shape go through the iteration together.
            alike: dict[Any, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[parameter.shape, parameter.device].append(parameter)
            for parameters in alike.values():
                self._move(parameters, group)
        return loss

    def _move(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        beta, lr, stacked = group["momentum"], group["lr"], group["stacked"]
        ahead = []
        for parameter in parameters:
            state = self.state[parameter]
            if not state:
                state["momentum"] = torch.zeros_like(parameter)
            gradient = parameter.grad
            assert gradient is not None
            state["momentum"].lerp_(gradient, 1 - beta)
            ahead.append(gradient.lerp(state["momentum"], beta))
        together = torch.stack(ahead).unflatten(1, (stacked, -1))
        dtype = self._dtype or _fast_dtype(together.device)
        updates = orthogonalise(together, dtype=dtype)
        scale = 0.2 * max(together.shape[-2:]) ** 0.5
        for parameter, update in zip(parameters, updates.flatten(1, 2), strict=True):
            parameter.mul_(1 - lr * group["weight_decay"])
            parameter.add_(update, alpha=-lr * scale)


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies matrices faster in bfloat16 than in float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return bool(
            torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        )
    return False


def _fast_dtype(device: torch.device) -> torch.dtype:
    return torch.bfloat16 if has_bfloat16(device) else torch.float32
