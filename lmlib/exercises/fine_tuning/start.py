"""Section 3.3, step 2: a pre-trained backbone under a new head."""

from typing import Any

import torch
from torch import Generator, Tensor

from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Function,
    Misconception,
    Part,
    error_type,
    normal,
)
from lmlib.exercises.fine_tuning import slips

Weights = dict[str, Tensor]


def reference_load(pretrained: Weights, fresh: Weights, prefix: str) -> Weights:
    loaded = {}
    for name, own in fresh.items():
        if name.startswith("heads."):
            loaded[name] = own.clone()
            continue
        found = pretrained[prefix + name]
        if found.shape != own.shape:
            raise ValueError(f"{name} must be {own.shape}, got {found.shape}")
        loaded[name] = found.to(own.dtype, copy=True)
    return loaded


def missing_ones_stay_fresh(
    pretrained: dict[str, Tensor], fresh: dict[str, Tensor], prefix: str
) -> dict[str, Tensor]:
    loaded = {}
    for name, own in fresh.items():
        found = own
        if not name.startswith("heads."):
            found = pretrained.get(prefix + name, own)
        if found.shape != own.shape:
            raise ValueError(name)
        loaded[name] = found.to(own.dtype)
    return loaded


def prefix_forgotten(
    pretrained: dict[str, Tensor], fresh: dict[str, Tensor], prefix: str
) -> dict[str, Tensor]:
    loaded = {}
    for name, own in fresh.items():
        found = own if name.startswith("heads.") else pretrained[name]
        if found.shape != own.shape:
            raise ValueError(name)
        loaded[name] = found.to(own.dtype)
    return loaded


def prefix_kept(
    pretrained: dict[str, Tensor], fresh: dict[str, Tensor], prefix: str
) -> dict[str, Tensor]:
    loaded = {}
    for name, own in fresh.items():
        if name.startswith("heads."):
            loaded[name] = own
            continue
        found = pretrained[prefix + name]
        if found.shape != own.shape:
            raise ValueError(name)
        loaded[prefix + name] = found.to(own.dtype)
    return loaded


def heads_overwritten(
    pretrained: dict[str, Tensor], fresh: dict[str, Tensor], prefix: str
) -> dict[str, Tensor]:
    loaded = {}
    for name, own in fresh.items():
        head = name.startswith("heads.")
        found = (
            pretrained.get(prefix + name, own) if head else pretrained[prefix + name]
        )
        if found.shape != own.shape:
            raise ValueError(name)
        loaded[name] = found.to(own.dtype)
    return loaded


def heads_left_out(
    pretrained: dict[str, Tensor], fresh: dict[str, Tensor], prefix: str
) -> dict[str, Tensor]:
    loaded = {}
    for name, own in fresh.items():
        if not name.startswith("heads."):
            found = pretrained[prefix + name]
            if found.shape != own.shape:
                raise ValueError(name)
            loaded[name] = found.to(own.dtype)
    return loaded


def made_to_fit(
    pretrained: dict[str, Tensor], fresh: dict[str, Tensor], prefix: str
) -> dict[str, Tensor]:
    loaded = {}
    for name, own in fresh.items():
        loaded[name] = own.clone()
        if not name.startswith("heads."):
            found = pretrained[prefix + name]
            corner = tuple(
                slice(min(a, b)) for a, b in zip(found.shape, own.shape, strict=False)
            )
            loaded[name][corner] = found[corner].to(own.dtype)
    return loaded


def dtype_of_the_file(
    pretrained: dict[str, Tensor], fresh: dict[str, Tensor], prefix: str
) -> dict[str, Tensor]:
    loaded = {}
    for name, own in fresh.items():
        found = own if name.startswith("heads.") else pretrained[prefix + name]
        if found.shape != own.shape:
            raise ValueError(name)
        loaded[name] = found.clone()
    return loaded


def where_from(function: Function, args: tuple[Any, ...]) -> Any:
    """For `Part.observe`: in words, what each name of the result holds."""
    pretrained, fresh, prefix = args
    value = function(*args)
    if value is None:
        return None
    if type(value) is not dict:
        raise TypeError("a dict from names to tensors is expected")
    return ", ".join(
        f"{name}: {_source(name, value[name], pretrained, fresh, prefix)}"
        for name in sorted(value, key=str)
    )


def _source(
    name: str, value: Any, pretrained: Weights, fresh: Weights, prefix: str
) -> str:
    if type(value) is not Tensor:
        return "no tensor"
    for source, tensor in (
        ("pretrained", pretrained.get(prefix + name)),
        ("fresh", fresh.get(name)),
    ):
        if tensor is None or value.shape != tensor.shape:
            continue
        if torch.equal(value.detach().double(), tensor.double()):
            right = name not in fresh or value.dtype == fresh[name].dtype
            kind = str(value.dtype).removeprefix("torch.")
            return source if right else f"{source} in {kind}"
    return "neither"


