"""A student's Markdown keeps its meaning and loses whatever could act."""

import html.parser

import jinja2
import pytest

from lmlib.grading.results.markdown import TAGS, harmless, markdown2html

ATTACKS = [
    "<script>hacked = 1</script>",
    "<ScRiPt src=https://example.org/x.js></sCrIpT>",
    "<img src=x onerror=hacked=1>",
    '<img src="https://example.org/pixel.png">',
    '<img src="/logout">',
    '<img src="data:image/svg+xml;base64,PHN2Zz4=">',
    "<svg onload=hacked=1><animate onbegin=hacked=1></svg>",
    "<math><mtext><style><img src=x onerror=hacked=1></style></mtext></math>",
    '<iframe srcdoc="<script>parent.hacked = 1</script>"></iframe>',
    '<object data="javascript:1"></object><embed src="x">',
    "<a href=javascript:hacked=1>here</a>",
    "<a href='java\tscript:hacked=1'>here</a>",
    "<a href='&#106;avascript:hacked=1'>here</a>",
    "<a href='data:text/html,<script>1</script>'>here</a>",
    "<a href='evil.html'>my plot</a> [my plot](../evil.html) [it](//example.org)",
    "[here](javascript:hacked=1)",
    "<javascript:hacked=1>",
    "![x](javascript:hacked=1)",
    '![x](x"onerror="hacked=1)',
    "<details open ontoggle=hacked=1><summary>x</summary></details>",
    "<style>body { display: none }</style><link rel=stylesheet href=x>",
    "<p style='position: fixed; inset: 0'>over all</p>",
    "<base href=https://example.org><meta http-equiv=refresh content=0>",
    "<form action=/api><button formaction=javascript:1>x</button></form>",
    "<div class='panel nbgrader_cell' id='test_x'><input class=score></div>",
    "`<a title='`<img src=x onerror=hacked=1>'>",
    "<!--><img src=x onerror=hacked=1>-->",
    "<noscript><p title='</noscript><img src=x onerror=hacked=1>'>",
    "```mermaid\n<img src=x onerror=hacked=1>\n```",
    "```<img/src=x/onerror=hacked=1>\ncode\n```",
    "$<img src=x onerror=hacked=1>$ $$<script>1</script>$$",
    "\\begin{a<script>}x\\end{a<script>}",
    "# <img src=x onerror=hacked=1>",
    "| a |\n|---|\n| <img src=x onerror=hacked=1> |",
]


class Elements(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def rendered(source, **cell):
    environment = jinja2.Environment()
    environment.filters["markdown2html"] = markdown2html
    template = environment.from_string("{{ source | markdown2html }}")
    return template.render(source=source, cell=cell)


def elements(text):
    parser = Elements()
    parser.feed(text)
    return parser.found


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("clean", [rendered, harmless])
def test_nothing_is_left_that_acts(attack, clean):
    for tag, attributes in elements(clean(attack)):
        assert tag in TAGS
        assert not {a for a in attributes if a.startswith("on")} | (
            attributes.keys() & {"style", "id", "name", "srcdoc", "action"}
        )
        assert attributes.get("src", "data:image/png").startswith("data:image/png")
        assert attributes.get("href", "#").startswith(("#", "http", "mailto"))
        assert attributes.get("class", "k") in ("k", "highlight")


def test_what_was_tried_can_be_read():
    assert "&lt;script&gt;hacked" in rendered("<script>hacked = 1</script>")


def test_text_keeps_its_form():
    text = rendered(
        "# Title\n\nAn *idea* with `code`, $a < b$ and a [link](https://example.org).\n"
        "\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
        "```python\ndef f(): ...\n```\n\n<details><summary>Hint</summary>\n\n"
        "**Count** from the end.\n\n</details>"
    )
    found = [tag for tag, _ in elements(text)]
    assert set(found) >= {"h1", "em", "code", "a", "ul", "li", "table", "td", "strong"}
    assert set(found) >= {"pre", "span", "div", "details", "summary"}
    assert "$a &lt; b$" in text
    assert '<a href="https://example.org">link</a>' in text
    assert '<span class="k">def</span>' in text
    assert '<div class="highlight">' in text


def test_attached_picture_is_shown_and_a_missing_one_hides_nothing():
    picture = {"p.png": {"image/png": "iVBORw0KGgo="}}
    shown = rendered("![](attachment:p.png)", attachments=picture)
    assert '<img src="data:image/png;base64,iVBORw0KGgo="' in shown
    assert rendered("<b>See</b> ![](attachment:no.png)").startswith("<pre>&lt;b&gt;See")
    drawing = {"p.svg": {"image/svg+xml": "PHN2Zz4="}}
    assert "src" not in rendered("![](attachment:p.svg)", attachments=drawing)
