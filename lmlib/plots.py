"""One look for all figures of the course: `use_style()` once, then plain matplotlib.

The palette is Okabe and Ito's (2008), which people with any kind of colour blindness
can tell apart; its order here puts the strongest contrasts first.
"""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.image import AxesImage
from torch import Tensor

BLUE, VERMILION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
PURPLE, SKY, BLACK = "#CC79A7", "#56B4E9", "#222222"
PALETTE = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, BLACK)

#: White is zero, so that what is masked out disappears into the page.
WEIGHTS = LinearSegmentedColormap.from_list(
    "weights", ["#FFFFFF", "#6BAED6", "#08306B"]
)
#: White is zero, blue positive, vermilion negative.
SIGNED = LinearSegmentedColormap.from_list("signed", [VERMILION, "#FFFFFF", BLUE])

_STYLE: Any = {  # as dict[str, object] it would not fit matplotlib's annotations
    # The text column is 46 rem = 736 CSS pixels = 552 points wide; 7.4 in fill it.
    "figure.figsize": (6.4, 3.6),
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "font.size": 10.5,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.labelsize": 10.5,
    "axes.labelcolor": BLACK,
    "axes.edgecolor": "#666666",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.prop_cycle": cycler(color=PALETTE),
    "grid.color": "#E5E5E5",
    "grid.linewidth": 0.8,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "svg.fonttype": "path",  # looks the same whatever fonts the reader has
    # Without it the ids in an SVG, and so its bytes, are random.
    "svg.hashsalt": "compression-is-intelligence",
}


def use_style() -> None:
    """Set matplotlib's defaults to the course's; in a notebook, draw figures as SVG."""
    mpl.rcParams.update(_STYLE)
    if mpl.get_backend().endswith("inline"):
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        # No date in the file, so that the same figure is the same bytes.
        set_matplotlib_formats("svg", metadata={"Date": None})  # type: ignore[no-untyped-call]


def heatmap(
    ax: Axes,
    matrix: Float[Tensor, "rows columns"] | Float[np.ndarray, "rows columns"],
    *,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    signed: bool = False,
    limit: float | None = None,
    annotate: bool = False,
) -> AxesImage:
    """Draw a matrix as coloured cells, such as attention weights between tokens.

    Row 0 is at the top. `rows` and `columns` are labels, for attention the queries and
    the keys. Zero is white; without `signed` larger is darker, with it negative and
    positive have colours of their own. `limit` is the entry of the strongest colour, by
    default the largest in size: set it to compare several maps. `annotate` writes each
    entry into its cell. Returns the image, for `figure.colorbar(image, ax=ax)`.

    Raises:
        ValueError: there is not one label for each row, or for each column.
    """
    values = np.asarray(matrix.detach().cpu() if isinstance(matrix, Tensor) else matrix)
    for name, labels, size in zip(
        ("rows", "columns"), (rows, columns), values.shape, strict=True
    ):
        if labels is not None and len(labels) != size:
            raise ValueError(f"{name} must have {size} labels, got {len(labels)}")
    limit = float(np.abs(values).max()) if limit is None else limit
    norm = Normalize(-limit if signed else 0.0, limit)
    image = ax.imshow(values, cmap=SIGNED if signed else WEIGHTS, norm=norm)
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    if rows is not None:
        ax.set_yticks(range(len(rows)), rows)
    if columns is not None:
        long = max(map(len, columns), default=0) > 4
        ax.set_xticks(range(len(columns)), columns, rotation=90 if long else 0)
    if annotate:
        for (row, column), value in np.ndenumerate(values):
            color = "white" if _luminance(image.to_rgba(value)) < 0.179 else "black"
            ax.text(column, row, f"{value:.2f}", ha="center", va="center", color=color)
    return image


def _luminance(rgba: Any) -> float:
    """Relative luminance (WCAG 2.1): below 0.179 white contrasts more than black."""
    c = np.asarray(rgba)[:3]
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))
