"""Figures that are moved by hand: keys and pointer do it, to numbers of torch."""

import math
import re
import shutil

import pytest
import torch

from lmlib.interactive import AttentionRow, NextToken
from lmlib.models.generate import probabilities
from tests.book.pages import AXE, CHECKS, ROOT, RUN_AXE, SHIFT, html_faults

TOKENS = ["⟨start⟩", " To", " be", " <or>", " not", "\n"]
N = len(TOKENS)
HEAD = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>figures</title>'
    '<link rel="stylesheet" href="_static/course.css"><main>'
)
FOOT = '</main><script src="_static/course.js"></script>'


@pytest.fixture(scope="module")
def weights():
    generator = torch.Generator().manual_seed(0)
    scores = 3 * torch.randn(2, 3, N, N, generator=generator, dtype=torch.float64)
    past = torch.ones(N, N, dtype=torch.bool).tril()
    return scores.masked_fill(~past, -math.inf).softmax(dim=-1)


@pytest.fixture(scope="module")
def logits():
    return 2 * torch.randn(500, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def file(weights, logits, tmp_path_factory):
    """Both figures in a page of their own, with the site's script and style."""
    folder = tmp_path_factory.mktemp("figures")
    shutil.copytree(ROOT / "book" / "_live" / "public", folder, dirs_exist_ok=True)
    shutil.copytree(ROOT / "book" / "_static", folder / "_static")
    names = [f" t{i}" for i in logits.topk(12).indices.tolist()]
    body = AttentionRow(TOKENS, list(weights))._repr_html_()
    body += NextToken(logits, names)._repr_html_()
    (folder / "index.html").write_text(HEAD + body + FOOT)
    return folder / "index.html"


@pytest.fixture
def page(page, file):
    page.problems, page.requested = [], []
    page.on("request", lambda request: page.requested.append(request.url))
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.goto(file.as_uri())
    page.wait_for_selector("[data-moved=attention][data-chosen]")
    page.wait_for_selector("[data-moved=next-token][data-kept]")
    yield page
    assert not page.problems
    assert all(url.startswith("file:") for url in page.requested)


def state(page, figure, name):
    return page.get_attribute(f".moved[data-moved={figure}]", f"data-{name}")


def entropy_bits(p):
    return float(torch.special.entr(p).sum()) / math.log(2)


def looked(page):
    """The token that asks, and its weights as the page has them."""
    chosen = int(state(page, "attention", "chosen"))
    found = [float(w) for w in state(page, "attention", "weights").split(",")]
    return chosen, torch.tensor(found, dtype=torch.float64)


def test_arrow_keys_choose_the_token_that_asks(page, weights):
    page.focus(".moved-tokens")
    assert looked(page)[0] == N - 1
    moves = {"Home": 0, "ArrowLeft": 0, "ArrowRight": 1, "ArrowDown": 2, "ArrowUp": 1}
    for key, expected in {**moves, "End": N - 1}.items():
        page.keyboard.press(key)
        chosen, found = looked(page)
        assert chosen == expected
        assert torch.allclose(found, weights[0, 0, chosen], atol=1e-4)
        shares = page.locator(".moved-tokens .moved-share").all_inner_texts()
        past = [f"{100 * w:.0f} %" for w in found[: chosen + 1].tolist()]
        assert shares == past + ["–"] * (N - 1 - chosen)
        active = page.get_attribute(".moved-tokens", "aria-activedescendant")
        described = page.get_attribute(f"#{active}", "aria-describedby")
        said = page.inner_text(f"#{described}")
        bits = entropy_bits(weights[0, 0, chosen])
        (stated,) = re.findall(r"Entropy ([\d.]+) bits", said)
        assert float(stated) == pytest.approx(bits, abs=0.012)
        selected = page.locator(".moved-token[aria-selected=true]")
        assert selected.get_attribute("id") == active


def test_pointer_and_menus_choose_too(page, weights):
    page.hover(".moved-token >> nth=3")
    assert looked(page)[0] == 3
    page.click(".moved-token >> nth=2")
    page.select_option("[data-moved=layer]", label="2")
    for head, expected in (
        ("3", weights[1, 2]),
        ("mean of all", weights[1].mean(dim=0)),
    ):
        page.select_option("[data-moved=head]", label=head)
        chosen, found = looked(page)
        assert chosen == 2
        assert torch.allclose(found, expected[2], atol=1e-4)
    said = page.inner_text("[data-moved=attention] .moved-said")
    first = int(expected[2].argmax())
    name = "itself" if first == 2 else TOKENS[first].strip()
    assert f"looks at {name} {100 * expected[2, first]:.1f} %" in said


@pytest.mark.parametrize(
    ("temperature", "top_p"),
    [(1.0, 1.0), (0.1, 1.0), (2.0, 1.0), (0.7, 0.9), (1.6, 0.5), (1.0, 0.05)],
)
def test_sliders_draw_what_torch_computes(page, logits, temperature, top_p):
    for name, value in (("temperature", temperature), ("top-p", top_p)):
        # From its end step by step, as a reader without a mouse does.
        page.focus(f"[data-moved={name}][type=range]")
        page.keyboard.press("Home")
        low = {"temperature": 0.1, "top-p": 0.05}[name]
        for _ in range(round((value - low) / 0.05)):
            page.keyboard.press("ArrowRight")
        assert page.inner_text(f"[data-moved={name}-now]") == f"{value:.2f}"
    p = probabilities(logits.double()[None], temperature)[0]
    cut = None if top_p == 1 else top_p
    drawn = probabilities(logits.double()[None], temperature, top_p=cut)[0]
    kept = int((drawn > 0).sum())
    assert int(state(page, "next-token", "kept")) == kept
    bits = float(state(page, "next-token", "bits"))
    assert bits == pytest.approx(entropy_bits(p), abs=0.005)
    top = drawn.sort(descending=True).values[:12]
    found = [float(x) for x in state(page, "next-token", "drawn").split(",")]
    assert found == pytest.approx(top.tolist(), abs=2e-4)
    rows = page.locator(".moved-table tbody .moved-share").all_inner_texts()
    stated = [row == "cut" or float(row.split()[0]) / 100 for row in rows]
    assert [s is True for s in stated] == [kept <= i for i in range(13)]
    whole = [*top.tolist(), 1 - float(top.sum())]
    for i, share in enumerate(stated):
        assert share is True or share == pytest.approx(whole[i], abs=7e-4)
    said = page.inner_text("[data-moved=next-token] .moved-said")
    assert f"Entropy {bits:.2f} bits" in said
    if cut:
        assert f"keeps {kept} of 500 tokens" in said
        left = float(re.findall(r"worth ([\d.]+) bits", said)[0])
        assert left == pytest.approx(entropy_bits(drawn), abs=0.011)
    spoken = page.get_attribute("[type=range][data-moved=top-p]", "aria-valuetext")
    assert spoken.startswith(f"{top_p:.2f}: t")
    assert spoken.endswith(f"{kept} tokens")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_is_wrong_with_the_figures(page, file, theme):
    assert page.evaluate(SHIFT) < 0.01
    assert html_faults(file.read_text()) == []
    page.evaluate(AXE)
    page.evaluate(
        "(theme) => { document.documentElement.dataset.theme = theme; }", theme
    )
    page.evaluate(
        "document.body.style.background = getComputedStyle(document"
        ".documentElement).getPropertyValue('--pst-color-background')"
    )
    page.evaluate(
        "document.body.style.color = getComputedStyle(document"
        ".documentElement).getPropertyValue('--pst-color-text-base')"
    )
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 844})
        found = page.evaluate(CHECKS) + page.evaluate(RUN_AXE)
        page_itself = ("landmark", "region", "page-has-heading-one")
        assert not [f for f in found if not any(f"axe: {n}" in f for n in page_itself)]


def test_without_javascript_the_first_state_remains(browser, file, weights, logits):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(file.as_uri())
    shares = page.locator(".moved-tokens .moved-share").all_inner_texts()
    assert shares == [f"{100 * w:.0f} %" for w in weights[0, 0, -1].tolist()]
    assert page.locator(".moved-controls").first.is_hidden()
    rows = page.locator(".moved-table tbody .moved-share").all_inner_texts()
    first = 100 * float(logits.softmax(dim=0).max())
    assert rows[0] == f"{first:.1f} %"
    context.close()
