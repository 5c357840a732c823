"""Fewer bits a weight: quantization (section 2.2).

A code is a small integer that stands for scale · (code − zero_point). Symmetric codes
have no zero point and stand for −max … max; affine ones for a range that contains 0,
which is always exact: padding, a pruned weight, the end of a ReLU.

Rounding to a step Δ makes errors of variance Δ²/12, and so, near a minimum, a loss that
grows with Δ². Codes are not equally frequent; an entropy coder (section 5.1) makes a
code as short as it is common, and that decides how large the *file* is.

Sources: Jacob et al. (2018), "Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference", section 2.1; Han et al. (2016), "Deep
Compression", for the codes' entropy.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

BITS = range(2, 9)
#: The smallest and the largest scale: those of float16, in which they are stored.
SMALLEST, LARGEST = 2.0**-24, 65504.0
MOST_CODE = 32767  # of a uniform step, whose codes have no fixed number of bits


@dataclass(frozen=True)
class Quantized:
    """A tensor as codes.

    Attributes:
        codes: int16, as the tensor's shape.
        scale: float16 values in float32: one, or one for each index of `axis`.
        zero_point: the code that stands for 0; as `scale`.
        bits: a code has, when all have the same number; None for a uniform step.
        axis: that has scales of its own; None for one scale.
    """

    codes: Int[Tensor, "..."]
    scale: Float[Tensor, "..."]
    zero_point: Int[Tensor, "..."]
    bits: int | None
    axis: int | None = None

    def dequantize(self) -> Float[Tensor, "..."]:
        """What the codes stand for, in float32."""
        scale, zero_point = (
            _along(values, self.axis, self.codes.ndim)
            for values in (self.scale, self.zero_point)
        )
        return (self.codes.float() - zero_point.float()) * scale


def affine_parameters(
    low: Float[Tensor, "..."], high: Float[Tensor, "..."], bits: int
) -> tuple[Float[Tensor, "..."], Int[Tensor, "..."]]:
    """Scale and zero point of codes 0 … 2^bits − 1 for values low … high.

    The range is stretched until it holds 0, so that 0 has a code; a range of 0 alone
    has scale 1. 2^bits levels have 2^bits − 1 steps between them.

    Raises:
        ValueError: low > high, one of them is not finite, or bits is not in 2 … 8.
    """
    _check_bits(bits)
    if not bool((torch.isfinite(low) & torch.isfinite(high) & (low <= high)).all()):
        raise ValueError("low must be at most high, and both finite")
    low, high = low.clamp(max=0), high.clamp(min=0)
    scale = _stored((high - low) / (2**bits - 1))
    zero_point = (-low / scale).round().clamp(0, 2**bits - 1)
    return scale, zero_point.to(torch.int16)


def quantize(
    x: Float[Tensor, "..."],
    bits: int | None,
    *,
    axis: int | None = None,
    symmetric: bool = True,
    step: float | None = None,
) -> Quantized:
    """Round each value to the nearest code.

    Parameters:
        bits: of a code, 2 … 8; None with `step`.
        axis: its indices have scales of their own (0: each row of a matrix, one
            output of a linear layer).
        symmetric: codes −(2^(bits−1) − 1) … 2^(bits−1) − 1 around 0, else 0 … 2^bits−1.
        step: one scale for all, whatever the largest value; the codes, of any size,
            are for an entropy coder.

    Raises:
        ValueError: x is not finite or has no elements, bits is not in 2 … 8, or a value
            is more than 32,767 steps from 0.
    """
    if not x.numel() or not bool(torch.isfinite(x).all()):
        raise ValueError("x must have finite values, and at least one")
    x = x.detach().float()
    if step is not None:
        if bits is not None or axis is not None or not step > 0:
            raise ValueError("step must be positive, and stands for bits and axis")
        scale = _stored(torch.tensor(step))
        codes = (x / scale).round()
        if codes.abs().max() > MOST_CODE:
            raise ValueError(f"step must be larger: a value is {codes.abs().max():.0f}")
        return Quantized(codes.to(torch.int16), scale, _zero(scale), None)
    if bits is None:
        raise ValueError("bits must be given where there is no step")
    _check_bits(bits)
    rest = tuple(i for i in range(x.ndim) if axis is None or i != axis % x.ndim)
    if symmetric:
        most = 2 ** (bits - 1) - 1
        scale = _stored((x.abs().amax(rest) if rest else x.abs()) / most)
        zero_point, least = _zero(scale), -most
    else:
        low, high = (x.amin(rest), x.amax(rest)) if rest else (x, x)
        scale, zero_point = affine_parameters(low, high, bits)
        least, most = 0, 2**bits - 1
    steps = (x / _along(scale, axis, x.ndim)).round()
    codes = (steps + _along(zero_point, axis, x.ndim)).clamp(least, most)
    return Quantized(codes.to(torch.int16), scale, zero_point, bits, axis)


def matrices(name: str, parameter: Tensor) -> bool:
    """What is worth quantizing: biases and norms are few, and sensitive."""
    return parameter.ndim >= 2


def quantize_model(
    model: nn.Module,
    bits: int,
    *,
    axis: int | None = 0,
    symmetric: bool = True,
    chosen: Callable[[str, Tensor], bool] = matrices,
) -> dict[str, Quantized | Tensor]:
    """The parameters by name, those that are `chosen` as codes.

    A table that two layers share is there once, under its first name.
    """
    return {
        name: quantize(p, bits, axis=axis, symmetric=symmetric)
        if chosen(name, p)
        else p.detach().clone()
        for name, p in model.named_parameters()
    }


@torch.no_grad()
def restore(model: nn.Module, state: Mapping[str, Quantized | Tensor]) -> None:
    """Put parameters of `quantize_model` into a model, in place.

    Raises:
        ValueError: the names or shapes are not the model's.
    """
    parameters = dict(model.named_parameters())
    if parameters.keys() != state.keys():
        odd = sorted(parameters.keys() ^ state.keys())
        raise ValueError(f"the state must have the model's names; {odd[0]} is in one")
    for name, parameter in parameters.items():
        value = state[name]
        plain = value.dequantize() if isinstance(value, Quantized) else value
        if plain.shape != parameter.shape:
            raise ValueError(
                f"{name} must have shape {(*parameter.shape,)}, got {(*plain.shape,)}"
            )
        parameter.copy_(plain)


def code_entropy(codes: Int[Tensor, "..."]) -> float:
    """Bits a code, by how often each occurs: what an entropy coder needs."""
    _, counts = codes.unique(return_counts=True)
    share = counts.double() / codes.numel()
    return float(-(share * share.log2()).sum())


def _check_bits(bits: int) -> None:
    if bits not in BITS:
        raise ValueError(f"bits must be in {BITS[0]} … {BITS[-1]}, got {bits}")


def _stored(scale: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """The next float16 above, so that no value lies beyond the last code; 1 for 0."""
    if scale.max() > LARGEST:
        raise ValueError(f"scale must be at most {LARGEST:g}, got {scale.max():g}")
    near = scale.half()
    above = torch.where(
        near.float() < scale, torch.nextafter(near, near.new_tensor(torch.inf)), near
    ).float()
    return torch.where(scale == 0, torch.ones_like(above), above.clamp(min=SMALLEST))


def _zero(scale: Float[Tensor, "..."]) -> Int[Tensor, "..."]:
    return torch.zeros_like(scale, dtype=torch.int16)


def _along(values: Tensor, axis: int | None, ndim: int) -> Tensor:
    """One value for each index of `axis`, in a shape that broadcasts."""
    if axis is None or not ndim:
        return values
    return values.reshape([-1 if i == axis % ndim else 1 for i in range(ndim)])
