"""The library of the course *Compression is Intelligence*.

`import lmlib` is quick: it loads nothing. Its modules need torch, and neither Jupyter,
Sphinx nor any model hub.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__version__ = "0.1.0"


def device() -> "torch.device":
    """The fastest device of this machine: cuda, else mps, else cpu."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")
