"""The built site in a browser, without a network: what a reader would stumble over."""

import functools
import http.server
import threading
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.pages import LINKS, broken_links, inspect


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_works_offline(site: Path, page: Page, theme: str):
    problems, pages = [], {}
    for path in sorted(site.rglob("*.html")):
        name = path.relative_to(site).as_posix()
        if not name.startswith(("_static/", "_sources/")):
            problems += [f"{name}: {p}" for p in inspect(page, path.as_uri(), theme)]
            pages[path] = page.evaluate(LINKS)
    problems += [f"broken link: {link}" for link in broken_links(pages)]
    assert len(pages) > 5
    assert not problems, "\n".join(problems)


def results(page: Page, url: str) -> int:
    page.goto(url)
    page.wait_for_function(
        "document.querySelector('#search-results p')?.textContent.match(/found|match/)"
    )
    return page.locator("#search-results li").count()


def test_search_finds_without_a_network(site: Path, page: Page):
    url = (site / "search.html").as_uri()
    assert results(page, f"{url}?q=attention") > 0
    assert results(page, f"{url}?q=rhododendron") == 0


def test_search_shows_excerpts_when_served(site: Path, page: Page):
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": id})
    quiet.log_message = lambda *_: None
    handler = functools.partial(quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/search.html?q=attention"
        assert results(page, url) > 0
        page.locator("#search-results li .context").first.wait_for()
        server.shutdown()


def test_navigation_and_search_open_on_a_phone(site: Path, page: Page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto((site / "index.html").as_uri())
    page.locator(".primary-toggle:visible").click()
    page.locator("dialog[open] a", has_text="Glossary").click()
    page.wait_for_url("**/glossary.html")
    page.locator(".search-button:visible").click()
    page.locator("dialog[open] input[type=search]").fill("attention")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=attention")
