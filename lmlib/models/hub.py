"""Read and write checkpoints in the layout of the Hugging Face hub.

A checkpoint is a folder with `config.json` and `model.safetensors` (or several files
and `model.safetensors.index.json`). `lmlib.models.layouts` knows the names that
`transformers` gives to the weights of BERT, RoBERTa, ALBERT, GPT-2, T5, Llama and what
is built like Llama; neither module needs `transformers`.

    model = load("bert-base-uncased")   # a local folder, such as a clone from the hub
    save(model, "my-bert")              # for `load`, or transformers' from_pretrained
"""

import json
import os
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from lmlib.data.cache import replacing
from lmlib.models.layouts import (
    FAMILIES,
    Layout,
    Model,
    Weight,
    family_of,
    plain_name,
    write_settings,
)


def load(
    folder: str | os.PathLike[str],
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Model:
    """The model in `folder`, in evaluation mode, with the heads that it holds.

    Checkpoints of the backbone alone (`BertModel`), old names of norms (`gamma`,
    `beta`), the prefixes of torch.compile and DistributedDataParallel, and a
    config.json without model_type are understood. Half-precision weights become `dtype`
    like all others. One tensor at a time is in memory twice.

    Raises:
        FileNotFoundError: no config.json, or no weights.
        ValueError: a model type or option that lmlib does not have; weights missing,
            too many, quantized, or of another shape; a pickle; a damaged file.
    """
    folder = Path(folder)
    if folder.is_file():
        raise ValueError(f"folder must be a checkpoint's folder, got the file {folder}")
    settings = _read_json(folder / "config.json")
    family = settings.get("model_type")
    if family is not None:  # before a pickle is asked to be converted for nothing
        _layout(folder, family)
    with ExitStack() as stack:
        readers = _open_weights(folder, stack)
        if family is None:
            family = settings["model_type"] = family_of(settings, readers)
        layout = _layout(folder, family)
        found = _canonical_names(layout, readers)
        stored = {name: readers[theirs] for name, theirs in found.items()}
        with torch.device("meta"):
            model = layout.make(settings, stored.keys())
        weights = layout.weights(model)
        _resolve_copies(stored, layout.copies(model))
        if "lm_head.weight" not in stored and "shared.weight" in stored:
            # T5 v1.1 as transformers 5 saves it before the two have parted.
            weights = [_from_shared(weight) for weight in weights]
        needed = {name for weight in weights for name in weight.theirs}
        _check_names(folder, needed, {n: found.get(n, n) for n in stored})
        for weight in weights:
            parts = [stored[n]() for n in weight.theirs]
            in_file = replace(
                weight, theirs=tuple(found.get(n, n) for n in weight.theirs)
            )
            _assign(model, in_file, parts, dtype, device)
    left = [name for name, p in model.named_parameters() if p.is_meta]
    assert not left, f"the layout of {family} lacks {left}"
    return model.eval()


def blank(folder: str | os.PathLike[str], names: Collection[str]) -> Model:
    """A model of the config.json in `folder`, its weights still to be filled in.

    `names` are those that `save` gave to the weights: they tell which heads it has.

    Raises:
        FileNotFoundError, ValueError: as `load`.
    """
    folder = Path(folder)
    settings = _read_json(folder / "config.json")
    layout = _layout(folder, settings.get("model_type"))
    with torch.device("meta"):
        model = layout.make(settings, set(names))
    return model.to_empty(device="cpu").eval()


def save(
    model: nn.Module,
    folder: str | os.PathLike[str],
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Write `model` to `folder`, which is made if it does not exist.

    Each file is written under a temporary name and renamed. `settings` are added to
    config.json, such as the ids of special tokens where they differ from the family's.
    What torch.compile or DistributedDataParallel made of a model is written as that
    model.

    Raises:
        ValueError: the Hugging Face layout has no place for this model, or for some of
            its weights, such as those of LoRA before they are merged.
    """
    model = unwrapped(model)
    if not isinstance(model, Model):
        raise ValueError(
            f"model must be of {', '.join(FAMILIES)}, got a {type(model).__name__}"
        )
    if model.family not in FAMILIES:
        raise ValueError(
            f"model must be of {', '.join(FAMILIES)}, got {model.family}, which "
            "transformers does not have"
        )
    config = write_settings(model) | dict(settings or {})
    state = {plain_name(name): p for name, p in model.named_parameters()}
    weights = FAMILIES[model.family].weights(model)
    _check_places(model.family, {weight.ours for weight in weights}, state.keys())
    tensors: dict[str, Tensor] = {}
    for weight in weights:
        parts = weight.parts(state[weight.ours].detach().cpu())
        for name, part in zip(weight.theirs, parts, strict=True):
            part = part.T if weight.transposed else part
            # A part is a view; safetensors wants tensors that share no memory.
            tensors[name] = part.clone(memory_format=torch.contiguous_format)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights_file = folder / "model.safetensors"
    try:
        with replacing(weights_file) as temporary:
            save_file(tensors, temporary, metadata={"format": "pt"})
    except SafetensorError as error:  # which is no OSError
        raise OSError(f"{weights_file} cannot be written: {error}") from None
    with replacing(folder / "config.json") as temporary:
        temporary.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def unwrapped(model: nn.Module) -> nn.Module:
    """What torch.compile or DistributedDataParallel was given, or one of the other."""
    # By name: to import torch.compile's class takes as long as torch itself.
    while [name for name, _ in model.named_children()] in (["_orig_mod"], ["module"]):
        (model,) = model.children()
    return model


# -- Files ----------------------------------------------------------------------------

_PICKLES = (".bin", ".pt", ".pth", ".ckpt")
#: Weights that other libraries wrote, by a part of their files' names: what reads them,
#: and how `from_pretrained` of transformers is told so.
_OTHERS = {
    ".msgpack": ("Flax", "from_flax=True"),
    ".h5": ("TensorFlow", "from_tf=True"),
    ".ckpt.": ("TensorFlow", "from_tf=True"),
    "saved_model.pb": ("TensorFlow", "from_tf=True"),
}
_LFS_POINTER = b"version https://git-lfs"


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: a checkpoint is a local folder with config.json "
            "and model.safetensors (lmlib downloads none)"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold an object, got {type(content).__name__}")
    return content


def _layout(folder: Path, family: Any) -> Layout:
    if isinstance(family, str) and family in FAMILIES:
        return FAMILIES[family]
    raise ValueError(
        f"model_type in {folder / 'config.json'} must be one of "
        f"{', '.join(FAMILIES)}; "
        + (
            "add it: neither architectures nor the names of the weights tell it"
            if family is None
            else f"got {family!r}"
        )
    )


def _open_weights(folder: Path, stack: ExitStack) -> dict[str, Callable[[], Tensor]]:
    """How to read each stored tensor; files are open as long as `stack` is."""
    if (folder / "model.safetensors").is_file():
        names = ["model.safetensors"]
    elif (index := folder / "model.safetensors.index.json").is_file():
        weight_map = _read_json(index).get("weight_map")
        if not isinstance(weight_map, dict):
            raise ValueError(f"{index} must have a weight_map from names to files")
        names = sorted({str(name) for name in weight_map.values()})
    elif pickles := sorted(f.name for f in folder.iterdir() if f.suffix in _PICKLES):
        raise ValueError(
            f"{folder} has no model.safetensors, but {', '.join(pickles[:3])}: "
            f"{'a pickle' if len(pickles) == 1 else 'pickles'}, which lmlib does not "
            "read: unpickling can run any code that its author put in. If you trust "
            "the author, convert it once, where transformers is installed: "
            "AutoModelForPreTraining.from_pretrained(folder).save_pretrained(folder)"
        )
    elif other := _of_another_library(folder):
        name, library, option = other
        raise ValueError(
            f"{folder} has no model.safetensors, but {name}: weights for {library}, "
            f"which lmlib does not read. Convert them once, where {library} and "
            "transformers 4 are installed (5 reads them no more): "
            f"AutoModelForPreTraining.from_pretrained(folder, {option})"
            ".save_pretrained(folder)"
        )
    else:
        raise FileNotFoundError(
            f"{folder} holds neither model.safetensors nor its index.json"
        )
    readers: dict[str, Callable[[], Tensor]] = {}
    for name in names:
        if Path(name).name != name or not (folder / name).is_file():
            raise ValueError(f"the index names {name!r}, which is not in {folder}")
        with (folder / name).open("rb") as start:
            if start.read(len(_LFS_POINTER)) == _LFS_POINTER:
                raise ValueError(
                    f"{folder / name} is a pointer that Git LFS left in place of the "
                    "file: install git-lfs, and run 'git lfs pull' in the folder"
                )
        try:
            file = stack.enter_context(safe_open(folder / name, framework="pt"))
        except SafetensorError as error:
            raise ValueError(f"{folder / name} is damaged: {error}") from None
        for key in list(file.keys()):
            readers[key] = partial(file.get_tensor, key)
    return readers


def _of_another_library(folder: Path) -> tuple[str, str, str] | None:
    """A file that holds weights for it, its name, and the option to read them."""
    for name in sorted(file.name for file in folder.iterdir()):
        for part, (library, option) in _OTHERS.items():
            if part in name:
                return name, library, option
    return None


# -- From stored tensors to parameters ------------------------------------------------


def _canonical_names(layout: Layout, names: Collection[str]) -> dict[str, str]:
    """Today's full name of each stored weight → what the file calls it."""
    found: dict[str, str] = {}
    for name in names:
        canonical = layout.canonical(name)
        if canonical is not None and found.setdefault(canonical, name) != name:
            raise ValueError(
                f"{found[canonical]} and {name} are two names of one weight"
            )
    return found


def _resolve_copies(
    stored: dict[str, Callable[[], Tensor]], copies: Mapping[str, str]
) -> None:
    """Drop repeated weights, or let one stand for what it repeats."""
    for copy, original in copies.items():
        if copy not in stored:
            continue
        if original in stored and not torch.equal(stored[copy](), stored[original]()):
            raise ValueError(
                f"{copy} must equal {original}, to which it is tied in this family"
            )
        stored.setdefault(original, stored[copy])
        del stored[copy]


def _from_shared(weight: Weight) -> Weight:
    if weight.theirs == ("lm_head.weight",):
        return Weight(weight.ours, ("shared.weight",))
    return weight


def _check_names(folder: Path, needed: set[str], found: Mapping[str, str]) -> None:
    """`found` has what the file calls each weight, by which it is complained of."""
    missing = sorted(needed - found.keys())
    extra = sorted(found[name] for name in found.keys() - needed)
    if missing or extra:
        raise ValueError(
            f"the weights in {folder} are not those of its config.json: "
            + "; ".join(
                f"{len(names)} {what}, such as {', '.join(names[:3])}"
                for what, names in (("missing", missing), ("too many", extra))
                if names
            )
        )


def _check_places(family: str, places: set[str], named: Collection[str]) -> None:
    """That each of a model's parameters is written, and none is missing."""
    extra, missing = sorted(set(named) - places), sorted(places - set(named))
    if not extra and not missing:
        return
    # LoRA keeps the matrix W of a layer under another name, beside two thin ones.
    if any(name.rpartition(".")[0] + ".a" in named for name in missing):
        raise ValueError(
            f"model has LoRA's matrices, such as {extra[0]}, for which the layout of "
            f"{family} has no place: merge them first, with "
            "lmlib.training.lora.merge_lora(model)"
        )
    raise ValueError(
        f"the parameters of model are not those of the layout of {family}: "
        + "; ".join(
            f"{what}: {', '.join(names[:3])}"
            for what, names in (("missing", missing), ("too many", extra))
            if names
        )
    )


def _assign(
    model: nn.Module,
    weight: Weight,
    parts: list[Tensor],
    dtype: torch.dtype,
    device: torch.device | str,
) -> None:
    """Replace a parameter on the meta device by what is stored for it."""
    module_name, _, name = weight.ours.rpartition(".")
    module = model.get_submodule(module_name)
    expected = getattr(module, name).shape
    if weight.transposed:
        parts = [part.T for part in parts]
    shapes = [tuple(part.shape) for part in parts]
    if len(parts) > 1 and weight.rows is None and len(set(shapes)) > 1:
        raise ValueError(f"{', '.join(weight.theirs)} differ in shape: {shapes}")
    for stored, shape, rows in zip(
        weight.theirs, shapes, weight.rows or (), strict=False
    ):
        if shape != (rows, *expected[1:]):
            raise ValueError(
                f"{stored} must have the shape {(rows, *expected[1:])} by "
                f"config.json, got {shape}"
            )
    for stored, part in zip(weight.theirs, parts, strict=True):
        if not part.is_floating_point() or part.element_size() < 2:
            raise ValueError(
                f"{stored} is stored as {part.dtype}, a quantized checkpoint, which "
                "lmlib does not read: take the one in float32, float16 or bfloat16"
            )
    whole = torch.cat(parts) if len(parts) > 1 else parts[0]
    if whole.shape != expected:
        raise ValueError(
            f"{', '.join(weight.theirs)} must have together the shape "
            f"{tuple(expected)} by config.json, got {tuple(whole.shape)}"
        )
    whole = whole.to(device=device, dtype=dtype).contiguous()
    setattr(module, name, nn.Parameter(whole))
