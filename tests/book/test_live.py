"""The landing page's live model: the browser computes what torch computes."""

import importlib.util
import json
import math
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
import torch

LIVE = Path(__file__).parents[2] / "book" / "_live"
SCRIPT = LIVE / "public" / "live" / "model.js"
RECORD = json.loads((LIVE / "public" / "live" / "model.json").read_text())
WIDGET = (LIVE / "widget.html").read_text()
SENTENCE = re.search(r"<textarea[^>]*>([^<]*)</textarea>", WIDGET).group(1)
LONG = "A model that predicts well compresses well, and the other way round.\n" * 8
TEXTS = {
    "empty": "",
    "one character": "a",
    "a sentence": SENTENCE,
    "technical": "Return a new list containing all items from the iterable.",
    "not ASCII": "Die Größe – naïve café, 你好, 🙂.",
    "whitespace": "\tdef f(x):\n\n        return x  \n",
    "longer than the window": LONG[:600],
}

spec = importlib.util.spec_from_file_location("live_train", LIVE / "train.py")
live = importlib.util.module_from_spec(spec)
spec.loader.exec_module(live)


@pytest.fixture(scope="module")
def model():
    return live.load(SCRIPT)


def cost(model, text):
    return float(live.bits(model, text.encode()).sum())


# -- The exported model ---------------------------------------------------------------


def test_record_matches_the_weights(model):
    exported = json.loads(SCRIPT.read_text().partition("=")[2].rstrip().rstrip(";"))
    assert exported["record"] == RECORD
    assert sum(p.numel() for p in model.parameters()) == RECORD["parameters"]
    # The sum of 600 logarithms in float32: another machine may differ by 1e-5 of it.
    expected = pytest.approx(RECORD["sample_bits"], abs=0.02)
    assert cost(model, RECORD["sample"]) == expected
    assert SCRIPT.stat().st_size <= 350_000


def test_rounding_to_8_bits_costs_little():
    before = RECORD["held_out_bits_per_byte_float32"]
    assert RECORD["held_out_bits_per_byte"] - before < 0.005


def test_unpack_undoes_pack_to_half_a_step():
    torch.manual_seed(0)
    model = live.ByteModel(d_model=8, n_layers=1, n_heads=2, window=4)
    model.blocks[0].norm1.bias.data.normal_()
    shapes, data = live.pack(model)
    state = live.unpack(shapes, data)
    for name, p in model.state_dict().items():
        if p.ndim == 1:  # bfloat16 keeps 8 significant bits
            assert torch.allclose(state[name], p, rtol=2**-8, atol=0)
        else:  # a scale rounded down may clip the largest weight by 2^-8 of itself
            largest = p.abs().amax(dim=1, keepdim=True)
            assert ((state[name] - p).abs() <= largest * (0.51 / 127 + 2**-8)).all()


def test_a_byte_is_paid_for_before_it_is_read(model):
    text = LONG[:200].encode()
    changed = text[:120] + b"?" + text[121:]
    before, after = live.bits(model, text), live.bits(model, changed)
    assert torch.equal(before[:120], after[:120])
    assert (before[121:125] != after[121:125]).all()
    # What the last letter costs follows from the letters before it alone.
    read = torch.tensor([[0, *text[:50]]])
    first = live.bits(model, text[:51])[50]
    with torch.no_grad():
        p = model(read)[0, -1].double().softmax(0)
    assert -math.log2(p[text[50]]) == pytest.approx(float(first), abs=1e-4)


def test_held_out_paragraphs_are_not_learned():
    names = [f"module{i}.py" for i in range(100)]
    hidden = [name for name in names if live.held_out(name)]
    assert 1 <= len(hidden) < 20
    shared = "This paragraph stands in every one of the hundred documents."
    sources = {
        name: [
            f"{shared}\n\nThis one, {i}, is only in the module that is called {name}."
        ]
        for i, name in enumerate(names)
    }
    learned, unseen = live.split(sources)
    assert len(learned) + len(unseen) == 100
    assert len(unseen) == len(hidden)
    assert b"".join(unseen).count(shared.encode()) == 1
    assert shared.encode() not in b"".join(learned)


def test_widget_states_the_numbers_of_the_record():
    stated = dict(re.findall(r'data-record="(\w+)">([^<]+)<', WIDGET))
    exported = json.loads(SCRIPT.read_text().partition("=")[2].rstrip().rstrip(";"))
    assert stated == {
        "kilobytes": f"{RECORD['weights_bytes'] / 1000:.0f}",
        "parameters": f"{RECORD['parameters']:,}",
        "layers": {4: "four"}[exported["config"]["n_layers"]],
        "minutes": f"{RECORD['minutes']:.0f}",
        "megabytes": f"{RECORD['training_bytes'] / 1e6:.1f}",
        "held_out": f"{RECORD['held_out_bits_per_byte']:.2f}",
    }


