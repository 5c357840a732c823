"""The checker of pages finds each fault, and none on a good page."""

from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.book.pages import LINKS, broken_links, html_faults, inspect

HEAD = "<!doctype html><html lang=en><meta charset=utf-8><title>A page</title>"
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
        ("<p tabindex=0>Nothing to do</p>", "tab stop where nothing can be done"),
        ("<pre style='overflow: auto'>" + "long " * 400 + "</pre>", "1440 px: cut off"),
        ("<img src='data:,' alt='a dot'>", "image without a size"),
        ("<div class=cell><details class=hide></details></div>", "nothing below"),
        ("<table><tr><th></th></tr><tr><td>x</td></tr></table>", "axe: empty-table"),
        (
            "<script>setTimeout(() => document.querySelector('main').style.paddingTop "
            "= '400px', 60)</script><p style='height: 600px; background: #eee'>text",
            "moves while it loads",
        ),
        (
            "<style>body { overflow-x: hidden }</style>"
            "<table><tr><td style='min-width: 500px'>x</table>",
            "390 px: sticks out of the window",
        ),
    ],
)
def test_each_fault_is_found(tmp_path: Path, page: Page, html: str, expected: str):
    path = tmp_path / "page.html"
    path.write_text(f"{HEAD}<main>{GOOD}</main>")
    assert inspect(page, path.as_uri(), "light") == []
    path.write_text(f"{HEAD}<main>{GOOD}{html}</main>")
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


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<p>One<div></p>", "p"),
        ("<a href='x'>One <a href='y'>two</a></a>", "a"),
        ("<ul><li>One</ol></ul>", "ol"),
        ("<p id=top>again</p>", "id given twice: top"),
        ("<p title='x'y>", "attribute"),
        ("a &unknown; b", "entity"),
    ],
)
def test_html_that_is_not_valid_is_found(html: str, expected: str):
    assert html_faults(f"{HEAD}<main>{GOOD}</main>") == []
    assert any(expected in fault for fault in html_faults(f"{HEAD}{GOOD}{html}"))
