"""The training loop: one for pre-training, fine-tuning and distillation (section 3.2).

A step: draw the batch of this step; sum the losses over its targets, part by part, in
pieces if memory or processes ask for it; divide by the number of targets in the *whole*
batch; differentiate; clip; move the parameters. Since sums add, neither accumulation
nor the number of processes changes what is computed, up to rounding.

Nothing in a step depends on anything but the parameters, the optimizers' moments, and
the step's number: a run that was killed resumes, on a CPU to the last bit.
"""

import math
import os
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lmlib.losses import bits
from lmlib.objectives.objective import Batch, Objective, minimised
from lmlib.training import parallel
from lmlib.training.muon import has_bfloat16
from lmlib.training.optimizers import (
    learning_rate_share,
    make_optimizers,
    set_learning_rate,
)
from lmlib.training.progress import Progress, Run, Scores
from lmlib.training.seeds import seed_everything
from lmlib.training.settings import Precision, Settings

Validate = Callable[[nn.Module], Scores]


def train(
    model: nn.Module,
    objective: Objective,
    settings: Settings,
    *,
    validate: Validate | None = None,
    device: torch.device | str | None = None,
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    configuration: Mapping[str, Any] | None = None,
    save_every: int = 500,
    progress: bool | None = None,
) -> Run:
    """Train `model`, in place, on `objective`; with `validate` it ends as its best.

    Under `torchrun`, call it in `lmlib.training.parallel.processes()`.

    Parameters:
        validate: gives scores of the model on a validation set, see `Settings.score`
            and `validation_loss`. It is called in evaluation mode, without gradients.
        device: where to; where the model is, by default.
        folder: where checkpoints, history and the best model are kept.
        resume: go on from the checkpoint in `folder`, or start if there is none. A run
            that has made all its steps can be given more: they are made from where it
            ended, with the learning rates that the longer run has there.
        configuration: what else, as JSON, must be the same for a run to be resumed:
            sizes of the model, digest of the data.
        save_every: steps between checkpoints; there is one at each validation too.
        progress: whether to show a bar; None for where there is a terminal.

    Raises:
        FileExistsError: `folder` has a run, and `resume` is not set.
        ValueError: that run had other settings, or another model.
        FloatingPointError: a loss is not finite; the last checkpoint is from before.
    """
    place = next(model.parameters()).device if device is None else torch.device(device)
    model.to(place)
    optimizers = make_optimizers(
        model,
        lr=settings.lr,
        betas=settings.betas,
        eps=settings.eps,
        weight_decay=settings.weight_decay,
        muon=settings.optimizer == "muon",
        muon_lr=settings.muon_lr,
        muon_dtype=torch.float32 if settings.precision == "fp32" else None,
    )
    started_with = {
        "settings": asdict(settings),
        "configuration": dict(configuration or {}),
    }
    record = Progress(model, optimizers, settings, folder, started_with, resume)
    forward = _shared_by_processes(_Forward(model, objective))
    steps = range(record.step, 0 if record.stopped else settings.steps)
    ahead = _batches_ahead(objective, steps, settings.accumulate, place)
    with closing(ahead) as batches, _bar(settings, record.step, progress) as bar:
        for step, pieces, counts in batches:
            model.train()
            share = learning_rate_share(
                step,
                settings.steps,
                warmup=settings.warmup,
                decay=settings.decay,
                final=settings.final_lr,
            )
            set_learning_rate(optimizers, share)
            losses, norm = _gradients(
                forward, objective, pieces, counts, settings, step, place
            )
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
            bar.update()
            if latest := record.stepped(losses, share * settings.lr, norm):
                shown = (f"{part} {bits(x):.3f}" for part, x in latest.items())
                bar.set_postfix_str(", ".join(shown) + " bits per target")
            last = record.step == settings.steps
            every = settings.validate_every
            if validate and (last or (every and record.step % every == 0)):
                record.validated(parallel.from_first(scores_of(model, validate)))
                if record.stopped:
                    break
            elif last or record.step % save_every == 0:
                record.save()
    return record.finish()