def _weights(
    generator: Generator, dtype: torch.dtype = torch.float32
) -> tuple[Weights, Weights, str]:
    """A checkpoint that holds more than is asked for, and a model with a new head."""
    d, n = (torch.randperm(4, generator=generator)[:2] + 3).tolist()
    shapes = {"embed": (n, d), "norm": (d,), "heads.task": (2, d)}
    fresh = {name: normal(generator, *shape) for name, shape in shapes.items()}
    prefix = ("bert.", "model.", "backbone.")[
        int(torch.randint(3, (1,), generator=generator))
    ]
    pretrained = {}
    for name, shape in shapes.items():
        pretrained[prefix + name] = normal(generator, *shape).to(dtype)
        # The same names without the prefix, of another model in the same file.
        pretrained[name] = normal(generator, *shape).to(dtype)
    return pretrained, fresh, prefix


def _says(pretrained: Weights, fresh: Weights, prefix: str) -> str:
    return f"pretrained {list(pretrained)}, fresh {list(fresh)}, prefix {prefix!r}"


def _complete(generator: Generator) -> list[Case]:
    args = _weights(generator)
    return [Case(args, _says(*args))]


def _in_half(generator: Generator) -> list[Case]:
    args = _weights(generator, torch.float16)
    return [Case(args, _says(*args) + ", pretrained in float16, fresh in float32")]


def _missing(generator: Generator) -> list[Case]:
    cases = []
    for name in ("embed", "norm"):
        pretrained, fresh, prefix = _weights(generator)
        del pretrained[prefix + name]
        args = (pretrained, fresh, prefix)
        cases.append(Case(args, f"{_says(*args)}: {prefix}{name} is missing"))
    pretrained, fresh, prefix = _weights(generator)
    says = f"{_says(pretrained, fresh, 'encoder.')}: nothing begins with the prefix"
    return [*cases, Case((pretrained, fresh, "encoder."), says)]


def _unlike(generator: Generator) -> list[Case]:
    pretrained, fresh, prefix = _weights(generator)
    for name in (prefix + "embed", "embed"):
        pretrained[name] = pretrained[name].T.contiguous()
    says = f"{prefix}embed is the transpose of what embed has to be"
    cases = [Case((pretrained, fresh, prefix), says)]
    pretrained, fresh, prefix = _weights(generator)
    for name in (prefix + "norm", "norm"):
        pretrained[name] = torch.cat((pretrained[name], pretrained[name][:1]))
    says = f"{prefix}norm has one number too many"
    return [*cases, Case((pretrained, fresh, prefix), says)]


LOAD_BACKBONE = Exercise(
    name="3.3/load_backbone",
    title="Step 2: initialise from pre-trained",
    difficulty=3,
    minutes=20,
    reference=reference_load,
    parts=(
        Part("a checkpoint with all that is needed", 2, _complete, where_from),
        Part("a name that is missing: KeyError", 1, _missing, error_type),
        Part("a shape that differs: ValueError", 1, _unlike, error_type),
        Part("a checkpoint in half precision", 1, _in_half, where_from),
    ),
    misconceptions=(
        Misconception(
            missing_ones_stay_fresh,
            "What is missing stays random and nobody hears of it: with a wrong prefix "
            "nothing at all is loaded, and training starts from scratch. Raise a "
            "KeyError.",
            "https://github.com/Dao-AILab/flash-attention/issues/864",
        ),
        Misconception(
            prefix_forgotten,
            "You look for `name` in the checkpoint: there it is called prefix + name.",
            "https://github.com/huggingface/transformers/issues/217",
        ),
        Misconception(
            prefix_kept,
            "Your result has the names of the checkpoint: the model has those of "
            "`fresh`, without the prefix, and would find none of them.",
        ),
        Misconception(
            heads_overwritten,
            "You load the old head where its name and shape fit: its classes are those "
            "of the old task. Everything under `heads.` stays fresh.",
        ),
        Misconception(
            heads_left_out,
            "The heads are missing from your result: they keep the tensors of `fresh`.",
        ),
        Misconception(
            made_to_fit,
            "You copy what fits of a tensor of another shape: the rest is noise, and "
            "in a transposed matrix all of it. Raise a ValueError.",
        ),
        Misconception(
            dtype_of_the_file,
            "Your weights have the dtype of the checkpoint: the model has that of "
            "`fresh`, and a product of float16 with float32 fails.",
        ),
    ),
    slips=slips.LOAD_BACKBONE,
    hints=(
        "Loop over the names of `fresh`: they are what the model needs.",
        "`pretrained[prefix + name]` raises the KeyError by itself.",
        "Compare the shapes before you convert with `.to(fresh[name].dtype)`.",
    ),
)


EXERCISES = [LOAD_BACKBONE]
