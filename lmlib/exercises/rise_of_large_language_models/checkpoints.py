"""Section 1.2: what a file of GPT-2's weights tells, and how it is turned."""

from typing import Any

import torch
from torch import Generator, Tensor

from lmlib.exercises.exercise import (
    Case,
    Exercise,
    Function,
    Misconception,
    Part,
    draw_integer,
    error_type,
    normal,
    plain_number,
)

Weights = dict[str, Tensor]


def _gpt2(
    generator: Generator,
    n_layers: int,
    d: int,
    vocabulary: int,
    positions: int,
    d_ff: int,
) -> Weights:
    """A small checkpoint with the names and the layout of GPT-2's."""
    shapes: dict[str, tuple[int, ...]] = {
        "wte.weight": (vocabulary, d),
        "wpe.weight": (positions, d),
    }
    for i in range(n_layers):
        for name, shape in (
            ("ln_1", (d,)),
            ("attn.c_attn", (d, 3 * d)),
            ("attn.c_proj", (d, d)),
            ("ln_2", (d,)),
            ("mlp.c_fc", (d, d_ff)),
            ("mlp.c_proj", (d_ff, d)),
        ):
            shapes[f"h.{i}.{name}.weight"] = shape
            shapes[f"h.{i}.{name}.bias"] = shape[-1:]
    shapes["ln_f.weight"] = shapes["ln_f.bias"] = (d,)
    return {name: normal(generator, *shape) for name, shape in shapes.items()}


# -- read_checkpoint ------------------------------------------------------------------


def reference_read(weights: Weights) -> dict[str, Any]:
    table, head = weights["wte.weight"], weights.get("lm_head.weight")
    tied = head is None or torch.equal(head, table)
    counted = [
        tensor.numel()
        for name, tensor in weights.items()
        if not name.endswith(".attn.bias") and not (name == "lm_head.weight" and tied)
    ]
    layers = {name.split(".")[1] for name in weights if name.startswith("h.")}
    return {
        "n_layers": len(layers),
        "d_model": table.shape[1],
        "vocab_size": table.shape[0],
        "n_positions": weights["wpe.weight"].shape[0],
        "d_ff": weights["h.0.mlp.c_fc.weight"].shape[1],
        "n_heads": None,
        "tied": tied,
        "parameters": sum(counted),
    }


def buffers_are_parameters(weights: dict[str, Tensor]) -> dict[str, object]:
    table, head = weights["wte.weight"], weights.get("lm_head.weight")
    tied = head is None or torch.equal(head, table)
    total = sum(t.numel() for t in weights.values())
    if head is not None and tied:
        total -= head.numel()
    return {
        "n_layers": len({n.split(".")[1] for n in weights if n.startswith("h.")}),
        "d_model": table.shape[1],
        "vocab_size": table.shape[0],
        "n_positions": weights["wpe.weight"].shape[0],
        "d_ff": weights["h.0.mlp.c_fc.weight"].shape[1],
        "n_heads": None,
        "tied": tied,
        "parameters": total,
    }


def last_index(weights: dict[str, Tensor]) -> dict[str, object]:
    table, head = weights["wte.weight"], weights.get("lm_head.weight")
    tied = head is None or torch.equal(head, table)
    total = sum(t.numel() for n, t in weights.items() if not n.endswith(".attn.bias"))
    if head is not None and tied:
        total -= head.numel()
    return {
        "n_layers": max(int(n.split(".")[1]) for n in weights if n.startswith("h.")),
        "d_model": table.shape[1],
        "vocab_size": table.shape[0],
        "n_positions": weights["wpe.weight"].shape[0],
        "d_ff": weights["h.0.mlp.c_fc.weight"].shape[1],
        "n_heads": None,
        "tied": tied,
        "parameters": total,
    }


