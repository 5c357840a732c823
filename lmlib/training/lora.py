"""LoRA: fine-tune a matrix by a product of two thin ones (section 3.3).

W stays as it is; beside it, B·A of rank r is learned: r·(rows + columns) numbers
instead of rows·columns. B starts at 0, so that training begins at the pre-trained
model. After training B·A is added to W, and the model is as large as before.

Source: Hu et al. (2021), "LoRA: Low-Rank Adaptation of Large Language Models".
"""

import math
from collections.abc import Collection

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

ATTENTION = ("qkv", "query", "key_value")

# An attribute of a model with LoRA: the names of the parameters that trained before.
_TRAINED = "_trained_before_lora"


class LoRALinear(nn.Module):
    """x ↦ W·x + bias + (alpha / rank)·B·A·x, where W and bias are frozen.

    A has the initial values of a linear layer, B is 0.

    Raises:
        ValueError: rank is not in 1 … the smaller side of W.
    """

    def __init__(self, frozen: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        rows, columns = frozen.weight.shape
        if not 1 <= rank <= min(rows, columns):
            raise ValueError(f"rank must be in 1 … {min(rows, columns)}, got {rank}")
        self.frozen = frozen.requires_grad_(False)
        self.a = nn.Parameter(frozen.weight.new_empty(rank, columns))
        self.b = nn.Parameter(frozen.weight.new_zeros(rows, rank))
        self.scale = alpha / rank
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    def forward(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        return self.frozen(x) + self.scale * F.linear(F.linear(x, self.a), self.b)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """One linear layer that computes the same, up to rounding."""
        merged = nn.Linear(
            self.frozen.in_features,
            self.frozen.out_features,
            bias=self.frozen.bias is not None,
            device=self.a.device,
            dtype=self.a.dtype,
        )
        merged.weight.copy_(self.frozen.weight + self.scale * self.b @ self.a)
        if self.frozen.bias is not None:
            merged.bias.copy_(self.frozen.bias)
        return merged


def add_lora(
    model: nn.Module,
    *,
    rank: int = 8,
    alpha: float = 16.0,
    targets: Collection[str] = ATTENTION,
) -> None:
    """Freeze the model, and make each linear layer named in `targets` a `LoRALinear`.

    The paper adapts the projections to query and value; here query, key and value are
    one matrix (`qkv`), which is adapted as a whole. `merge_lora` undoes the freezing.

    Raises:
        ValueError: no layer has such a name.
    """
    found = [
        (module, name, child)
        for module in model.modules()
        for name, child in module.named_children()
        if name in targets and isinstance(child, nn.Linear)
    ]
    if not found:
        raise ValueError(f"model has no linear layer named {' or '.join(targets)}")
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    adapted = [LoRALinear(child, rank, alpha) for _, _, child in found]
    vars(model)[_TRAINED] = trained
    model.requires_grad_(False)
    for (module, name, _), layer in zip(found, adapted, strict=True):
        setattr(module, name, layer)


def merge_lora(model: nn.Module) -> None:
    """Put a plain linear layer in the place of each `LoRALinear`.

    What trained before `add_lora` trains again.
    """
    merged: set[nn.Parameter] = set()
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, LoRALinear):
                setattr(module, name, layer := child.merged())
                merged |= {*layer.parameters()}
    for module in model.modules():
        if (trained := vars(module).pop(_TRAINED, None)) is not None:
            for name, parameter in module.named_parameters():
                if name in trained or parameter in merged:
                    parameter.requires_grad_(name in trained)
