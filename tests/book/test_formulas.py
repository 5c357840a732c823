"""Formulas are set at build time, and a wrong one is told with its page."""

import sys
from pathlib import Path

import pytest
from sphinx.testing.util import SphinxTestApp

EXTENSIONS = Path(__file__).resolve().parents[2] / "book" / "_ext"


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(EXTENSIONS)

    def run(text: str) -> tuple[str, str]:
        """The HTML and the warnings of a page with this text."""
        (tmp_path / "conf.py").write_text(
            "extensions = ['myst_parser', 'formulas']\nhtml_math_renderer = 'katex'\n"
            "myst_enable_extensions = ['dollarmath', 'amsmath']\n"
            "suppress_warnings = ['misc.copy_overwrite', 'config.cache']\n"
            "html_theme = 'basic'\nhtml_css_files = []\n"
        )
        (tmp_path / "index.md").write_text(f"# Title\n\n{text}\n")
        app = SphinxTestApp("html", srcdir=tmp_path)
        app.build()
        warnings = app.warning.getvalue()
        page = (Path(app.outdir) / "index.html").read_text(encoding="utf-8")
        app.cleanup()
        return page, warnings

    yield run
    sys.modules.pop("formulas", None)


def test_a_right_formula_is_html_and_mathml(build):
    page, _ = build(r"A $\frac{x}{2}$, and" "\n\n$$\na &= b \\\\\n$$ (eq-b)")
    assert "<mfrac><mi>x</mi><mn>2</mn></mfrac>" in page


@pytest.mark.parametrize("text", [r"A $\frac{x$ here", r"A $\nosuch{x}$", "$$\n{x\n$$"])
def test_a_wrong_formula_is_told_with_its_page(build, text: str):
    _, warnings = build(text)
    assert "index.md:3: WARNING: wrong formula" in warnings
    assert text.split("$")[1 if text[0] == "A" else 2].strip() in warnings
