"""How far a run is: losses, the best model so far, and what of both is on disk."""

import math
import os
import time
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lmlib.training import parallel
from lmlib.training.checkpoints import (
    RunFolder,
    load_model_state,
    model_state,
    read_history,
)
from lmlib.training.settings import Settings

Scores = dict[str, float]


@dataclass
class Run:
    """What came of a training.

    Attributes:
        steps: updates made, fewer than asked for if it stopped early.
        best_step, best_scores: of the best validation; None without validation.
        history: a dict for each step, with `step`, `losses` (nats per target of each
            part), `lr`, `gradient` (its norm before clipping) and `seconds` since the
            start; and one for each validation, with `step`, `validation` and `best`.
    """

    steps: int
    best_step: int | None
    best_scores: Scores | None
    history: list[dict[str, Any]] = field(repr=False)

    def losses(self, part: str) -> list[float]:
        """The loss of a part at every step, in nats per target."""
        return [line["losses"][part] for line in self.history if "losses" in line]


class Progress:
    """How far a run is, and what of it is on disk (process 0 alone writes)."""

    FLUSH = 10  # steps between looks at the losses: a look waits for the device

    def __init__(
        self,
        model: nn.Module,
        optimizers: list[Optimizer],
        settings: Settings,
        folder: str | os.PathLike[str] | None,
        started_with: dict[str, Any],
        resume: bool,
    ) -> None:
        if resume and folder is None:
            raise ValueError("resume needs the folder of the run")
        self._model, self._optimizers, self._settings = model, optimizers, settings
        self.step = 0
        self._best: dict[str, Any] = {"best_step": None, "best_scores": None}
        self._without_gain = 0
        self._began = time.perf_counter()
        self._history: list[dict[str, Any]] = []
        self._new: list[dict[str, Any]] = []  # lines that are not on disk yet
        self._unread: list[tuple[dict[str, Any], dict[str, Tensor], Tensor]] = []
        self._best_state: dict[str, Tensor] = {}
        self._files = None if folder is None else RunFolder(folder)
        if self._files is not None:
            if parallel.rank() == 0:
                self._files.start(started_with, resume=resume)
            parallel.wait_for_all()
            if (checkpoint := self._files.checkpoint()) is not None:
                state = self._files.load(checkpoint, model, optimizers)
                self.step, self._without_gain = state["step"], state["without_gain"]
                self._best = {key: state[key] for key in self._best}
                self._began -= state["seconds"]
            if parallel.rank() == 0:
                self._files.cut_history(self.step)
            parallel.wait_for_all()
            self._history = read_history(self._files.folder)

    @property
    def stopped(self) -> bool:
        """No further step: early, or at the end."""
        patience = self._settings.patience
        early = patience is not None and self._without_gain >= patience
        return early or self.step >= self._settings.steps

    def stepped(
        self, losses: dict[str, Tensor], lr: float, norm: Tensor
    ) -> dict[str, float] | None:
        """Count a step; now and then, the losses of the last one in nats per target."""
        self.step += 1
        line = {"step": self.step, "lr": lr, "seconds": self._seconds()}
        self._unread.append((line, losses, norm))
        if self.step % self.FLUSH and not self.stopped:
            return None
        self._read()
        latest: dict[str, float] = self._new[-1]["losses"]
        return latest

    def validated(self, scores: Scores) -> None:
        """Keep the model if it is the best so far, and save a checkpoint."""
        settings = self._settings
        if settings.score not in scores:
            raise ValueError(
                f"score must be one of {', '.join(scores)}, got {settings.score!r}"
            )
        if not math.isfinite(scores[settings.score]):
            raise FloatingPointError(
                f"the validation at step {self.step} gives {scores}"
            )
        self._read()
        sign = 1 if settings.higher_is_better else -1
        before = self._best["best_scores"]
        gain = (
            before is None
            or sign * scores[settings.score] > sign * before[settings.score]
        )
        self._without_gain = 0 if gain else self._without_gain + 1
        if gain:
            self._best = {"best_step": self.step, "best_scores": scores}
            if self._files is None:
                state = model_state(self._model)
                self._best_state = {k: v.cpu().clone() for k, v in state.items()}
            elif parallel.rank() == 0:
                self._files.save_best(self._model, self.step, scores)
        self._new.append({"step": self.step, "validation": scores, "best": gain})
        self.save()

    def save(self) -> None:
        """Write what is new, and a checkpoint."""
        self._read()
        if self._files is not None and parallel.rank() == 0:
            self._files.append(self._new)
            state = {
                "step": self.step,
                "without_gain": self._without_gain,
                "seconds": self._seconds(),
                **self._best,
            }
            self._files.save(self._model, self._optimizers, state)
        self._history += self._new
        self._new = []

    def finish(self) -> Run:
        """Give the model the weights of its best validation, if there was one."""
        self._read()
        best = self._best["best_step"]
        parallel.wait_for_all()
        if best is not None and self._files is not None:
            self._files.load_best(self._model, best)
        elif best is not None:
            load_model_state(self._model, self._best_state)
        return Run(self.step, history=self._history + self._new, **self._best)

    def _read(self) -> None:
        """Fetch the losses of the last steps from the device, of all processes."""
        if not self._unread:
            return
        parts = sorted(self._unread[0][1])
        rows = [
            torch.stack([losses[p] for p in parts]) for _, losses, _ in self._unread
        ]
        losses = parallel.total(torch.stack(rows).float()).tolist()
        norms = torch.stack([norm for _, _, norm in self._unread]).tolist()
        for (line, _, _), row, norm in zip(self._unread, losses, norms, strict=True):
            line["losses"] = dict(zip(parts, row, strict=True))
            line["gradient"] = norm
            self._new.append(line)
            if not math.isfinite(sum(row) + norm):
                raise FloatingPointError(
                    f"at step {line['step']} the losses are {line['losses']} and the "
                    f"norm of the gradient is {norm}: a lower learning rate, a longer "
                    "warmup or a smaller clip may help"
                )
        self._unread = []

    def _seconds(self) -> float:
        return round(time.perf_counter() - self._began, 3)