def sorted_as_text(weights: dict[str, Tensor]) -> dict[str, object]:
    table, head = weights["wte.weight"], weights.get("lm_head.weight")
    tied = head is None or torch.equal(head, table)
    total = sum(t.numel() for n, t in weights.items() if not n.endswith(".attn.bias"))
    if head is not None and tied:
        total -= head.numel()
    last = max(n.split(".")[1] for n in weights if n.startswith("h."))
    return {
        "n_layers": int(last) + 1,
        "d_model": table.shape[1],
        "vocab_size": table.shape[0],
        "n_positions": weights["wpe.weight"].shape[0],
        "d_ff": weights["h.0.mlp.c_fc.weight"].shape[1],
        "n_heads": None,
        "tied": tied,
        "parameters": total,
    }


def as_linear(weights: dict[str, Tensor]) -> dict[str, object]:
    table, head = weights["wte.weight"], weights.get("lm_head.weight")
    tied = head is None or torch.equal(head, table)
    total = sum(t.numel() for n, t in weights.items() if not n.endswith(".attn.bias"))
    if head is not None and tied:
        total -= head.numel()
    return {
        "n_layers": len({n.split(".")[1] for n in weights if n.startswith("h.")}),
        "d_model": table.shape[1],
        "vocab_size": table.shape[0],
        "n_positions": weights["wpe.weight"].shape[0],
        "d_ff": weights["h.0.mlp.c_fc.weight"].shape[0],
        "n_heads": None,
        "tied": tied,
        "parameters": total,
    }


def four_times_the_width(weights: dict[str, Tensor]) -> dict[str, object]:
    table, head = weights["wte.weight"], weights.get("lm_head.weight")
    tied = head is None or torch.equal(head, table)
    total = sum(t.numel() for n, t in weights.items() if not n.endswith(".attn.bias"))
    if head is not None and tied:
        total -= head.numel()
    return {
        "n_layers": len({n.split(".")[1] for n in weights if n.startswith("h.")}),
        "d_model": table.shape[1],
        "vocab_size": table.shape[0],
        "n_positions": weights["wpe.weight"].shape[0],
        "d_ff": 4 * table.shape[1],
        "n_heads": None,
        "tied": tied,
        "parameters": total,
    }


def heads_of_64(weights: dict[str, Tensor]) -> dict[str, object]:
    table, head = weights["wte.weight"], weights.get("lm_head.weight")
    tied = head is None or torch.equal(head, table)
    total = sum(t.numel() for n, t in weights.items() if not n.endswith(".attn.bias"))
    if head is not None and tied:
        total -= head.numel()
    return {
        "n_layers": len({n.split(".")[1] for n in weights if n.startswith("h.")}),
        "d_model": table.shape[1],
        "vocab_size": table.shape[0],
        "n_positions": weights["wpe.weight"].shape[0],
        "d_ff": weights["h.0.mlp.c_fc.weight"].shape[1],
        "n_heads": table.shape[1] // 64,
        "tied": tied,
        "parameters": total,
    }


def lm_head_again(weights: dict[str, Tensor]) -> dict[str, object]:
    table, head = weights["wte.weight"], weights.get("lm_head.weight")
    total = sum(t.numel() for n, t in weights.items() if not n.endswith(".attn.bias"))
    return {
        "n_layers": len({n.split(".")[1] for n in weights if n.startswith("h.")}),
        "d_model": table.shape[1],
        "vocab_size": table.shape[0],
        "n_positions": weights["wpe.weight"].shape[0],
        "d_ff": weights["h.0.mlp.c_fc.weight"].shape[1],
        "n_heads": None,
        "tied": head is None or torch.equal(head, table),
        "parameters": total,
    }


def tied_by_name(weights: dict[str, Tensor]) -> dict[str, object]:
    table = weights["wte.weight"]
    total = sum(t.numel() for n, t in weights.items() if not n.endswith(".attn.bias"))
    return {
        "n_layers": len({n.split(".")[1] for n in weights if n.startswith("h.")}),
        "d_model": table.shape[1],
        "vocab_size": table.shape[0],
        "n_positions": weights["wpe.weight"].shape[0],
        "d_ff": weights["h.0.mlp.c_fc.weight"].shape[1],
        "n_heads": None,
        "tied": "lm_head.weight" not in weights,
        "parameters": total,
    }


