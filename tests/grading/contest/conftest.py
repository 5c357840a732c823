"""What the contest runs its entries in."""

import os

import pytest

from lmlib.grading.sandbox import doctor
from lmlib.grading.sandbox.confinement import Sandbox


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    found = doctor.probe()
    if found.level == "none":
        reason = "nothing on this machine confines student code"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return found