def scores_of(model: nn.Module, validate: Validate) -> Scores:
    """Call `validate` as `train` does: evaluation mode, no gradients, then back."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            return validate(model)
    finally:
        model.train(training)


def validation_loss(
    objective: Objective,
    batches: Callable[[], Iterable[Batch]],
    *,
    precision: Precision = "auto",
) -> Validate:
    """Scores in nats per target: the loss of each part, and "loss", what is minimised.

    `batches` gives the same ones each time. They are divided among the processes. A
    mean is over all targets, not of the means of batches.
    """

    def validate(model: nn.Module) -> Scores:
        device = next(model.parameters()).device
        n: dict[str, int] = {}
        sums: dict[str, Tensor] = {}
        for i, batch in enumerate(batches()):
            for part, count in objective.counts(batch).items():
                n[part] = n.get(part, 0) + count
                sums.setdefault(part, torch.zeros((), device=device))
            if i % parallel.world_size() == parallel.rank():
                with _autocast(precision, device):
                    losses = objective.losses(model, _to(batch, device))
                for part, loss in losses.items():
                    sums[part] += loss
        if not n:
            raise ValueError("batches must give at least one batch")
        together = parallel.total(torch.stack([sums[part] for part in sorted(n)]))
        means = {
            part: loss / max(n[part], 1)
            for part, loss in zip(sorted(n), together.cpu().double(), strict=True)
        }
        scores = {**means, "loss": minimised(objective, means)}
        return {part: score.item() for part, score in scores.items()}

    return validate


# -- One step -------------------------------------------------------------------------


class _Forward(nn.Module):
    """The losses of an objective as a module's forward pass, which DDP can wrap."""

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.model = model
        self._losses = objective.losses

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return self._losses(self.model, batch)


def _shared_by_processes(forward: nn.Module) -> nn.Module:
    """With several processes: the backward pass adds up their gradients."""
    if parallel.world_size() == 1:
        return forward
    # Heads for which this objective has no part get no gradient: "unused".
    return DistributedDataParallel(forward, find_unused_parameters=True)


def _gradients(
    forward: nn.Module,
    objective: Objective,
    pieces: list[Batch],
    counts: dict[str, int],
    settings: Settings,
    step: int,
    device: torch.device,
) -> tuple[dict[str, Tensor], Tensor]:
    """Leave gradients in the parameters; this process's losses, and their norm.

    `counts` are those of the whole batch, of which `pieces` are what this process has
    to do; the losses are nats per target of the whole.
    """
    seed_everything([settings.seed, 1 + step, parallel.rank()])
    totals: dict[str, Tensor] = {}
    for i, piece in enumerate(pieces):
        last = i == len(pieces) - 1
        with (
            forward.no_sync()
            if isinstance(forward, DistributedDataParallel) and not last
            else nullcontext()
        ):
            with _autocast(settings.precision, device):
                sums = forward(_to(piece, device))
            if sums.keys() != counts.keys():
                raise ValueError(
                    f"objective has losses for {sorted(sums)}, counts for "
                    f"{sorted(counts)}"
                )
            means = {part: s / max(counts[part], 1) for part, s in sums.items()}
            # DDP takes the mean over processes; theirs are parts of one sum.
            (parallel.world_size() * minimised(objective, means)).backward()
        for part, mean in means.items():
            totals[part] = totals.get(part, 0.0) + mean.detach()
    norm = nn.utils.clip_grad_norm_(
        forward.parameters(), math.inf if settings.clip is None else settings.clip
    )
    return totals, norm


def _autocast(precision: Precision, device: torch.device) -> torch.autocast:
    wanted = precision == "bf16" or (precision == "auto" and has_bfloat16(device))
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted)


def _to(batch: Batch, device: torch.device) -> Batch:
    return {k: v.to(device, non_blocking=True) for k, v in batch.items()}


def _batches_ahead(
    objective: Objective, steps: range, accumulate: int, device: torch.device
) -> Generator[tuple[int, list[Batch], dict[str, int]]]:
    """Step, the pieces of its batch for this process, and the counts of all of it.

    The batch of the next step is made while this one is computed.
    """
    parts = parallel.world_size() * accumulate
    first = parallel.rank() * accumulate

    def make(step: int) -> tuple[list[Batch], dict[str, int]]:
        batch = objective.batch(step)
        pieces = [parallel.rows(batch, first + i, parts) for i in range(accumulate)]
        if device.type == "cuda":  # so that no copy to the device need be waited for
            pieces = [{k: v.pin_memory() for k, v in p.items()} for p in pieces]
        return pieces, objective.counts(batch)

    with ThreadPoolExecutor(1) as worker:
        following = None
        for step in steps:
            made = following or worker.submit(make, step)
            following = worker.submit(make, step + 1) if step + 1 in steps else None
            yield step, *made.result()


def _bar(settings: Settings, done: int, progress: bool | None) -> Any:
    from tqdm import tqdm  # type: ignore[import-untyped]

    hidden = True if parallel.rank() else None if progress is None else not progress
    return tqdm(total=settings.steps, initial=done, disable=hidden, unit="step")
