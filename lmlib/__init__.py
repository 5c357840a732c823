"""The library of the course *Compression is Intelligence*.

`import lmlib` needs torch alone: neither Jupyter, Sphinx nor any model hub.
"""

import torch

__version__ = "0.1.0"


def device() -> torch.device:
    """The fastest device of this machine: cuda, else mps, else cpu."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")