# -- In the browser -------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):
    """The widget alone in a page of its own, opened from a file."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(LIVE / "public", folder, dirs_exist_ok=True)
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>live</title>'
    (folder / "index.html").write_text(f'{head}<div class="live-card">{WIDGET}</div>')
    page = browser.new_page()
    page.problems, page.requested = [], []
    page.on("request", lambda request: page.requested.append(request.url))
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on(
        "console",
        lambda message: (
            message.type in ("error", "warning") and page.problems.append(message.text)
        ),
    )
    page.goto((folder / "index.html").as_uri())
    settle(page)
    yield page
    page.close()


def settle(page):
    page.wait_for_selector(".live[data-state=ready][data-buttons=ready]")


def shown_bits(page):
    page.wait_for_selector(".live[data-state=ready]")
    return float(page.get_attribute(".live", "data-bits"))


@pytest.mark.parametrize("name", TEXTS)
def test_javascript_agrees_with_torch(page, model, name):
    text = TEXTS[name]
    in_browser = torch.tensor(page.evaluate("text => liveBits(text)", text))
    expected = live.bits(model, text.encode())
    assert in_browser.shape == expected.shape
    # float32 against float32 in another order of summation, byte by byte
    assert torch.allclose(in_browser.float(), expected, atol=1e-3, rtol=0)


def test_typing_and_editing_reuse_the_cache_correctly(page, model):
    page.fill("textarea", "")
    assert shown_bits(page) == 0
    page.locator("textarea").press_sequentially("The cat sat")
    assert shown_bits(page) == pytest.approx(cost(model, "The cat sat"), abs=0.01)
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    page.keyboard.type("é")
    assert page.input_value("textarea") == "The cat ésat"
    assert shown_bits(page) == pytest.approx(cost(model, "The cat ésat"), abs=0.01)
    page.fill("textarea", TEXTS["not ASCII"])
    expected = cost(model, TEXTS["not ASCII"])
    assert shown_bits(page) == pytest.approx(expected, abs=0.01)
    count = len(TEXTS["not ASCII"])
    assert page.locator(".live-letter").count() == count
    rate = page.inner_text("tr[data-live=model] .live-rate")
    assert float(rate) == pytest.approx(expected / count, abs=0.0051)
    raw = page.inner_text("tr[data-live=raw] .live-total")
    assert int(raw) == 8 * len(TEXTS["not ASCII"].encode())


def test_box_takes_600_characters_and_says_so(page):
    page.fill("textarea", "")
    page.focus("textarea")
    page.keyboard.insert_text("a" * 700)
    assert len(page.input_value("textarea")) == 600
    assert "600 of 600 characters, the box is full" in page.inner_text(".live-head")
    shown_bits(page)


def test_what_is_cut_is_said(page):
    page.fill("#live-text", "")
    page.evaluate("""() => {
        const source = document.createElement("textarea");
        source.id = "source";
        source.value = "b".repeat(5000);
        document.body.append(source);
    }""")
    page.focus("#source")
    page.keyboard.press("Control+a")
    page.keyboard.press("Control+c")
    page.focus("#live-text")
    page.keyboard.press("Control+v")
    page.evaluate("document.querySelector('#source').remove()")
    assert len(page.input_value("textarea")) == 600
    shown_bits(page)
    assert "4,400 were cut" in page.inner_text(".live-head")
    page.click("[data-live=reset]")
    settle(page)
    assert "cut" not in page.inner_text(".live-head")


def test_unknown_letters_get_an_honest_word(page):
    page.fill("textarea", "你好世界")
    shown_bits(page)
    said = page.inner_text("[data-live=meaning]")
    assert "4 of these 4 characters are made of bytes that the model has hardly" in said
    assert "more than a thousand million characters" in said
    assert not re.search(r"\d{4}|,\d{3}", said)
    page.fill("textarea", "naïve")
    shown_bits(page)
    assert "But 1 of these 5 characters" in page.inner_text("[data-live=meaning]")
    page.fill("textarea", SENTENCE)
    shown_bits(page)
    assert "hardly seen" not in page.inner_text("[data-live=meaning]")


def test_structure_is_worth_bits(page, model):
    page.click("[data-live=reset]")
    settle(page)
    texts, costs = {}, {}
    for name in ("sentence", "words", "letters", "random"):
        page.click(f"[data-variant={name}]")
        texts[name] = page.input_value("textarea")
        costs[name] = shown_bits(page) / len(texts[name])
        assert costs[name] == pytest.approx(
            cost(model, texts[name]) / len(texts[name]), abs=1e-3
        )
        button = page.get_attribute(f"[data-variant={name}]", "data-cost")
        assert float(button) == pytest.approx(costs[name], abs=1e-6)
        without_script = re.search(f'data-noscript="{name}">([^<]+)<', WIDGET).group(1)
        assert without_script == f"{costs[name]:.2f}"
    assert texts["sentence"] == SENTENCE
    assert Counter(texts["words"].split()) == Counter(SENTENCE.split())
    assert Counter(texts["letters"]) == Counter(SENTENCE)
    assert len(set(texts.values())) == 4
    assert costs["sentence"] < costs["words"] < costs["letters"] < costs["random"]


def test_letters_are_reached_by_keyboard_and_named(page, model):
    page.click("[data-live=reset]")
    settle(page)
    page.focus("[role=listbox]")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    active = page.get_attribute("[role=listbox]", "aria-activedescendant")
    label = page.get_attribute(f"#{active}", "aria-label")
    second = float(live.bits(model, SENTENCE.encode())[1])
    assert label.startswith(f"{SENTENCE[1]}, {second:.1f} bits. Expected: ")
    assert page.locator("[aria-selected=true]").count() == 1
    assert page.inner_text("[data-live=came]") == SENTENCE[1]
    assert page.locator("[data-live=guesses] li").count() == 5
    assert page.locator(".live-came").count() == 1


def test_page_asks_nothing_of_the_network_and_reports_no_error(page):
    assert page.problems == []
    names = [url.rpartition("/")[2] for url in page.requested]
    assert sorted(names) == ["index.html", "live.css", "live.js", "model.js"]
    assert all(url.startswith("file://") for url in page.requested)
