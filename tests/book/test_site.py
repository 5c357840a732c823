"""The built site in a browser, without a network: what a reader would stumble over."""

import gzip
import html
import http.client
import re
import runpy
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from lmlib.grading.results import report
from tests.book.pages import LINKS, ROOT, broken_links, html_faults, inspect
from tests.grading import sample_records


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


def test_every_page_is_valid_html(site: Path):
    faults = [
        f"{path.relative_to(site)}: {fault}"
        for path in sorted(site.rglob("*.html"))
        if not {"_static", "_sources"} & set(path.parts)
        for fault in html_faults(path.read_text(encoding="utf-8"))
    ]
    assert not faults, "\n".join(faults)


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


@pytest.mark.parametrize(
    "query", ["注意", "旋转", "RoPE", "GQA", "MQA", "FlashAttention"]
)
def test_search_knows_short_names_and_chinese(site: Path, page: Page, query: str):
    assert results(page, f"{(site / 'search.html').as_uri()}?q={query}") > 0


@pytest.mark.parametrize(
    ("query", "address"),
    [
        ("masked_attention_weights", "exercises/3.1-self-attention"),  # an exercise
        ("quantization", "glossary"),  # a term
        ("困惑", "glossary"),  # two characters of one
        ("词元", "glossary"),
    ],
)
def test_search_finds_exercises_terms_and_chinese(
    site: Path, page: Page, query: str, address: str
):
    assert results(page, f"{(site / 'search.html').as_uri()}?q={query}") > 0
    links = page.locator("#search-results li a").evaluate_all("(a) => a.map(String)")
    assert [link for link in links if address in link], links


@pytest.fixture
def served(site: Path) -> Iterator[str]:
    """The address of the site as `make serve` serves it."""
    serve = runpy.run_path(str(ROOT / "book" / "serve.py"))
    with serve["server"](0, site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_search_shows_excerpts_of_the_text_when_served(served: str, page: Page):
    assert results(page, f"{served}/search.html?q=attention") > 0
    page.locator("#search-results li .context").first.wait_for()
    excerpts = page.locator("#search-results li .context").all_text_contents()
    assert not [text for text in excerpts if re.match(r"\W*(md|ipynb|pdf)\b", text)]


def test_pages_are_served_compressed_to_this_machine_alone(served: str):
    host, port = served.removeprefix("http://").split(":")
    assert host == "127.0.0.1"
    sizes, bodies = [], []
    for accepted in ("gzip", "identity"):
        connection = http.client.HTTPConnection(host, int(port))
        headers = {"Accept-Encoding": accepted}
        connection.request("GET", "/notation.html", headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        sizes.append(len(body))
        assert answer.headers["Cache-Control"] == "no-cache"
        zipped = answer.headers["Content-Encoding"] == "gzip"
        assert zipped == (accepted == "gzip")
        bodies.append(gzip.decompress(body) if zipped else body)
        connection.close()
    assert bodies[0] == bodies[1]
    assert sizes[0] < sizes[1] / 3


def test_an_ordinary_page_asks_for_little(site: Path, page: Page):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((site / "3-algorithms/3.1.2-multi-head-attention.html").as_uri())
    asked = [url for url in asked if not url.startswith("data:")]
    assert not [
        u for u in asked if re.search("search|language_data|mathjax|katex.*js", u)
    ]
    assert [url for url in asked if ".css" in url] == [
        (site / "_static/site.css").as_uri()
    ]
    assert not list(site.rglob("katex*.js"))


@pytest.mark.parametrize(
    ("name", "unfolded"), [("index", False), ("5-compressor/5-compressor", True)]
)
def test_pages_compress_what_is_typed(
    site: Path, page: Page, name: str, unfolded: bool
):
    page.goto((site / f"{name}.html").as_uri())
    ready = ".live[data-state=ready][data-buttons=ready]"
    page.wait_for_selector(ready)
    page.fill(".live textarea", "")
    page.locator(".live textarea").press_sequentially("a byte")
    page.wait_for_selector(ready)
    assert page.inner_text("tr[data-live=raw] .live-total") == "48"
    assert page.locator(".live-picture").is_visible() == unfolded
    # No more room than the widget takes is kept for it, and not much less.
    spare = "(card) => parseFloat(getComputedStyle(card).minHeight) - card.scrollHeight"
    if not unfolded:
        assert abs(page.locator(".live-card").evaluate(spare)) < 40


def test_every_page_says_what_it_is_about(site: Path):
    found = {}
    for path in site.rglob("*.html"):
        if "_static" not in path.parts:
            text = path.read_text(encoding="utf-8")
            found[path.name] = re.findall(
                r'<meta name="description" content="(.*)"', text
            )
    assert {len(texts) for texts in found.values()} == {1}
    assert not [
        n for n, [text] in found.items() if not 30 <= len(html.unescape(text)) <= 160
    ]


def test_a_formula_is_read_aloud_and_numbered(site: Path, page: Page):
    page.goto((site / "3-algorithms/3.1.2-multi-head-attention.html").as_uri())
    equation = page.locator("#equation-eq-one-head")
    assert "1" in equation.locator("math mfrac").text_content()
    assert equation.locator(".katex-html").get_attribute("aria-hidden") == "true"
    number = equation.locator(".eqno").text_content()
    assert page.locator("a[href='#equation-eq-one-head']", has_text=number[:3]).count()


def test_terms_lead_to_the_glossary_once(site: Path, page: Page):
    page.goto((site / "3-algorithms/3.1.2-multi-head-attention.html").as_uri())
    links = page.locator("article a:has(.std-term)")
    targets = links.evaluate_all("(all) => all.map((a) => a.href)")
    assert len(targets) > 8
    assert len(targets) == len(set(targets))
    inside = "article :is(h1, h2, h3, pre, code, .katex, figcaption) .std-term"
    assert page.locator(inside).count() == 0
    line = "(a) => getComputedStyle(a).textDecorationStyle"
    assert links.first.evaluate(line) == "dotted"
    assert page.locator("article a", has_text="KV cache").count()  # an alias


def test_paper_shows_all(site: Path, page: Page):
    page.goto((site / "3-algorithms/3.1.2-multi-head-attention.html").as_uri())
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 700, "height": 900})
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("article details:not([open])").count() == 0
    cut = "(all) => all.filter((e) => e.scrollWidth > e.clientWidth + 1).length"
    assert page.locator("article pre").evaluate_all(cut) == 0


def test_labels_of_a_figure_can_be_read_on_a_phone(site: Path, page: Page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto((site / "3-algorithms/3.1.2-multi-head-attention.html").as_uri())
    scale = "(all) => all.map((i) => i.clientWidth / i.getAttribute('width'))"
    # The smallest labels are of 9.5 points, 12.7 pixels.
    assert min(page.locator("figure img").evaluate_all(scale)) * 12.7 > 9.9


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_reports_of_the_grader_pass_the_same_checks(tmp_path: Path, page: Page, theme):
    records = sample_records.made_up()
    for name in ("3.1-one", "3.2-two"):
        report.write_class(records, tmp_path / name, sample_records.boilerplate())
    report.write_feedback(records[0], tmp_path / name)
    report.write_course(tmp_path)
    pages = [tmp_path / "course.html", *sorted((tmp_path / name).rglob("*.html"))]
    assert len(pages) == 3
    problems = [p for path in pages for p in inspect(page, path.as_uri(), theme)]
    assert not problems, "\n".join(problems)


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
