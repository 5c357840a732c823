"""What a student wrote, made fit to be looked at."""

import re
import unicodedata

LINE = 500
LINES = 400
CHARACTERS = 40_000

# CSI sequences (colours, cursor), OSC sequences (titles, links), other escapes.
ANSI = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-Z\\^_]?"
)


def shown(text: str) -> str:
    """`text` without colours and tricks, and cut to a length that a page can bear.

    Characters that are not seen (controls, zero width, those that turn the direction
    of writing) are named instead, because they can make code look like other code.
    What is cut off is said in a sentence.
    """
    rest = len(text) - CHARACTERS
    text = ANSI.sub("", text[:CHARACTERS]).replace("\r\n", "\n").replace("\r", "\n")
    lines = [_named(line) for line in text.split("\n")]
    cut = [
        line
        if len(line) <= LINE
        else f"{line[:LINE]} … ({len(line) - LINE} more "
        "characters in this line are not shown.)"
        for line in lines[:LINES]
    ]
    if len(lines) > LINES:
        cut.append(f"… ({len(lines) - LINES} more lines are not shown.)")
    if rest > 0:
        cut.append(f"… ({rest} more characters are not shown.)")
    return "\n".join(cut)


#: What begins a line of a report: in a student's words something else stands there.
MARKS = str.maketrans({"✓": "v", "✗": "x"})


def one_line(text: str, limit: int = LINE) -> str:
    """`text` as words on one line, which no line of a report can be taken for."""
    words = " ".join(shown(text[: 2 * limit]).split()).translate(MARKS)
    return words if len(words) <= limit else words[: limit - 1] + "…"


def _named(line: str) -> str:
    if line.isprintable():  # nearly all are, and this is fast
        return line
    return "".join(
        f"⟨U+{ord(c):04X}⟩"
        if c != "\t" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co")
        else c
        for c in line
    )
