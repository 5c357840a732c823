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

from bleach.sanitizer import Cleaner
from jinja2 import pass_context
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

TAGS = frozenset(
    "a abbr b blockquote br code dd del details div dl dt em h1 h2 h3 h4 h5 h6 hr i img "
    "ins kbd li ol p pre q s samp small span strong sub summary sup table tbody td tfoot "
    "th thead tr u ul var".split()
)
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
    """nbconvert's filter, made safe. Never fails: what cannot be read is shown as text."""
    attachments = context.get("cell", {}).get("attachments", {})
    renderer = IPythonRenderer(
        escape=False, attachments=attachments, exclude_anchor_links=True
    )
    try:
        return harmless(MarkdownWithMath(renderer=renderer).render(source))
    except Exception:  # one bad cell must not hide the others, nor end a batch
        return f"<pre>{html.escape(source)}</pre>"
