"""What a prediction costs: cross-entropy, divergence, and bits (section 4.2).

A loss is the number of nats that the model needs to write down what really came:
−log p(target). Each comes from logits, the stable way, and from probabilities, the way
of the textbook; beside each stands its gradient, derived by hand.

All sums are over targets. `reduction` is "none" (one loss per target), "sum", or "mean"
(the sum over the number of targets; 0, with zero gradient, where there is none). Sums
can be added over batches and processes; means of batches that differ in size cannot.
Half-precision logits are computed with in float32, as under autocast.

Values are checked where that is free. On cuda it would wait for the device: there a
target out of range meets the device's own assertion, and the rest is not checked.
"""

import math
from typing import Literal, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

IGNORE = -100  # a target that is none, the default of torch.nn.functional.cross_entropy

Reduction = Literal["none", "sum", "mean"]
Quantity = TypeVar("Quantity", float, Tensor)


# -- Categorical: one of several classes ----------------------------------------------


def cross_entropy(
    logits: Float[Tensor, "*targets classes"],
    targets: Int[Tensor, "*targets"],
    *,
    label_smoothing: float = 0.0,
    ignore_index: int = IGNORE,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """−log softmax(logits)[target], in nats; classes come last.

    With `label_smoothing` ε the target is (1 − ε)·onehot + ε/classes instead (Szegedy
    et al. 2016, section 7). Targets equal to `ignore_index` cost nothing and do not
    count; so never choose a class as `ignore_index`.

    Give it logits: a softmax before this one flattens them, and trains slowly to a bad
    end without any error.

    Raises:
        ValueError: a target is no class and not `ignore_index`, the shapes differ, or
            `label_smoothing` is not between 0 and 1.
    """
    _check_targets(logits, targets, ignore_index)
    _check_smoothing(label_smoothing)
    counted = targets != ignore_index
    # Not logsumexp(logits) − logits[target]: at logits of 10,000 the difference of two
    # large float32 numbers has an error of 0.001.
    log_p = _at_least_float32(logits).log_softmax(dim=-1)
    picked = log_p.gather(-1, targets.where(counted, 0).long()[..., None])
    losses = -picked.squeeze(-1)
    if label_smoothing:
        uniform = -log_p.mean(dim=-1)
        losses = (1 - label_smoothing) * losses + label_smoothing * uniform
    return _reduce(losses.where(counted, 0.0), counted, reduction)


def cross_entropy_gradient(
    logits: Float[Tensor, "*targets classes"],
    targets: Int[Tensor, "*targets"],
    *,
    label_smoothing: float = 0.0,
    ignore_index: int = IGNORE,
) -> Float[Tensor, "*targets classes"]:
    """∂/∂logits of the sum of `cross_entropy`: softmax − (smoothed) one-hot.

    For ∂(log Σ exp z)/∂z is softmax(z), and ∂z[target]/∂z is the one-hot. The rows of
    a gradient sum to 0; an ignored target's row is 0. For the mean divide by the
    number of targets.
    """
    _check_targets(logits, targets, ignore_index)
    _check_smoothing(label_smoothing)
    counted = targets != ignore_index
    n_classes = logits.shape[-1]
    p = _at_least_float32(logits).softmax(dim=-1)
    one_hot = F.one_hot(targets.where(counted, 0).long(), n_classes).to(p.dtype)
    wanted = (1 - label_smoothing) * one_hot + label_smoothing / n_classes
    return (p - wanted).masked_fill(~counted[..., None], 0.0)


def cross_entropy_from_probabilities(
    probabilities: Float[Tensor, "*targets classes"],
    targets: Int[Tensor, "*targets"],
    *,
    ignore_index: int = IGNORE,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """−log probabilities[target], in nats; infinite where what came had probability 0.

    That is no accident to be clipped away: no code can write down the impossible.

    Raises:
        ValueError: as `cross_entropy`; or a row is no distribution.
    """
    _check_targets(probabilities, targets, ignore_index)
    _check_probabilities(probabilities, sum_to_one=True)
    counted = targets != ignore_index
    index = targets.where(counted, 0).long()[..., None]
    picked = probabilities.gather(-1, index).squeeze(-1)
    losses = -picked.where(counted, 1.0).log()
    return _reduce(losses, counted, reduction)


def cross_entropy_from_probabilities_gradient(
    probabilities: Float[Tensor, "*targets classes"],
    targets: Int[Tensor, "*targets"],
    *,
    ignore_index: int = IGNORE,
) -> Float[Tensor, "*targets classes"]:
    """∂/∂probabilities of the sum: −1/p at the target, 0 elsewhere."""
    _check_targets(probabilities, targets, ignore_index)
    counted = targets != ignore_index
    index = targets.where(counted, 0).long()[..., None]
    slope = -1 / probabilities.gather(-1, index)
    slope = slope.masked_fill(~counted[..., None], 0.0)
    return torch.zeros_like(probabilities).scatter(-1, index, slope)


# -- Binary: yes or no ----------------------------------------------------------------


def binary_cross_entropy(
    logits: Float[Tensor, "*targets"],
    targets: Float[Tensor, "*targets"] | Int[Tensor, "*targets"] | Bool[Tensor, "..."],
    *,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """−y·log σ(z) − (1 − y)·log(1 − σ(z)), in nats, for targets y in 0 … 1.

    1 − σ(z) is computed as σ(−z): the subtraction would lose all digits at large z.

    Raises:
        ValueError: a target is not in 0 … 1, or the shapes differ.
    """
    _check_binary(logits, targets)
    z = _at_least_float32(logits)
    y = targets.to(z.dtype)
    losses = -(y * F.logsigmoid(z) + (1 - y) * F.logsigmoid(-z))
    return _reduce(losses, None, reduction)


def binary_cross_entropy_gradient(
    logits: Float[Tensor, "*targets"],
    targets: Float[Tensor, "*targets"] | Int[Tensor, "*targets"] | Bool[Tensor, "..."],
) -> Float[Tensor, "*targets"]:
    """∂/∂logits of the sum of `binary_cross_entropy`: σ(z) − y."""
    _check_binary(logits, targets)
    z = _at_least_float32(logits)
    return z.sigmoid() - targets.to(z.dtype)


def binary_cross_entropy_from_probabilities(
    probabilities: Float[Tensor, "*targets"],
    targets: Float[Tensor, "*targets"] | Int[Tensor, "*targets"] | Bool[Tensor, "..."],
    *,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """−y·log p − (1 − y)·log(1 − p), in nats, where 0·log 0 is 0.

    Certain and right costs 0; certain and wrong costs ∞. (PyTorch clips the logarithm
    at −100 instead.)

    Raises:
        ValueError: a target or a probability is not in 0 … 1, or the shapes differ.
    """
    _check_binary(probabilities, targets)
    _check_probabilities(probabilities)
    y = targets.to(probabilities.dtype)
    losses = -(_x_log_y(y, probabilities) + _x_log_y(1 - y, 1 - probabilities))
    return _reduce(losses, None, reduction)


def binary_cross_entropy_from_probabilities_gradient(
    probabilities: Float[Tensor, "*targets"],
    targets: Float[Tensor, "*targets"] | Int[Tensor, "*targets"] | Bool[Tensor, "..."],
) -> Float[Tensor, "*targets"]:
    """∂/∂probabilities of the sum: −y/p + (1 − y)/(1 − p), which is (p − y)/(p(1 − p)).

    A term whose coefficient is 0 is left out, so that p = y has a gradient. Times
    ∂p/∂z = p(1 − p) it is p − y, the gradient by the logit.
    """
    _check_binary(probabilities, targets)
    y, p = targets.to(probabilities.dtype), probabilities
    yes = torch.where(y == 0, 0.0, y / p)
    no = torch.where(y == 1, 0.0, (1 - y) / (1 - p))
    return no - yes


# -- Divergence: from one distribution to another -------------------------------------


def kl_divergence(
    logits: Float[Tensor, "*targets classes"],
    teacher_logits: Float[Tensor, "*targets classes"],
    *,
    temperature: float = 1.0,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """T²·KL(teacher ‖ student) of the two softmaxes at temperature T, in nats.

    KL(t ‖ s) = Σ t·(log t − log s), what it costs to code what t emits with the code
    of s, above the least. The gradient of softmax(z/T) shrinks like 1/T², so that T²
    keeps the weight of this loss against others at any T (Hinton et al. 2015,
    section 2). No gradient flows to the teacher. A class that it rules out (a logit of
    −∞) costs nothing, whatever the student says: 0·log 0 is 0.

    "mean" is over distributions: what PyTorch calls "batchmean", on rows flattened to
    two dimensions. Its "mean" divides by the number of classes as well.

    Raises:
        ValueError: the shapes differ, or the temperature is not positive and finite.
    """
    _check_divergence(logits, teacher_logits, temperature)
    log_s = (_at_least_float32(logits) / temperature).log_softmax(dim=-1)
    teacher = _at_least_float32(teacher_logits.detach())
    log_t = (teacher / temperature).log_softmax(dim=-1)
    above = (log_t - log_s).masked_fill(log_t == -math.inf, 0.0)
    losses = temperature**2 * (log_t.exp() * above).sum(dim=-1)
    return _reduce(losses, None, reduction)


def kl_divergence_gradient(
    logits: Float[Tensor, "*targets classes"],
    teacher_logits: Float[Tensor, "*targets classes"],
    *,
    temperature: float = 1.0,
) -> Float[Tensor, "*targets classes"]:
    """∂/∂logits of the sum of `kl_divergence`: T·(softmax(z/T) − softmax(teacher/T)).

    The log t term is constant, which leaves a cross-entropy with a soft target: its
    gradient by z/T is s − t, by z that over T, and T² multiplies the loss.
    """
    _check_divergence(logits, teacher_logits, temperature)
    s = (_at_least_float32(logits) / temperature).softmax(dim=-1)
    t = (_at_least_float32(teacher_logits) / temperature).softmax(dim=-1)
    return temperature * (s - t)


# -- What a loss means: nats, bits, perplexity ----------------------------------------


def bits(nats: Quantity) -> Quantity:
    """nats / ln 2: a bit decides between two, a nat between e."""
    return nats / math.log(2)


def nats(bits: Quantity) -> Quantity:
    """bits · ln 2."""
    return bits * math.log(2)


def perplexity(nats_per_token: float) -> float:
    """exp(loss): between how many equally likely tokens the model hesitates.

    Of the *mean* loss; the mean of the perplexities of batches is another, larger
    number. Not comparable between vocabularies: bits per byte are.
    """
    try:
        return math.exp(nats_per_token)
    except OverflowError:
        return math.inf


def bits_per_byte(total_nats: float, n_bytes: int) -> float:
    """The loss over a whole text as bits per byte of its UTF-8: 8 is no compression.

    Raises:
        ValueError: n_bytes is not positive.
    """
    _check_positive(n_bytes, "n_bytes")
    return bits(total_nats) / n_bytes


def bits_per_character(total_nats: float, n_characters: int) -> float:
    """The loss over a whole text as bits per character (Unicode code point).

    Raises:
        ValueError: n_characters is not positive.
    """
    _check_positive(n_characters, "n_characters")
    return bits(total_nats) / n_characters


# -- What they share ------------------------------------------------------------------


def _reduce(losses: Tensor, counted: Tensor | None, reduction: Reduction) -> Tensor:
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if reduction == "mean":
        if counted is None:
            return losses.sum() / max(losses.numel(), 1)
        return losses.sum() / counted.sum().clamp(min=1)
    raise ValueError(f"reduction must be none, sum or mean, got {reduction!r}")


def _at_least_float32(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _x_log_y(x: Tensor, y: Tensor) -> Tensor:
    """x·log y, and 0 with gradient 0 where x is 0 (torch.xlogy has NaN there)."""
    return x * torch.where(x == 0, 1.0, y).log()


# -- What can be wrong with the arguments ---------------------------------------------


def _check_targets(scores: Tensor, targets: Tensor, ignore_index: int) -> None:
    if scores.ndim < 1 or scores.shape[:-1] != targets.shape:
        raise ValueError(
            "there must be one target per row of classes; got targets "
            f"{tuple(targets.shape)}, scores {tuple(scores.shape)}"
        )
    if targets.is_floating_point():
        raise ValueError(f"targets must be the numbers of classes, got {targets.dtype}")
    if not _values_are_free(targets):
        return
    n_classes = scores.shape[-1]
    wrong = (targets != ignore_index) & ((targets < 0) | (targets >= n_classes))
    if wrong.any():
        raise ValueError(
            f"targets must be in 0 … {n_classes - 1}, or {ignore_index} to be ignored; "
            f"got {int(targets[wrong][0])}"
        )


def _check_smoothing(label_smoothing: float) -> None:
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must be in 0 … 1, got {label_smoothing}")


def _check_binary(scores: Tensor, targets: Tensor) -> None:
    if scores.shape != targets.shape:
        raise ValueError(
            f"there must be one target per score; got targets {tuple(targets.shape)}, "
            f"scores {tuple(scores.shape)}"
        )
    if targets.dtype != torch.bool:
        _check_unit_interval("targets", targets)


def _check_probabilities(probabilities: Tensor, sum_to_one: bool = False) -> None:
    _check_unit_interval("probabilities", probabilities)
    if sum_to_one and _values_are_free(probabilities):
        off = (probabilities.sum(dim=-1) - 1).abs().max().item()
        # far above the rounding of a softmax in bfloat16, far below that of logits
        if not off < 0.02:
            raise ValueError(f"probabilities must sum to 1 in each row; off by {off:g}")


def _check_unit_interval(name: str, values: Tensor) -> None:
    if _values_are_free(values):
        outside = ~((values >= 0) & (values <= 1))  # NaN is outside too
        if outside.any():
            wrong = values[outside][0].item()
            raise ValueError(f"{name} must be in 0 … 1, got {wrong:g}")


def _values_are_free(x: Tensor) -> bool:
    return (
        x.device.type == "cpu" and x.numel() > 0 and not torch.compiler.is_compiling()
    )


def _check_divergence(student: Tensor, teacher: Tensor, temperature: float) -> None:
    if student.shape != teacher.shape or student.ndim < 1:
        raise ValueError(
            "logits and teacher_logits must have the same shape; got "
            f"{tuple(student.shape)} and {tuple(teacher.shape)}"
        )
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be positive and finite, got {temperature}")


def _check_positive(n: int, name: str) -> None:
    if n <= 0:
        raise ValueError(f"{name} must be positive, got {n}")
