"""What a student wrote as Markdown, as HTML that can do nothing.

nbconvert passes HTML in Markdown on as it is, scripts included. formgrader shows it on
the address of the instructor's Jupyter server, where a script may run programs; the
feedback pages go to students. `markdown2html` is put in the place of nbconvert's filter
of that name (see nbgrader_config.py), for both.

What is allowed is named, and everything else is shown as text: so an instructor sees
what was tried.
"""

import html
import re
from typing import Any

from bleach.sanitizer import Cleaner  # type: ignore[import-untyped]
from jinja2 import pass_context
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

_BLOCKS = (
    "h1 h2 h3 h4 h5 h6 p div blockquote pre hr br ul ol li dl dt dd details summary"
)
_TABLES = "details summary table thead tbody tfoot tr th td"
_WORDS = "a abbr b code del em i img ins kbd q s samp small span strong sub sup u var"
TAGS = frozenset(f"{_BLOCKS} {_TABLES} {_WORDS}".split())
# Classes that a syntax highlighter writes, and none that formgrader's scripts look for.
_CLASS = re.compile(r"highlight|[a-z][a-z0-9]{0,2}")
# Nothing on the server itself: a link there could lead to a file that was handed in.
_LINK = re.compile(r"(?:https?|mailto):|#", re.IGNORECASE)
_IMAGE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,", re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,4}")


def _allowed(tag: str, attribute: str, value: str) -> bool:
    match attribute:
        case "class":
            return bool(_CLASS.fullmatch(value))
        case "href":
            return tag == "a" and bool(_LINK.match(value))
        case "src":
            return tag == "img" and bool(_IMAGE.match(value))
        case "width" | "height" | "colspan" | "rowspan" | "start":
            return bool(_NUMBER.fullmatch(value))
    return attribute in ("alt", "title", "open")


_CLEANER = Cleaner(
    tags=TAGS,
    attributes=_allowed,
    protocols=frozenset(("http", "https", "mailto", "data")),
)


def harmless(text: str) -> str:
    """HTML without anything that runs, loads, or leads to where it should not."""
    return str(_CLEANER.clean(text))


@pass_context
def markdown2html(context: Any, source: str) -> str:
    """nbconvert's filter, made safe; a cell that cannot be read is shown as text."""
    attachments = context.get("cell", {}).get("attachments", {})
    renderer = IPythonRenderer(
        escape=False, attachments=attachments, exclude_anchor_links=True
    )
    try:
        return harmless(MarkdownWithMath(renderer=renderer).render(source))
    except Exception:  # one bad cell must not hide the others, nor end a batch
        return f"<pre>{html.escape(source)}</pre>"
