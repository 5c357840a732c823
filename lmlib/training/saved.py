"""What is left when a training is over: a folder that holds a model.

    config.json, model.safetensors   in the Hugging Face layout (`lmlib.models.hub`)
    quantized.safetensors            or the weights as codes, if it was quantized
    tokenizer.json                   see `lmlib.data.tokenizers`
    head.safetensors                 the head of a task, if it was fine-tuned to one
    lmlib.json                       how it was made; kind, classes, length of the task

Checkpoints of a training that goes on are `lmlib.training.checkpoints`.
"""

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from lmlib.compression.quantize import quantize_model, restore
from lmlib.compression.stored import load_quantized, save_quantized
from lmlib.data.cache import replacing
from lmlib.data.tokenizers import Tokenizer, load_tokenizer
from lmlib.models import hub
from lmlib.models.bert import Albert, Bert, Roberta
from lmlib.models.gpt import GPT
from lmlib.models.llama import Llama
from lmlib.models.t5 import T5
from lmlib.training.checkpoints import load_model_state, write_json, write_tensors
from lmlib.training.finetune import Pretrained, new_head
from lmlib.training.pretrain import WithHeads
from lmlib.training.tasks import KINDS

QUANTIZED = "quantized.safetensors"


@dataclass
class SavedModel:
    """What `load` finds in a folder.

    Attributes:
        model: as in the Hugging Face layout; or, fine-tuned, backbone and
            `heads["task"]`.
        family: of the backbone: bert, roberta, albert, gpt2, t5, llama, qwen2, qwen3.
        made: the content of lmlib.json; empty for a checkpoint from elsewhere.
    """

    model: nn.Module
    tokenizer: Tokenizer
    family: str
    made: dict[str, Any] = field(default_factory=dict)


def save(
    model: nn.Module,
    tokenizer: Tokenizer,
    folder: str | os.PathLike[str],
    made: Mapping[str, Any] | None = None,
    *,
    family: str = "bert",
) -> None:
    """Write a model, its tokenizer, and `made`: how it was made.

    Of a `WithHeads` the backbone is kept, as one of `family`, and `heads["task"]`; so
    of replaced-token detection the discriminator without heads. A model, backbone or
    head that torch.compile or DistributedDataParallel wraps is written without it.

    Raises:
        ValueError: the Hugging Face layout has no place for the model (PanGu-α), or for
            LoRA's matrices, which are to be merged first.
    """
    folder = Path(folder)
    kept = model = hub.unwrapped(model)
    if isinstance(model, WithHeads):
        kept = _around(hub.unwrapped(model.backbone), family)
    special = tokenizer.special
    ids = {f"{name}_token_id": i for name, i in vars(special).items()}
    if isinstance(kept, T5):
        ids["decoder_start_token_id"] = special.pad
    hub.save(kept, folder, ids)
    (folder / QUANTIZED).unlink(missing_ok=True)  # of another model that was here
    tokenizer.save(folder / "tokenizer.json")
    if isinstance(model, WithHeads) and "task" in model.heads:
        state = hub.unwrapped(model.heads["task"]).state_dict()
        with replacing(folder / "head.safetensors") as temporary:
            write_tensors(temporary, state)
    weights = (folder / "model.safetensors").read_bytes()
    sha256 = hashlib.sha256(weights).hexdigest()
    write_json(
        folder / "lmlib.json",
        {**(made or {}), "weights_sha256": sha256, **circumstances()},
    )


def save_quantized_model(
    model: nn.Module,
    tokenizer: Tokenizer,
    folder: str | os.PathLike[str],
    made: Mapping[str, Any] | None = None,
    *,
    family: str = "bert",
    bits: int = 8,
    axis: int | None = None,
    entropy_coded: bool = True,
) -> int:
    """As `save`, with the weights as codes; the number of bytes that they take.

    The head of a task stays as it is. `load` gives the model of the rounded weights.

    Raises:
        ValueError: as `save` and `lmlib.compression.quantize.quantize`.
    """
    folder = Path(folder)
    save(model, tokenizer, folder, made, family=family)
    weights = folder / "model.safetensors"
    with safe_open(weights, framework="pt") as file:
        names = sorted(file.keys())
    state = quantize_model(hub.load(folder), bits, axis=axis)
    size = save_quantized(
        folder / QUANTIZED, state, entropy_coded=entropy_coded, also={"names": names}
    )
    weights.unlink()
    return size


def load(
    folder: str | os.PathLike[str], device: torch.device | str | None = None
) -> SavedModel:
    """Read what the two above wrote, or a checkpoint from the Hugging Face hub.

    Raises:
        FileNotFoundError, ValueError: as `hub.load`, `load_quantized` and
            `load_tokenizer`; a head or lmlib.json that does not fit. The message names
            the folder.
    """
    folder = Path(folder)
    try:
        return _load(folder, device)
    except (ValueError, RecursionError) as error:  # of JSON that is nested too deeply
        if str(folder) in str(error):
            raise
        raise ValueError(f"{folder}: {error}") from None


def _load(folder: Path, device: torch.device | str | None) -> SavedModel:
    if (folder / QUANTIZED).is_file():
        rounded, also = load_quantized(folder / QUANTIZED)
        pretrained = hub.blank(folder, also["names"])
        restore(pretrained, rounded)
    else:
        pretrained = hub.load(folder)
    model: nn.Module = pretrained
    made: dict[str, Any] = {}
    if (folder / "lmlib.json").is_file():
        made = _read_made(folder / "lmlib.json")
    if (file := folder / "head.safetensors").is_file():
        if "task" not in made:
            raise ValueError(f"{folder / 'lmlib.json'} lacks the task of {file.name}")
        head = new_head(pretrained, made["task"]["kind"], len(made["task"]["names"]))
        try:
            state = load_file(file)
        except SafetensorError as error:  # which is no ValueError
            raise ValueError(f"{file} is damaged: {error}") from None
        load_model_state(head, state)
        model = WithHeads(pretrained.backbone, {"task": head}).eval()
    if device is not None:
        model = model.to(device)
    return SavedModel(model, load_tokenizer(folder), pretrained.family, made)


def _read_made(path: Path) -> dict[str, Any]:
    """The content of lmlib.json, whose task is whole, if there is one."""
    try:
        made = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    task = made.get("task", {}) if isinstance(made, dict) else None
    good = isinstance(task, dict) and (
        not task
        or (
            task.get("kind") in KINDS
            and isinstance(task.get("names"), list)
            and all(isinstance(name, str) for name in task["names"])
            and isinstance(task.get("length", 0), int)
        )
    )
    if not good:
        raise ValueError(f"{path} does not say how a model was made, or its task")
    return dict(made)


def circumstances() -> dict[str, Any]:
    """Where and when a result is made: what to record beside it."""
    return {
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, "
        f"{torch.backends.cpu.get_cpu_capability()}"
        + (f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _around(backbone: Any, family: str) -> Pretrained:
    """A model of `family` that has this backbone, and no head of its own."""
    with torch.device("meta"):
        if family in ("gpt2", "llama", "qwen2", "qwen3"):
            model = (GPT if family == "gpt2" else Llama)(backbone.config)
            model.backbone = backbone
            model.heads["lm"].embedding = backbone.embeddings.token
            return model
        classes = {"bert": Bert, "roberta": Roberta, "albert": Albert}
        if family not in classes:
            raise ValueError(
                f"family must be one of {', '.join(classes)}, gpt2, llama, qwen2, qwen3"
            )
        encoder = classes[family](backbone.config, heads=())
        encoder.backbone = backbone
        return encoder
