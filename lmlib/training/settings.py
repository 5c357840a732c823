"""What a training run is started with."""

from dataclasses import dataclass
from typing import Literal

from lmlib.training.optimizers import Decay

Precision = Literal["auto", "fp32", "bf16"]


@dataclass(frozen=True)
class Settings:
    """All that a run's result depends on, besides model and objective.

    Parameters:
        steps: parameter updates.
        lr: peak learning rate.
        optimizer: AdamW, or Muon for the hidden matrices and AdamW for the rest.
        muon_lr: peak rate of Muon; `lr` by default.
        betas, eps, weight_decay: of AdamW; Muon has the same decay.
        warmup: steps in which the learning rate rises.
        decay: how it falls after that, to `final_lr` · lr.
        clip: largest norm of the gradient of all parameters together; None for any.
        accumulate: pieces that each process's rows are worked on in.
        precision: bf16 is autocast: products in bfloat16, parameters in float32. "auto"
            takes it where the device has units for it. Muon makes matrices orthogonal
            in bfloat16 there, but with "fp32".
        validate_every: steps between validations; there is one at the end in any case.
        score: which of the validation's scores decides what is best.
        higher_is_better: whether the score is an accuracy rather than a loss.
        patience: stop after so many validations without a new best; None for never.
        seed: of dropout and all else that is random in the model.

    Raises:
        ValueError: a field out of its range.
    """

    steps: int
    lr: float = 1e-3
    optimizer: Literal["adamw", "muon"] = "adamw"
    muon_lr: float | None = None
    betas: tuple[float, float] = (0.9, 0.98)
    eps: float = 1e-8
    weight_decay: float = 0.01
    warmup: int = 0
    decay: Decay = "linear"
    final_lr: float = 0.0
    clip: float | None = 1.0
    accumulate: int = 1
    precision: Precision = "auto"
    validate_every: int | None = None
    score: str = "loss"
    higher_is_better: bool = False
    patience: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "accumulate", "validate_every", "patience"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        for name in ("lr", "muon_lr", "clip", "eps"):
            if (value := getattr(self, name)) is not None and not value > 0:
                raise ValueError(f"{name} must be positive, got {value}")
        for name in ("warmup", "weight_decay", "final_lr", "seed"):
            if (value := getattr(self, name)) < 0:
                raise ValueError(f"{name} must not be negative, got {value}")
        for name, allowed in (
            ("optimizer", ("adamw", "muon")),
            ("decay", ("linear", "cosine", "constant")),
            ("precision", ("auto", "fp32", "bf16")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} must be one of {', '.join(allowed)}, "
                    f"got {getattr(self, name)!r}"
                )
