"""The package as a whole: what importing it costs, and what it says of itself."""

import inspect
import json
import subprocess
import sys
from types import ModuleType

import pytest
import torch

import lmlib
import lmlib.attention
import lmlib.models.bert
import lmlib.models.generate
import lmlib.models.gpt
import lmlib.models.heads
import lmlib.models.hub
import lmlib.models.layouts
import lmlib.models.pangu
import lmlib.models.t5
import lmlib.positions
import lmlib.transformer

NOT_FOR_THE_CORE = {
    "IPython",
    "ipykernel",
    "jupyter_book",
    "jupyter_client",
    "jupyter_core",
    "jupytext",
    "matplotlib",
    "myst_nb",
    "nbconvert",
    "nbformat",
    "nbgrader",
    "notebook",
    "sphinx",
    "transformers",
}


def test_importing_the_library_loads_neither_jupyter_nor_sphinx_nor_a_model_hub():
    program = (
        "import json, sys, lmlib, lmlib.attention, lmlib.models.hub, lmlib.positions;"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(result.stdout))
    assert {"lmlib", "torch"} <= loaded
    assert not loaded & NOT_FOR_THE_CORE


def test_tensors_can_be_put_on_the_device_and_computed_with():
    x = torch.ones(2, 2, device=lmlib.device())
    assert (x @ x).tolist() == [[2, 2], [2, 2]]
    if torch.cuda.is_available():
        assert x.device.type == "cuda"


def public(module: ModuleType) -> list[tuple[str, object]]:
    return [
        (f"{module.__name__}.{name}", thing)
        for name, thing in vars(module).items()
        if (inspect.isfunction(thing) or inspect.isclass(thing))
        and thing.__module__ == module.__name__
        and not name.startswith("_")
    ]


PUBLIC = [
    *public(lmlib),
    *public(lmlib.attention),
    *public(lmlib.models.bert),
    *public(lmlib.models.generate),
    *public(lmlib.models.gpt),
    *public(lmlib.models.heads),
    *public(lmlib.models.hub),
    *public(lmlib.models.layouts),
    *public(lmlib.models.pangu),
    *public(lmlib.models.t5),
    *public(lmlib.positions),
    *public(lmlib.transformer),
]


@pytest.mark.parametrize("thing", [t for _, t in PUBLIC], ids=[n for n, _ in PUBLIC])
def test_everything_public_says_what_it_is(thing):
    # nn.Module's docstring would be inherited: look at the thing's own.
    assert (vars(thing).get("__doc__") or thing.__doc__ or "").strip()
    if inspect.isclass(thing):
        assert "__doc__" in vars(thing)
        assert vars(thing)["__doc__"]
