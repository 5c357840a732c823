"""The map of prerequisites: drawn, and written out, from book/prerequisites.yml.

`{prerequisites}` on a page becomes a drawing and a list that says the same in words. A
section that has no page yet is left out, and what needs it needs what it needs.
"""

import re
from collections.abc import Mapping
from html import escape
from itertools import pairwise
from pathlib import Path

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

BOOK = Path(__file__).resolve().parent.parent
WIDTH, HEIGHT, GAP_X, GAP_Y = 66, 30, 14, 34  # of a box and between boxes, in pixels

Needs = dict[str, list[str]]


def read_map(path: Path = BOOK / "prerequisites.yml") -> dict[str, dict]:
    """Section → what it `needs` and what it `gives`."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def pages_of(toc: str) -> dict[str, str]:
    """Number of a section → its page, of those in a table of contents."""
    found = re.findall(r"file: ([0-9]-[\w-]+/([0-9c](?:\.[0-9]+)*)-[\w-]+)", toc)
    return {number: page for page, number in found}


def order_of(needs: Mapping[str, list[str]]) -> list[str]:
    """The sections, each after those that it needs.

    Raises:
        ValueError: they need each other in a circle, or one that is not on the map.
    """
    done: list[str] = []

    def visit(name: str, way: tuple[str, ...]) -> None:
        if name in way:
            raise ValueError("a circle: " + " → ".join([*way[way.index(name) :], name]))
        if name not in needs:
            raise ValueError(f"{way[-1]} needs {name}, which is not on the map")
        if name not in done:
            for other in needs[name]:
                visit(other, (*way, name))
            done.append(name)

    for name in needs:
        visit(name, ())
    return done


def there(needs: Needs, pages: Mapping[str, str]) -> Needs:
    """The map without the sections that have no page; what they need is passed on."""
    full: dict[str, list[str]] = {}
    for name in order_of(needs):
        passed = [
            more
            for other in needs[name]
            for more in ([other] if other in pages else full[other])
        ]
        full[name] = list(dict.fromkeys(passed))
    return {name: full[name] for name in needs if name in pages}


def direct(needs: Needs) -> Needs:
    """Without what is needed by something else that is needed: it needs no arrow."""
    behind: dict[str, set[str]] = {}
    for name in order_of(needs):
        behind[name] = {o for other in needs[name] for o in (other, *behind[other])}
    return {
        name: [o for o in others if not any(o in behind[other] for other in others)]
        for name, others in needs.items()
    }


def placed(needs: Needs) -> tuple[dict[str, tuple[float, float]], Needs, int, int]:
    """Where everything stands: a row for each step away from the beginning.

    An arrow that passes rows gets a narrow place of its own in each, "other>name@row".
    Returns the places, the way of each arrow as the places that it joins, and the size.
    """
    row: dict[str, int] = {}
    for name in order_of(needs):
        row[name] = max((row[other] + 1 for other in needs[name]), default=0)
    rows = [[n for n in needs if row[n] == i] for i in range(max(row.values()) + 1)]
    ways: Needs = {}
    above: dict[str, list[str]] = {name: [] for name in needs}
    for name, others in needs.items():
        for other in others:
            passed = [f"{other}>{name}@{i}" for i in range(row[other] + 1, row[name])]
            ways[f"{other}>{name}"] = way = [other, *passed, name]
            for i, place in enumerate(passed, row[other] + 1):
                rows[i].append(place)
            for upper, lower in pairwise(way):
                above.setdefault(lower, []).append(upper)
    middle: dict[str, float] = {}

    def wide(name: str) -> int:
        return GAP_X if "@" in name else WIDTH + GAP_X

    full = max(sum(map(wide, names)) for names in rows)
    for names in rows:
        # Below the middle of what it needs, as far as there is room.
        names.sort(
            key=lambda n: sum(middle[o] for o in above[n]) / max(len(above[n]), 1)
        )
        x = (full - sum(map(wide, names))) / 2
        for name in names:
            middle[name] = x + wide(name) / 2
            x += wide(name)
    places = {
        name: (middle[name], i * (HEIGHT + GAP_Y) + 4.0)
        for i, names in enumerate(rows)
        for name in names
    }
    return places, ways, full, len(rows) * (HEIGHT + GAP_Y) - GAP_Y + 8


def drawn(needs: Needs, addresses: Mapping[str, str]) -> str:
    """An SVG of the sections and an arrow for each direct need."""
    places, ways, width, height = placed(direct(needs))
    lines = []
    for way in ways.values():
        x, y = places[way[0]]
        path = f"M{x:g} {y + HEIGHT:g}"
        for place in way[1:]:
            from_x, from_y = x, y + HEIGHT
            x, y = places[place]
            tip = y if "@" in place else y - 4  # the arrow's head takes the rest
            half = (tip - from_y) / 2
            path += f"C{from_x:g} {from_y + half:g} {x:g} {tip - half:g} {x:g} {tip:g}"
            if "@" in place:
                path += f"V{y + HEIGHT:g}"
        lines.append(f'<path d="{path}" />')
    boxes = []
    for name in needs:
        x, y = places[name]
        boxes.append(
            f'<a href="{escape(addresses[name])}"><rect x="{x - WIDTH / 2:g}" '
            f'y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="5" /><text x="{x:g}" '
            f'y="{y + HEIGHT / 2 + 5:g}">{"capstone" if name == "c" else name}</text>'
            "</a>"
        )
    return (
        '<svg class="prerequisites" role="group" aria-label="What a section needs, '
        f'also in the list below" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}"><defs><marker id="needs" viewBox="0 0 6 6" '
        'refX="3" refY="3" markerWidth="6" markerHeight="6" orient="auto">'
        '<path d="M0 0L6 3L0 6z" /></marker></defs><g class="arrows">'
        f"{''.join(lines)}</g>{''.join(boxes)}</svg>"
    )


class Prerequisites(SphinxDirective):
    """The map, of the sections that are there."""

    def run(self) -> list[nodes.Node]:
        for file in ("prerequisites.yml", "_toc.yml", "_ext/prerequisites.py"):
            self.env.note_dependency(str(BOOK / file))
        sections = read_map()
        pages = pages_of((BOOK / "_toc.yml").read_text(encoding="utf-8"))
        needs = there({name: s["needs"] for name, s in sections.items()}, pages)
        root = "../" * self.env.docname.count("/")
        addresses = {name: f"{root}{page}.html" for name, page in pages.items()}
        svg = drawn(needs, addresses)

        def link(name: str) -> str:
            label = "the capstone" if name == "c" else name
            return f'<a href="{escape(addresses[name])}">{label}</a>'

        items = "".join(
            f"<li>{link(name)} needs "
            + (", ".join(map(link, others)) or "nothing before it")
            + f", and gives {escape(sections[name]['gives'])}</li>"
            for name, others in needs.items()
        )
        html = (
            '<div class="prerequisites-box" role="region" tabindex="0" '
            f'aria-label="Map of prerequisites">{svg}</div>'
            f'<details class="prerequisites-list"><summary>The map in words</summary>'
            f"<ul>{items}</ul></details>"
        )
        return [nodes.raw("", html, format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("prerequisites", Prerequisites)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
