"""A folded section: closed, found by its anchor and by the search, opened by a link."""

import shutil
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page
from sphinx.testing.util import SphinxTestApp

BOOK = Path(__file__).resolve().parents[2] / "book"
TEXT = """# Title

## Group

Go to [](#q-second).

(q-first)=
{.folded}
### First question?

Zebras have stripes.

(q-second)=
{.folded}
### Second question?

Okapis have them, too.

## Other

Not folded.
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory):
    place = tmp_path_factory.mktemp("folded")
    (place / "_static").mkdir()
    shutil.copy(BOOK / "_static" / "course.js", place / "_static")
    (place / "conf.py").write_text(
        "extensions = ['myst_parser', 'folded']\nhtml_theme = 'basic'\n"
        "myst_enable_extensions = ['attrs_block']\nhtml_static_path = ['_static']\n"
        "html_js_files = ['course.js']\nsuppress_warnings = ['config.cache']\n"
    )
    (place / "index.md").write_text(TEXT)
    sys.path.insert(0, str(BOOK / "_ext"))
    app = SphinxTestApp("html", srcdir=place)
    try:
        app.build()
        assert not app.warning.getvalue()
        yield Path(app.outdir)
    finally:
        app.cleanup()
        sys.path.remove(str(BOOK / "_ext"))
        sys.modules.pop("folded", None)


def test_only_what_is_marked_is_folded_and_the_search_knows_it(built, page: Page):
    page.goto((built / "index.html").as_uri())
    heads = page.locator("details:not([open]) > summary").all_inner_texts()
    assert [head.rstrip("¶") for head in heads] == [
        "First question?",
        "Second question?",
    ]
    assert page.get_by_text("Not folded.").is_visible()
    assert not page.get_by_text("Zebras").is_visible()
    index = (built / "searchindex.js").read_text(encoding="utf-8")
    assert "zebra" in index
    assert "first-question" in index  # where a result leads to


def test_a_link_opens_the_section_that_it_leads_to(built, page: Page):
    page.goto((built / "index.html").as_uri())
    page.locator("a", has_text="Second question?").first.click()
    page.get_by_text("Okapis").wait_for(state="visible")
    assert not page.get_by_text("Zebras").is_visible()
    page.goto((built / "index.html").as_uri() + "#q-first")
    page.get_by_text("Zebras").wait_for(state="visible")
