"""What every test shares: seeds, devices, and a way past the runtime type checker.

lmlib is not imported here: the runtime checker is an import hook, and pytest loads
this file before the hook is in place.
"""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
import torch
from playwright.sync_api import Browser, Page, sync_playwright
from xdist.scheduler import LoadFileScheduling

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


class ByFile(LoadFileScheduling):
    """Which process runs what: a file's tests stay together, and all of the book's."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::")[0]
        return "tests/book" if file.startswith("tests/book/") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The book's tests come first: the site is built for them, and that takes long."""
    book = Path(__file__).parent / "book"
    items.sort(key=lambda item: not item.path.is_relative_to(book))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    """pyplot keeps the figures of notebooks that tests run, and warns of too many."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


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


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    with sync_playwright() as playwright:
        candidates = [*map(shutil.which, names), playwright.chromium.executable_path]
        found = next((c for c in candidates if c and Path(c).exists()), None)
        if found is None:
            reason = "no Chromium or Chrome on PATH, and none of Playwright's own"
            pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
        flags = ["--no-sandbox", "--disable-background-networking", "--disable-sync"]
        browser = playwright.chromium.launch(executable_path=found, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(reduced_motion="reduce")
    context.route(re.compile(r"^https?://(?!127\.0\.0\.1)"), lambda r: r.abort())
    yield context.new_page()
    context.close()