def tied_by_shape(weights: dict[str, Tensor]) -> dict[str, object]:
    table, head = weights["wte.weight"], weights.get("lm_head.weight")
    total = sum(t.numel() for n, t in weights.items() if not n.endswith(".attn.bias"))
    tied = head is None or head.shape == table.shape
    return {
        "n_layers": len({n.split(".")[1] for n in weights if n.startswith("h.")}),
        "d_model": table.shape[1],
        "vocab_size": table.shape[0],
        "n_positions": weights["wpe.weight"].shape[0],
        "d_ff": weights["h.0.mlp.c_fc.weight"].shape[1],
        "n_heads": None,
        "tied": tied,
        "parameters": total - head.numel() if head is not None and tied else total,
    }


def all_biases_left_out(weights: dict[str, Tensor]) -> dict[str, object]:
    table, head = weights["wte.weight"], weights.get("lm_head.weight")
    tied = head is None or torch.equal(head, table)
    total = sum(t.numel() for n, t in weights.items() if not n.endswith(".bias"))
    if head is not None and tied:
        total -= head.numel()
    return {
        "n_layers": len({n.split(".")[1] for n in weights if n.startswith("h.")}),
        "d_model": table.shape[1],
        "vocab_size": table.shape[0],
        "n_positions": weights["wpe.weight"].shape[0],
        "d_ff": weights["h.0.mlp.c_fc.weight"].shape[1],
        "n_heads": None,
        "tied": tied,
        "parameters": total,
    }


def _entries(*keys: str) -> Any:
    """For `Part.observe`: some entries of the dictionary, in words."""

    def observe(function: Function, args: tuple[Any, ...]) -> Any:
        value = function(*args)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise TypeError("a dict is expected")
        return ", ".join(f"{key} {_word(value, key)}" for key in keys)

    return observe


def _word(value: dict[str, Any], key: str) -> str:
    if key not in value:
        return "is missing"
    entry = plain_number(value[key])
    if entry is None or isinstance(entry, bool | int):
        return str(entry) if not _is_huge(entry) else "too large"
    if isinstance(entry, float) and entry.is_integer():
        return str(int(entry)) if abs(entry) < 1e15 else "too large"
    return f"of type {type(entry).__name__}"


def _is_huge(entry: Any) -> bool:
    return entry is not None and abs(entry) >= 10**15


SIZES = ("n_layers", "d_model", "vocab_size", "n_positions", "d_ff")


def _checkpoint(generator: Generator, n_layers: int, head: str) -> Case:
    d = draw_integer(generator, 2, 4)
    vocabulary = draw_integer(generator, 21, 29)
    positions = draw_integer(generator, 6, 9)
    d_ff = 4 * d + draw_integer(generator, 1, 3)
    weights = _gpt2(generator, n_layers, d, vocabulary, positions, d_ff)
    mask = torch.ones(1, 1, positions, positions).tril()
    for i in range(n_layers):
        weights[f"h.{i}.attn.bias"] = mask.clone()
    if head == "the table again":
        weights["lm_head.weight"] = weights["wte.weight"].clone()
    elif head == "its own":
        weights["lm_head.weight"] = normal(generator, vocabulary, d)
    says = f"{n_layers} layers, d_model {d}, vocab_size {vocabulary}, n_positions "
    says += f"{positions}, d_ff {d_ff}; lm_head.weight: {head}"
    return Case((weights,), says)


def _few_layers(generator: Generator) -> list[Case]:
    return [_checkpoint(generator, draw_integer(generator, 2, 4), "none")]


def _many_layers(generator: Generator) -> list[Case]:
    return [_checkpoint(generator, draw_integer(generator, 12, 14), "none")]


def _heads(generator: Generator) -> list[Case]:
    layers = draw_integer(generator, 2, 3)
    return [
        _checkpoint(generator, layers, head)
        for head in ("none", "the table again", "its own")
    ]


