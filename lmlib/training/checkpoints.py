"""What a run leaves on disk, such that a kill at any moment leaves it whole.

    folder/settings.json      what the run was started with
    folder/history.jsonl      a line for each step and each validation
    folder/step-000200/       state.json, model.safetensors, optimizers.safetensors
    folder/best-000150/       best.json, model.safetensors

A checkpoint is written under a temporary name, flushed to the disk, and renamed as a
whole; only then are older ones removed. What is named `step-…` is therefore complete.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

# -- State as flat tensors ------------------------------------------------------------


def model_state(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name; those that modules share have one, the first."""
    seen: set[int] = set()
    state = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            state[name] = tensor.detach()
    return state


def load_model_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy `state` into the model.

    Raises:
        ValueError: names or shapes are not those of `model_state(model)`.
    """
    own = model_state(model)
    if own.keys() != state.keys():
        different = sorted(own.keys() ^ state.keys())
        raise ValueError(
            f"state is of another model: {len(different)} names differ, such as "
            f"{', '.join(different[:3])}"
        )
    with torch.no_grad():
        for name, tensor in own.items():
            if tensor.shape != state[name].shape:
                raise ValueError(
                    f"state has shape {tuple(state[name].shape)} for {name}, expected "
                    f"{tuple(tensor.shape)}"
                )
            tensor.copy_(state[name])


def optimizer_state(optimizers: list[Optimizer]) -> dict[str, Tensor]:
    """Moments by name: optimizer, parameter, moment."""
    return {
        f"{i}.{parameter}.{name}": value
        for i, optimizer in enumerate(optimizers)
        for parameter, moments in optimizer.state_dict()["state"].items()
        for name, value in moments.items()
    }


def load_optimizer_state(
    optimizers: list[Optimizer], state: Mapping[str, Tensor]
) -> None:
    """Give the optimizers of the same model the moments of `optimizer_state`."""
    moments: list[dict[int, dict[str, Tensor]]] = [{} for _ in optimizers]
    for key, value in state.items():
        i, parameter, name = key.split(".")
        moments[int(i)].setdefault(int(parameter), {})[name] = value
    for optimizer, own in zip(optimizers, moments, strict=True):
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": own, "param_groups": groups})


# -- Files ----------------------------------------------------------------------------


def write_json(path: Path, content: Any) -> None:
    """Write JSON under a temporary name, and rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(content, indent=2) + "\n")
    _flush(temporary)
    temporary.replace(path)


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file; tensors may be on any device and need not be dense.

    Raises:
        OSError: it cannot be written, such as for want of room.
    """
    dense = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    try:
        save_file(dense, path)
    except SafetensorError as error:  # which is no OSError
        raise OSError(f"{path} cannot be written: {error}") from None


def write_folder(folder: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a folder that then appears as `folder`, whole or not at all."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    write(temporary)
    for path in temporary.iterdir():
        _flush(path)
    _flush(temporary)
    remove_folder(folder)
    temporary.rename(folder)
    _flush(folder.parent)


def remove_folder(folder: Path) -> None:
    """Remove a folder, which is gone under its name before its files are."""
    if folder.exists():
        doomed = folder.with_name(f".{folder.name}.{os.getpid()}.old.tmp")
        folder.rename(doomed)
        shutil.rmtree(doomed)


def _flush(path: Path) -> None:
    # Without this a power failure could leave a name without its content.
    if path.is_dir() and os.name == "nt":  # where folders cannot be flushed
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# -- A run's folder -------------------------------------------------------------------


class RunFolder:
    """The files of one run; see the module."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)

    def start(self, settings: Any, *, resume: bool) -> None:
        """Begin a run, or make sure that it is this one which is resumed.

        One that has made all its steps may be given more of them.

        Raises:
            FileExistsError: there is a run already, and `resume` is not set.
            ValueError: `resume` is set, and the run was started with other settings.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        for leftover in self.folder.glob(".*.tmp"):
            if leftover.is_dir():
                shutil.rmtree(leftover)
            else:
                leftover.unlink()
        path = self.folder / "settings.json"
        if not path.exists():
            write_json(path, settings)
            return
        if not resume:
            raise FileExistsError(
                f"{self.folder} holds a run already: resume it, or choose another "
                "folder"
            )
        # Through JSON, in which a tuple is a list.
        before, now = json.loads(path.read_text()), json.loads(json.dumps(settings))
        if self._is_further(before, now):
            write_json(path, settings)
        elif changes := differences(before, now):
            raise ValueError(
                f"the run in {self.folder} was started with other settings; resuming "
                "would mix the two. " + "; ".join(changes)
            )

    def _is_further(self, before: Any, now: Any) -> bool:
        """Whether these are more steps, and else the same, of a run that has ended.

        The rate may rise for longer in a longer run.
        """
        own = {"steps", "warmup"}
        if not all(own <= run.get("settings", {}).keys() for run in (before, now)):
            return False
        as_before = {name: before["settings"][name] for name in own}
        rest = {**now, "settings": {**now["settings"], **as_before}}
        last, done = as_before["steps"], self.checkpoint()
        ended = done is not None and done.name == f"step-{last:09}"
        return rest == before and ended and now["settings"]["steps"] > last

    def checkpoint(self) -> Path | None:
        """The newest one."""
        return max(self.folder.glob("step-*"), default=None)

    def best(self, step: int) -> Path:
        return self.folder / f"best-{step:09}"

    def save(
        self, model: nn.Module, optimizers: list[Optimizer], state: dict[str, Any]
    ) -> None:
        """Write the checkpoint of `state["step"]`; remove the one before.

        Of the best models only that of `state["best_step"]` remains.
        """

        def write(folder: Path) -> None:
            write_tensors(folder / "model.safetensors", model_state(model))
            moments = optimizer_state(optimizers)
            write_tensors(folder / "optimizers.safetensors", moments)
            write_json(folder / "state.json", state)

        now = self.folder / f"step-{state['step']:09}"
        write_folder(now, write)
        keep = {now, self.best(state["best_step"] or 0)}
        for old in (*self.folder.glob("step-*"), *self.folder.glob("best-*")):
            if old not in keep:
                remove_folder(old)

    def load(
        self, folder: Path, model: nn.Module, optimizers: list[Optimizer]
    ) -> dict[str, Any]:
        """Read a checkpoint into model and optimizers; returns its state."""
        load_model_state(model, load_file(folder / "model.safetensors"))
        load_optimizer_state(optimizers, load_file(folder / "optimizers.safetensors"))
        state: dict[str, Any] = json.loads((folder / "state.json").read_text())
        return state

    def save_best(self, model: nn.Module, step: int, scores: dict[str, float]) -> None:
        def write(folder: Path) -> None:
            write_tensors(folder / "model.safetensors", model_state(model))
            write_json(folder / "best.json", {"step": step, "scores": scores})

        write_folder(self.best(step), write)

    def load_best(self, model: nn.Module, step: int) -> None:
        load_model_state(model, load_file(self.best(step) / "model.safetensors"))

    # -- History: a line of JSON for each event, in order.

    def append(self, lines: list[dict[str, Any]]) -> None:
        with (self.folder / "history.jsonl").open("a") as file:
            file.write("".join(json.dumps(line) + "\n" for line in lines))

    def cut_history(self, step: int) -> None:
        """Forget what came after `step`; a line torn by a kill goes as well."""
        path = self.folder / "history.jsonl"
        kept = [line for line in read_history(self.folder) if line["step"] <= step]
        temporary = self.folder / f".history.{os.getpid()}.tmp"
        temporary.write_text("".join(json.dumps(line) + "\n" for line in kept))
        temporary.replace(path)


def read_history(folder: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The lines of a run's history, up to the first that is not whole."""
    path = Path(folder) / "history.jsonl"
    lines = []
    for line in path.read_text().split("\n") if path.exists() else []:
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines


def differences(before: Any, now: Any, name: str = "") -> list[str]:
    """What differs between two JSON values, each in words: "lr: 0.1, now 0.2"."""
    if isinstance(before, dict) and isinstance(now, dict):
        return [
            change
            for key in sorted(before.keys() | now.keys())
            for change in differences(
                before.get(key, "absent"),
                now.get(key, "absent"),
                f"{name}.{key}" if name else key,
            )
        ]
    return [] if before == now else [f"{name}: {before!r}, now {now!r}"]
