import io

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from lmlib import plots


@pytest.fixture(autouse=True)
def style():
    with mpl.rc_context():
        plots.use_style()
        yield
    plt.close("all")


def svg() -> bytes:
    figure, ax = plt.subplots()
    ax.plot([1, 2, 3], label="a")
    ax.plot([3, 1, 2], label="b")
    ax.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def test_the_same_figure_is_the_same_file():
    assert svg() == svg()


def test_zero_is_the_colour_of_the_page_and_labels_are_where_they_belong():
    _, ax = plt.subplots()
    matrix = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    image = plots.heatmap(ax, matrix, rows=["a", "b"], columns=["x", "y", "z"])
    colours = image.to_rgba(image.get_array())
    np.testing.assert_allclose(colours[0, 1], (1, 1, 1, 1))
    assert colours[0, 0, :3].sum() < colours[1, 0, :3].sum()  # more is darker
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["x", "y", "z"]
    assert ax.yaxis_inverted()  # row 0 is at the top


def test_signed_colours_are_symmetric_about_white():
    _, ax = plt.subplots()
    image = plots.heatmap(ax, np.array([[-1.0, 0.0, 3.0]]), signed=True)
    assert image.norm.vmin == -3
    np.testing.assert_allclose(image.to_rgba(0.0)[:3], (1, 1, 1), atol=0.01)
    np.testing.assert_allclose(image.to_rgba(3.0)[:3], to_rgb(plots.BLUE))
    np.testing.assert_allclose(image.to_rgba(-3.0)[:3], to_rgb(plots.VERMILION))


def test_a_missing_label_is_an_error():
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match="rows must have 2 labels, got 1"):
        plots.heatmap(ax, np.eye(2), rows=["only one"])


@pytest.mark.parametrize("value", [0.0, 0.4, 0.5, 0.6, 0.7, 1.0])
def test_what_is_written_in_a_cell_can_be_read(value):
    _, ax = plt.subplots()
    image = plots.heatmap(ax, np.full((1, 1), value), limit=1.0, annotate=True)
    text = luminance(to_rgb(ax.texts[0].get_color()))
    ground = luminance(image.to_rgba(value)[:3])
    darker, lighter = sorted((text, ground))
    assert (lighter + 0.05) / (darker + 0.05) > 4.5  # WCAG AA


def luminance(colour) -> float:
    """Relative luminance as WCAG 2.1 defines it."""
    linear = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour
    )
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
