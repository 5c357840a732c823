"""The plots of the class report, as SVG that takes its colours from the page."""

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lmlib.grading.contest import scores
from lmlib.grading.results.item_analysis import Item
from lmlib.grading.results.record import Record

# Colours that stand for the page's: the page is light or dark, a plot cannot know.
INK, ACCENT, FAINT = "#010203", "#040506", "#070809"
PAGE = {INK: "currentColor", ACCENT: "var(--accent)", FAINT: "var(--line)"}
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "svg.fonttype": "none",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "patch.linewidth": 0,
}
# Narrow, so that the text is still read when the page is as wide as a telephone.
WIDTH = 4.6


def _svg(figure: Figure, name: str, says: str) -> Markup:
    """The figure for a page: its own ids, no size, a description."""
    FigureCanvasSVG(figure)
    file = io.StringIO()
    metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(file, format="svg", transparent=True, metadata=metadata)
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", text)
    text = re.sub(r' (id="|xlink:href="#)', rf" \1{name}-", text)
    text = text.replace("url(#", f"url(#{name}-")
    text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)
    label = f'<svg class="plot" role="img" aria-label="{escape(says)}"'
    text = text.replace("<svg", label, 1)
    for stands_for, colour in PAGE.items():
        text = text.replace(stands_for, colour)
    return Markup(text)


def _axes(height: float, most: int, n: int = 1) -> tuple[Figure, list[Axes]]:
    """`n` axes side by side, whose vertical one is marked with numbers up to `most`."""
    figure = Figure(figsize=(WIDTH, height))
    # Room for labels and numbers, in inches: a layout that matplotlib works out
    # takes as long as the drawing.
    left, bottom, right, top = 0.42 + 0.08 * len(str(most)), 0.46, 0.14, 0.08
    grid = {
        "left": left / WIDTH,
        "bottom": bottom / height,
        "right": 1 - right / WIDTH,
        "top": 1 - top / height,
        "wspace": 0.25,
    }
    drawn = figure.subplots(1, n, sharey=True, gridspec_kw=grid)
    return figure, list(np.atleast_1d(drawn))


def marks(records: Sequence[Record]) -> Markup | None:
    """How many students have which share of the points."""
    shares = [100 * r.score / r.max_points for r in records if r.max_points]
    if not shares:
        return None
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": "marks"}):
        figure, (axes,) = _axes(2.3, len(shares))
        counts, edges, _ = axes.hist(
            shares, bins=list(range(0, 101, 10)), color=ACCENT, rwidth=0.9
        )
        axes.set(xlabel="marks, % of the points", ylabel="students", xlim=(0, 100))
        axes.set_xticks(np.linspace(0, 100, 6))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y", linewidth=0.6)
        says = "; ".join(
            f"{low:g} to {high:g} %: {count:g}"
            for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
        )
        return _svg(figure, "marks", f"Students by share of the points. {says}.")


def items(rows: Sequence["Item"]) -> Markup | None:
    """Difficulty and discrimination, an exercise a row."""
    if not rows:
        return None
    places = np.arange(1, len(rows) + 1)
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": "items"}):
        figure, (left, right) = _axes(0.9 + 0.22 * len(rows), len(rows), 2)
        left.barh(places, [100 * row.mean_share for row in rows], 0.7, color=ACCENT)
        left.set(xlabel="mean share of points, %", xlim=(0, 100), ylabel="exercise")
        known = [(p, row.discrimination) for p, row in zip(places, rows, strict=True)]
        spots = [(p, r) for p, r in known if r is not None]
        right.axvline(0, color=FAINT, linewidth=1)
        x, y = [r for _, r in spots], [p for p, _ in spots]
        right.plot(x, y, "o", color=ACCENT, clip_on=False)  # whole, also at 1
        right.set(xlabel="item-rest correlation", xlim=(-1, 1))
        right.set_xticks([-1, 0, 1])
        left.set_yticks(places)
        left.set_ylim(len(rows) + 0.6, 0.4)
        for axes in (left, right):
            axes.grid(axis="x" if axes is left else "y", linewidth=0.6)
            axes.tick_params(axis="y", length=0)
        says = "Difficulty and discrimination by exercise; the table has the numbers."
        return _svg(figure, "items", says)


def time(seconds: Sequence[float]) -> Markup | None:
    """How long the submissions took to grade."""
    if not seconds:
        return None
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": "time"}):
        figure, (axes,) = _axes(1.9, len(seconds))
        # From milliseconds to minutes: equal bins on a logarithmic axis.
        logarithms = np.log10(np.maximum(seconds, 1e-3))
        low, high = np.floor(logarithms.min()), np.floor(logarithms.max()) + 1
        axes.hist(logarithms, bins=30, range=(low, high), color=ACCENT, rwidth=0.9)
        axes.set(xlabel="seconds to run", ylabel="submissions", xlim=(low, high))
        ticks = np.arange(low, high + 1)
        axes.set_xticks(ticks, [f"{10**tick:g}" for tick in ticks])
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y", linewidth=0.6)
        says = "Submissions by the seconds that they took; the text has the numbers."
        return _svg(figure, "time", says)


def contest(spots: Sequence[tuple[float, float]]) -> Markup | None:
    """Seconds against totals of the entries, and the frontier: none beats these."""
    if not spots:
        return None
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": "contest"}):
        figure, (axes,) = _axes(2.6, 1000)
        seconds, kilobytes = zip(
            *((s, total / 1000) for s, total in spots), strict=True
        )
        axes.plot(seconds, kilobytes, "o", color=ACCENT, clip_on=False)
        best = scores.frontier([(s, total / 1000) for s, total in spots])
        axes.step(*zip(*best, strict=True), where="post", color=INK, linewidth=1)
        axes.set(xlabel="seconds of processor time", ylabel="total, kB", xscale="log")
        axes.grid(linewidth=0.6)
        says = "Totals by seconds, with the frontier; the table has the numbers."
        return _svg(figure, "contest", says)
