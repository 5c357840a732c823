"""One style sheet for the site: of all that themes and extensions bring, what it uses.

The sheets come to half a megabyte, nearly all for things that are on no page (every
icon of a font, every component of Bootstrap), and a browser shows nothing before it has
read them.
"""

import os
import re
from pathlib import Path

import tinycss2
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont
from sphinx.application import Sphinx

SHEET = "site.css"  # named in _templates/layout.html
FIRST = ("styles/theme.css", "styles/pydata-sphinx-theme.css")  # before Sphinx's own
FONT = "vendor/fontawesome/webfonts/fa-solid-900.ttf"
ICONS = "icons.woff"
ICON_SOURCE = re.compile(r"src:url\([^)]*fa-solid-900\.woff2[^}]*(?=})")
ASIDE = re.compile(r"\([^()]*\)|\[[^\]]*\]")  # :not(.a) needs no .a


def words_of(folder: Path) -> set[str]:
    """All that may be the name of a class on a page, now or once a script has run."""
    pages = (p for p in folder.rglob("*.html") if "_sources" not in p.parts)
    scripts = (p for p in folder.rglob("*.js") if p.name != "searchindex.js")
    text = "".join(p.read_text(encoding="utf-8") for p in (*pages, *scripts))
    return set(re.findall(r"[\w-]+", text))


def used(selector: str, words: set[str]) -> bool:
    while (shorter := ASIDE.sub("", selector)) != selector:
        selector = shorter
    return all(
        name in words for name in re.findall(r"[.#](-?[A-Za-z_][\w-]*)", selector)
    )


def trimmed(rules: list, words: set[str]) -> str:
    """The rules less those whose selectors all name a class that is nowhere."""
    kept = []
    for rule in rules:
        if rule.type == "qualified-rule":
            selectors = re.split(r",(?![^(]*\))", tinycss2.serialize(rule.prelude))
            selectors = [s.strip() for s in selectors if used(s, words)]
            if selectors:
                content = tinycss2.serialize(rule.content).strip()
                kept.append(f"{','.join(selectors)}{{{content}}}")
        elif rule.type == "at-rule" and rule.at_keyword in ("media", "supports"):
            inner = tinycss2.parse_rule_list(rule.content, True, True)
            if content := trimmed(inner, words):
                prelude = tinycss2.serialize(rule.prelude).strip()
                kept.append(f"@{rule.at_keyword} {prelude}{{{content}}}")
        elif rule.type == "at-rule":
            kept.append(rule.serialize())
    return "\n".join(kept)


def moved(sheet: str, old: Path, new: Path) -> str:
    """The same with its addresses relative to another folder."""

    def address(match: re.Match[str]) -> str:
        if re.match(r"data:|https?:|#", match[1]):
            return match[0]
        path, mark, rest = re.match(r"([^?#]*)([?#]?)(.*)", match[1]).groups()
        return f'url("{os.path.relpath(old / path, new)}{mark}{rest}")'

    return re.sub(r"""url\(["']?((?!data:)[^"')]+)["']?\)""", address, sheet)


def read(file: Path) -> str:
    """A style sheet with those that it imports."""

    def imported(match: re.Match[str]) -> str:
        return moved(
            read(file.parent / match[1]), (file.parent / match[1]).parent, file.parent
        )

    text = file.read_text(encoding="utf-8")
    return re.sub(r"""@import (?:url\()?["']([^"']+)["']\)?;""", imported, text)


def write_icons(sheet: str, static: Path) -> None:
    """A dozen icons for the font of thousands, of 150 KB, that they are drawn from."""
    wanted = re.findall(r"[\ue000-\uf8ff]", sheet)
    font = TTFont(static / FONT, recalcTimestamp=False)
    options = Options(flavor="woff", notdef_outline=True)
    subsetter = Subsetter(options)
    subsetter.populate(text="".join(wanted))
    subsetter.subset(font)
    font.flavor = "woff"
    font.save(static / f".{ICONS}")
    (static / f".{ICONS}").replace(static / ICONS)


def write_sheet(app: Sphinx, error: Exception | None) -> None:
    if error or app.builder.format != "html":
        return
    out = Path(app.outdir)
    static = out / "_static"
    words = words_of(out)
    added = sorted(app.builder._css_files, key=lambda sheet: sheet.priority)
    names = [*FIRST, *(str(sheet.filename) for sheet in added)]
    files = [(static / name.removeprefix("_static/")).resolve() for name in names]
    parts = []
    for file in dict.fromkeys(files):
        text = moved(read(file), file.parent, static.resolve())
        rules = tinycss2.parse_stylesheet(text, True, True)
        parts.append(trimmed(rules, words))
    sheet = "\n".join(parts)
    write_icons(sheet, static)
    new = static / f".{SHEET}"
    new.write_text(ICON_SOURCE.sub(f"src:url({ICONS})", sheet), encoding="utf-8")
    new.replace(static / SHEET)


def setup(app: Sphinx) -> dict[str, bool]:
    # After the theme, which writes the colours of code at the same event.
    app.connect("build-finished", write_sheet, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
