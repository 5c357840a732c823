"""What every test shares: seeds, devices, and a way past the runtime type checker.

lmlib is not imported here: the runtime checker is an import hook, and pytest loads
this file before the hook is in place.
"""

from collections.abc import Iterator

import jaxtyping
import pytest
import torch

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> torch.device:
    """Runs the test on the cpu, and once more on cuda where there is one."""
    return torch.device(request.param)


@pytest.fixture
def no_runtime_types() -> Iterator[None]:
    """Switches jaxtyping's checks off, as for a user, so that our own errors show."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)
