"""The built site in a browser, without a network: what a reader would stumble over."""

import functools
import http.server
import importlib.util
import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent

# Each entry is what is wrong and where; [] is a page as it should be.
CHECKS = r"""
() => {
  const problems = [];
  const say = (what, where) => problems.push(`${what}: ${where}`);
  const main = document.querySelector("article") || document.querySelector("main");

  for (const image of main.querySelectorAll("img"))
    // Without a text of its own, the alternative that MyST gives is the file's name.
    if (!image.alt.trim() || /\.(svg|png|jpe?g|gif)$/.test(image.alt))
      say("image without alternative text", image.getAttribute("src"));

  const raw = "mjx-merror, .math:not(:has(mjx-container))";
  for (const math of document.querySelectorAll(raw))
    say("equation not rendered", math.textContent.trim().slice(0, 80));

  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, parent = node.parentElement;
    const unread = parent.closest("script, style, noscript, svg, mjx-container");
    if (unread || !node.data.trim()) continue;
    if (parent.checkVisibility({ opacityProperty: true, visibilityProperty: true }))
      texts.push(node);
  }
  for (const node of texts)
    if (/\\[(\[]|\\(frac|sqrt|text|log)\b|\$[^$\n]+\$/.test(node.data) &&
        main.contains(node) && !node.parentElement.closest("code, pre, textarea"))
      say("raw TeX", node.data.trim().slice(0, 80));

  // Contrast, as WCAG 2.1 AA: 4.5, or 3 for large text.
  const options = { willReadFrequently: true };
  const context = document.createElement("canvas").getContext("2d", options);
  const rgba = (color) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = color;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], [R, G, B]) =>
    [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
  const ground = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      layers.push(rgba(getComputedStyle(at).backgroundColor));
      if (layers.at(-1)[3] === 1) break;
    }
    return layers.reduceRight((below, layer) => over(layer, below), [255, 255, 255, 1]);
  };
  const luminance = (color) => {
    const [r, g, b] = color.map((c) => c / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const seen = new Set();
  for (const node of texts) {
    const element = node.parentElement, style = getComputedStyle(element);
    const exempt = element.closest("[disabled], [aria-hidden=true]");
    if (exempt || seen.has(element)) continue;
    seen.add(element);
    const below = ground(element), above = over(rgba(style.color), below);
    const [dark, light] = [luminance(below), luminance(above)].sort((a, b) => a - b);
    const ratio = (light + 0.05) / (dark + 0.05), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5))
      say(`contrast ${ratio.toFixed(2)}`, `"${node.data.trim().slice(0, 40)}"`);
  }

  if (document.documentElement.scrollWidth > innerWidth)
    say("wider than the window", `${document.documentElement.scrollWidth} px`);
  for (const element of main.querySelectorAll("*")) {
    const box = element.getBoundingClientRect();
    if (box.right <= innerWidth + 1 || !box.width || !box.height) continue;
    let at = element.parentElement;
    while (at && getComputedStyle(at).overflowX === "visible") at = at.parentElement;
    if (!at || at === document.body || at === document.documentElement)
      say("sticks out of the window", `<${element.localName}> ${element.className}`);
  }
  return problems;
}
"""

LINKS = """
() => ({
  ids: [...document.querySelectorAll("[id], a[name]")].map((e) => e.id || e.name),
  links: [...document.querySelectorAll("a[href]")].map((a) => a.href),
})
"""


def inspect(page: Page, url: str, theme: str) -> list[str]:
    """Open `url` and say what is wrong with it at the widths of a desk and a phone."""
    problems: list[str] = []

    def requested(request) -> None:
        # The media queries of an SVG and the like are data: and blob: URLs.
        if not request.url.startswith(("file:", "data:", "blob:")):
            problems.append(f"external request: {request.url}")

    handlers = {
        "request": requested,
        "requestfailed": lambda r: problems.append(f"request failed: {r.url}"),
        "pageerror": lambda e: problems.append(f"script error: {e}"),
        "console": lambda m: (
            problems.append(f"console: {m.text}") if m.type == "error" else None
        ),
    }
    for event, handler in handlers.items():
        page.on(event, handler)
    page.emulate_media(color_scheme=theme)
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(url)
    page.evaluate("window.MathJax && MathJax.startup && MathJax.startup.promise")
    page.evaluate("document.fonts.ready.then(() => null)")
    for width, height in ((1440, 900), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        problems += [f"{width} px: {problem}" for problem in page.evaluate(CHECKS)]
    for event, handler in handlers.items():
        page.remove_listener(event, handler)
    return sorted(set(problems))


def broken_links(pages: dict[Path, dict[str, list[str]]]) -> list[str]:
    """The links between `pages` (path to ids and links) that lead nowhere."""
    broken = []
    for path, found in pages.items():
        for link in found["links"]:
            target, anchor = urldefrag(link)
            if not target.startswith("file:"):
                continue
            file = Path(unquote(urlsplit(target).path))
            if not file.is_file() or (
                anchor and file in pages and unquote(anchor) not in pages[file]["ids"]
            ):
                broken.append(f"{path.name} → {link}")
    return sorted(set(broken))


@pytest.fixture(scope="session")
def site() -> Path:
    spec = importlib.util.spec_from_file_location("build", ROOT / "book" / "build.py")
    assert spec
    assert spec.loader
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    return build.build().parent


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


# -- The checker: it finds each fault, and none on a good page -----------------------

GOOD = (
    "<h1 id=top>Good</h1><p>Text with <code>$x$</code> and <a href='#top'>a link</a>."
)


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<script>console.error('oh')</script>", "console: oh"),
        ("<script>throw new Error('oh')</script>", "script error: oh"),
        ("<img alt='a dot' src='https://example.org/x.png'>", "external request: "),
        ("<script src='missing.js'></script>", "request failed: "),
        ("<img src='data:,'>", "image without alternative text"),
        ("<img src='data:,' alt='_images/a.svg'>", "image without alternative text"),
        (r"<span class=math>\(x\)</span>", "equation not rendered"),
        (r"<p>A mean \(x\) of them</p>", "raw TeX"),
        ("<p>A mean $x^2$ of them</p>", "raw TeX"),
        ("<p style='color: #888'>grey on white</p>", "contrast 3.54"),
        ("<div style='width: 500px; height: 9px'></div>", "390 px: wider than"),
        (
            "<style>body { overflow-x: hidden }</style>"
            "<table><tr><td style='min-width: 500px'>x</table>",
            "390 px: sticks out of the window",
        ),
    ],
)
def test_each_fault_is_found(tmp_path: Path, page: Page, html: str, expected: str):
    path = tmp_path / "page.html"
    path.write_text(f"<!doctype html><meta charset=utf-8><main>{GOOD}</main>")
    assert inspect(page, path.as_uri(), "light") == []
    path.write_text(f"<!doctype html><meta charset=utf-8><main>{GOOD}{html}</main>")
    assert any(expected in problem for problem in inspect(page, path.as_uri(), "light"))


def test_broken_links_and_anchors_are_found(tmp_path: Path, page: Page):
    path = tmp_path / "page.html"
    path.write_text(
        f"<main>{GOOD}<a href='page.html#top'></a><a href='https://example.org'></a>"
        "<a href='page.html#nowhere'></a><a href='missing.html'></a></main>"
    )
    page.goto(path.as_uri())
    broken = broken_links({path: page.evaluate(LINKS)})
    assert broken == [
        f"page.html → {tmp_path.as_uri()}/missing.html",
        f"page.html → {path.as_uri()}#nowhere",
    ]