READ_CHECKPOINT = Exercise(
    name="1.2/read_checkpoint",
    title="Read a checkpoint",
    difficulty=3,
    minutes=25,
    reference=reference_read,
    parts=(
        Part("the sizes", 1, _few_layers, _entries(*SIZES)),
        Part("more than ten layers", 1, _many_layers, _entries(*SIZES)),
        Part("is the head tied?", 1, _heads, _entries("tied"), beside_a_value=True),
        Part("the parameters", 1, _heads, _entries("parameters")),
        Part(
            "the number of heads",
            1,
            _few_layers,
            _entries("n_heads"),
            beside_a_value=True,
        ),
    ),
    misconceptions=(
        Misconception(
            buffers_are_parameters,
            "`h.0.attn.bias`, with four axes, is the causal mask and no weight: nobody "
            "learns it.",
        ),
        Misconception(
            last_index,
            "You took the last layer's number for how many there are. They count from "
            "0.",
        ),
        Misconception(
            sorted_as_text,
            'The numbers of the layers were compared as text, where "9" comes after '
            '"11".',
        ),
        Misconception(
            as_linear,
            "GPT-2 stores its matrices as [in, out], unlike torch's Linear: d_ff is "
            "the second axis of c_fc.",
            "https://github.com/huggingface/transformers/issues/311",
        ),
        Misconception(
            four_times_the_width,
            "4·d_model is a habit. The shape of c_fc says what it is here.",
        ),
        Misconception(
            heads_of_64,
            "A head of 64 is a habit and no reading: no shape depends on the number of "
            "heads. The answer is None.",
        ),
        Misconception(
            lm_head_again,
            "A head that holds the table's numbers is the table under a second name: "
            "it counts once.",
        ),
        Misconception(
            tied_by_name,
            "The name lm_head.weight alone does not make a head of its own: compare "
            "its numbers with the table's.",
        ),
        Misconception(
            tied_by_shape,
            "Table and head always have the same shape. They are the same if their "
            "numbers are.",
        ),
        Misconception(
            all_biases_left_out,
            "Only attn.bias is no parameter. The other biases are learned.",
        ),
    ),
    hints=(
        'Layers: how many different numbers stand after "h."?',
        "`torch.equal` compares two tensors, number by number.",
        "Parameters: all but the masks, and but a head that is the table again.",
    ),
)


# -- convert_gpt2 ---------------------------------------------------------------------

_CONV1D = ("c_attn.weight", "c_proj.weight", "c_fc.weight")


def reference_convert(weights: Weights, shapes: dict[str, tuple[int, ...]]) -> Weights:
    turned = {}
    for name, tensor in weights.items():
        turned[name] = tensor.T if name.endswith(_CONV1D) else tensor
        if tuple(turned[name].shape) != tuple(shapes[name]):
            raise ValueError(f"{name} must be {shapes[name]}, got {tensor.shape}")
    return turned


def if_it_does_not_fit(
    weights: dict[str, Tensor], shapes: dict[str, tuple[int, ...]]
) -> dict[str, Tensor]:
    turned = {}
    for name, tensor in weights.items():
        if tuple(tensor.shape) != tuple(shapes[name]):
            tensor = tensor.mT
        if tuple(tensor.shape) != tuple(shapes[name]):
            raise ValueError(name)
        turned[name] = tensor
    return turned


def everything_with_two_axes(
    weights: dict[str, Tensor], shapes: dict[str, tuple[int, ...]]
) -> dict[str, Tensor]:
    turned = {}
    for name, tensor in weights.items():
        turned[name] = tensor.T if tensor.ndim == 2 else tensor
        if tuple(turned[name].shape) != tuple(shapes[name]):
            raise ValueError(name)
    return turned


def square_ones_too(
    weights: dict[str, Tensor], shapes: dict[str, tuple[int, ...]]
) -> dict[str, Tensor]:
    turned = {}
    for name, tensor in weights.items():
        square = tensor.ndim == 2 and tensor.shape[0] == tensor.shape[1]
        if square or tuple(tensor.shape) != tuple(shapes[name]):
            tensor = tensor.mT
        if tuple(tensor.shape) != tuple(shapes[name]):
            raise ValueError(name)
        turned[name] = tensor
    return turned


