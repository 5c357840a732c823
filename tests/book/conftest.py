"""The site, built once for all tests."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def site() -> Path:
    spec = importlib.util.spec_from_file_location(
        "build", Path(__file__).parents[2] / "book" / "build.py"
    )
    assert spec
    assert spec.loader
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    return build.build().parent
