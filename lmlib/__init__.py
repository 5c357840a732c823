"""The library of the course *Compression is Intelligence*.

`import lmlib` is quick: it loads nothing. Its modules need torch, and neither Jupyter,
Sphinx nor any model hub.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__version__ = "0.1.0"


def device(name: "torch.device | str | None" = None) -> "torch.device":
    """The device of that name; by default the fastest there is: cuda, mps, else cpu.

    Raises:
        ValueError: this machine, or this build of torch, has no such device.
    """
    import torch

    if name is not None:
        try:
            chosen = torch.device(name)
            torch.zeros(1, device=chosen).item()  # on "meta" there is no number
        # Without CUDA torch raises an AssertionError.
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            reason = str(error).split("\n")[0]
            has = " or ".join(dict.fromkeys(("cpu", str(device()))))
            raise ValueError(
                f"device must be one that this machine has, {has}; got {name} "
                f"({reason})"
            ) from None
        return chosen
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")