def reshaped(
    weights: dict[str, Tensor], shapes: dict[str, tuple[int, ...]]
) -> dict[str, Tensor]:
    turned = {}
    ends = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
    for name, tensor in weights.items():
        if name.endswith(ends):
            tensor = tensor.reshape(tensor.shape[1], tensor.shape[0])
        if tuple(tensor.shape) != tuple(shapes[name]):
            raise ValueError(name)
        turned[name] = tensor
    return turned


def attention_only(
    weights: dict[str, Tensor], shapes: dict[str, tuple[int, ...]]
) -> dict[str, Tensor]:
    turned = {}
    for name, tensor in weights.items():
        fits = tuple(tensor.shape) == tuple(shapes[name])
        if (".attn." in name and name.endswith("weight")) or not fits:
            tensor = tensor.mT
        if tuple(tensor.shape) != tuple(shapes[name]):
            raise ValueError(name)
        turned[name] = tensor
    return turned


def feed_forward_only(
    weights: dict[str, Tensor], shapes: dict[str, tuple[int, ...]]
) -> dict[str, Tensor]:
    turned = {}
    for name, tensor in weights.items():
        fits = tuple(tensor.shape) == tuple(shapes[name])
        if (".mlp." in name and name.endswith("weight")) or not fits:
            tensor = tensor.mT
        if tuple(tensor.shape) != tuple(shapes[name]):
            raise ValueError(name)
        turned[name] = tensor
    return turned


def unlike_shapes_pass(
    weights: dict[str, Tensor], shapes: dict[str, tuple[int, ...]]
) -> dict[str, Tensor]:
    ends = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
    return {name: t.T if name.endswith(ends) else t for name, t in weights.items()}


# Slips: recognised, and not handed in by the tests.


def one_layer_alone(
    weights: dict[str, Tensor], shapes: dict[str, tuple[int, ...]]
) -> dict[str, Tensor]:
    turned = {}
    for name, tensor in weights.items():
        first = name.startswith("h.0.") and name.endswith("weight") and tensor.ndim == 2
        if first or tuple(tensor.shape) != tuple(shapes[name]):
            tensor = tensor.mT
        if tuple(tensor.shape) != tuple(shapes[name]):
            raise ValueError(name)
        turned[name] = tensor
    return turned


def matrices_alone(
    weights: dict[str, Tensor], shapes: dict[str, tuple[int, ...]]
) -> dict[str, Tensor]:
    turned = {}
    ends = ("c_attn.weight", "c_proj.weight", "c_fc.weight")
    for name, tensor in weights.items():
        if name.endswith(ends):
            turned[name] = tensor.T
            if tuple(turned[name].shape) != tuple(shapes[name]):
                raise ValueError(name)
    return turned


def _turned(function: Function, args: tuple[Any, ...]) -> Any:
    """For `Part.observe`: in words, what each name of the result holds."""
    weights = args[0]
    value = function(*args)
    if value is None:
        return None
    if not isinstance(value, dict):
        raise TypeError("a dict from names to tensors is expected")
    found = {name: _how(weights[name], value.get(name)) for name in weights}
    extra = [str(name)[:40] for name in value if name not in weights]
    words = [f"{name} {how}" for name, how in found.items()]
    return ", ".join(words + [f"{name} is new" for name in sorted(extra)])


def _how(given: Tensor, value: Any) -> str:
    if type(value) is not Tensor:
        return "is no tensor" if value is not None else "is missing"
    turned = given.T if given.ndim == 2 else given
    for says, wanted in (("as it was", given), ("turned", turned)):
        if torch.equal(value.detach().double(), wanted.double()):
            return says
    return "holds other numbers"


def _wanted(weights: Weights) -> dict[str, tuple[int, ...]]:
    return {
        name: tuple(reversed(t.shape)) if name.endswith(_CONV1D) else tuple(t.shape)
        for name, t in weights.items()
    }


