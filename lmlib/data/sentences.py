"""Cutting a text into sentences: English and Chinese prose, docstrings, plain verse.

Rules, not a model: nothing to train or download, and one can say why a cut is there.
The pieces are a partition, `"".join(split_sentences(text)) == text`, so that bits per
byte count every byte. White space goes to the sentence that it precedes, for byte-level
BPE reads " The" as one word: its tokens are the same with and without the cuts.
"""

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# A full stop after these doesn't end a sentence.
_ABBREVIATIONS = _words(
    "mr mrs ms messrs dr prof rev hon gen col maj capt lt sgt gov sen rep pres st mt "
    "vs viz cf ca approx resp incl excl dept univ e.g i.e eg ie a.k.a ph.d w.r.t i.i.d "
    "jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs "
    "fri"
)
# After these and after initials ("U.S.", "C.") one begins only with a starter.
_MAY_END = _words("al inc ltd co corp bros jr sr")
# Nor after these, if a number follows.
_NUMBERED = _words(
    "no nos fig figs eq eqs sec secs sect ch chap vol vols p pp pt art ref refs ex v "
    "ver tab def thm"
)
_STARTERS = _words(
    "a an and as at both but by each for from he her his how however if in it its no "
    "note one or our see she since so such that the their then there these they this "
    "those thus to two use we what when where which while who why with you"
)
_CLOSERS = "\"'’”)\\]»`*_"
_STOP = re.compile(
    # Beginning at the first of many stops alone, or a row of n dots takes n² steps.
    rf"(?<![.!?])(?P<latin>[.!?]+)[{_CLOSERS}]*(?=\s)"
    r"|[。！？｡]+[!?！？。]*[”’」』）》】〉\")]*"
)
_BEFORE = re.compile(r"[^\s(\[{\"'“‘`—]*\Z")
_AFTER = re.compile(r"\s*(?P<marks>[\"'“‘`(\[{*_<«]*)(?P<word>[^\W\d_]*)")
_ENUMERATOR = re.compile(r"\s*\(?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,4})\.\Z")
_ITEM = re.compile(
    r"(?:[-*•+–][ \t]|\(?\d{1,3}[.)][ \t]|\(?[a-z]\)[ \t]"
    r"|:[\w.* ]+:(?:\s|$)|[\w*]+ \([^)]*\):(?:\s|$)|\.\. |>>>|\||@\w)"
)
_RULE = re.compile(r"([-=~^*#])\1{2,}$")


def split_sentences(text: str) -> list[str]:
    """The sentences of `text`, in order; joined they give it back.

    A sentence ends at . ! ? before white space and what can begin a sentence, at
    。！？ with the quotes that close after it, at an empty line, before a list item, a
    field or a `>>>`, and where the indentation falls back. Code after `>>>` is not cut
    at full stops. Text of white space alone is one sentence, no text is none.
    """
    cuts = []
    for start, end, code in _blocks(text):
        if not code:
            cuts.extend(_stops(text, start, end))
        cuts.append(end)
    # White space at the end goes to the last sentence: it would be one by itself.
    if cuts:
        cuts[-1] = len(text)
    elif text:
        cuts = [len(text)]
    return [text[a:b] for a, b in zip([0, *cuts], cuts, strict=False)]


def _blocks(text: str) -> list[tuple[int, int, bool]]:
    """(start, end, is code) of the runs of lines in which only full stops cut.

    A block ends with its last visible character.
    """
    blocks: list[tuple[int, int, bool]] = []
    at, fresh, indent, code = 0, True, 0, False
    for line in text.splitlines(keepends=True):
        stripped = line.strip()
        start, at = at, at + len(line)
        if not stripped:
            fresh, code = True, False
            continue
        before = len(line) - len(line.lstrip())
        end = start + before + len(stripped)
        is_rule = _RULE.match(stripped) is not None
        if stripped.startswith(">>>"):
            code = True
        starts_here = (
            fresh
            or _ITEM.match(stripped) is not None
            or (before <= indent - 3 and not is_rule and not code)
        )
        if starts_here or not blocks:
            blocks.append((start, end, code))
        else:
            blocks[-1] = (blocks[-1][0], end, blocks[-1][2])
        fresh, indent = is_rule, before
    return blocks


def _stops(text: str, start: int, end: int) -> list[int]:
    """Where sentences end inside a block, its end not included."""
    return [
        match.end()
        for match in _STOP.finditer(text, start, end)
        if match.end() < end
        and (match["latin"] is None or _ends_sentence(text, start, match))
    ]


def _ends_sentence(text: str, start: int, match: re.Match[str]) -> bool:
    after = _AFTER.match(text, match.end())
    assert after is not None  # every part of it may be empty
    word, marks = after["word"], after["marks"]
    if word[:1].islower() and not (marks and marks[-1] in "`*_"):
        return False
    if match["latin"] != ".":
        return True
    # Whatever can make a difference is near, and a text may be a single line.
    near = max(start, match.start() - 40)
    line = text.rfind("\n", near, match.start()) + 1 or near
    if _ENUMERATOR.match(text, line, match.start() + 1):
        return False
    if match.end() > match.start() + 1:  # a quote or bracket was closed
        return True
    found = _BEFORE.search(text, line, match.start())
    token = found[0] if found else ""
    lowered = token.lower()
    if lowered in _ABBREVIATIONS:
        return False
    if lowered in _NUMBERED:
        first = text[after.end() : after.end() + 1]
        return not (first.isdigit() or "(" in marks)
    initials = "." in token and all(len(part) == 1 for part in token.split("."))
    if len(token) == 1:
        initials = token.isupper() and token != "I"
    if initials or lowered in _MAY_END:
        return word.lower() in _STARTERS
    return True