def _some(weights: Weights, *ends: str) -> Case:
    """The tensors of a checkpoint whose names end so."""
    some = {name: t for name, t in weights.items() if name.endswith(ends)}
    shapes = _wanted(some)
    says = "; ".join(f"{n} {tuple(t.shape)} for {shapes[n]}" for n, t in some.items())
    return Case((some, shapes), says)


def _oblong(generator: Generator) -> list[Case]:
    d = draw_integer(generator, 2, 4)
    weights = _gpt2(generator, 1, d, 11, 7, 4 * d)
    return [_some(weights, "c_attn.weight", "c_fc.weight", "c_fc.bias", "ln_f.weight")]


def _square(generator: Generator) -> list[Case]:
    d = draw_integer(generator, 3, 5)
    weights = _gpt2(generator, 2, d, 11, 7, d)  # a feed-forward layer as wide as d
    return [
        _some(weights, "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
    ]


def _tables(generator: Generator) -> list[Case]:
    d = draw_integer(generator, 3, 5)
    weights = _gpt2(generator, 1, d, d, d, 4 * d)  # as many tokens, and positions, as d
    weights["lm_head.weight"] = normal(generator, d, d)
    return [_some(weights, "wte.weight", "wpe.weight", "lm_head.weight", "c_fc.weight")]


def _unlike(generator: Generator) -> list[Case]:
    d = draw_integer(generator, 2, 4)
    case = _some(_gpt2(generator, 1, d, 11, 7, 4 * d), "c_fc.weight", "ln_f.weight")
    cases = []
    for name in ("h.0.mlp.c_fc.weight", "ln_f.weight"):
        weights, shapes = case.args
        other = (*shapes[name][:-1], shapes[name][-1] + 1)
        says = f"{case.says}; but {other} is wanted of {name}"
        cases.append(Case((weights, {**shapes, name: other}), says))
    return cases


CONVERT_GPT2 = Exercise(
    name="1.2/convert_gpt2",
    title="Find the bug: all shapes right, all outputs wrong",
    difficulty=3,
    minutes=20,
    reference=reference_convert,
    parts=(
        Part("oblong matrices", 1, _oblong, _turned),
        Part("square ones", 2, _square, _turned),
        Part("tables", 1, _tables, _turned),
        Part("a shape that can't be: ValueError", 1, _unlike, error_type),
    ),
    misconceptions=(
        Misconception(
            if_it_does_not_fit,
            "A square matrix fits both ways, and is never turned. Turn by the name, "
            "not by the shape.",
            "https://github.com/nntile/nntile/pull/370",
        ),
        Misconception(
            everything_with_two_axes,
            "Tables of tokens and positions have two axes, too, and are no Conv1D: "
            "they stay as they are.",
        ),
        Misconception(
            square_ones_too,
            "Not every square is a Conv1D: with as many tokens as features the table "
            "is square, too. Turn by the name.",
        ),
        Misconception(
            reshaped,
            "`reshape` gives the shape and puts other numbers into it: `.T` turns a "
            "matrix.",
        ),
        Misconception(
            attention_only,
            "Turned are the matrices of attention, and what does not fit. Those of the "
            "feed-forward layer may be square as well.",
        ),
        Misconception(
            feed_forward_only,
            "Turned are the matrices of the feed-forward layer, and what does not fit. "
            "attn.c_proj is square, and is one of these, too.",
        ),
        Misconception(
            unlike_shapes_pass,
            "A tensor whose shape is not the one in `shapes` must raise ValueError.",
        ),
    ),
    slips=(
        Misconception(
            one_layer_alone, "Only layer 0 is turned: all layers have these."
        ),
        Misconception(
            matrices_alone,
            "Your result lacks what is not turned. It has all names, the others as "
            "they were.",
        ),
    ),
    hints=(
        "Which matrix of a block has the same shape both ways?",
        "c_attn, c_proj and c_fc are stored as [in, out], in every layer.",
        "`name.endswith((…, …))` takes several endings at once.",
    ),
)

EXERCISES = [READ_CHECKPOINT, CONVERT_GPT2]
