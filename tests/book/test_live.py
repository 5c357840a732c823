"""The page that compresses what you type: the browser computes what lmlib computes."""

import importlib.util
import itertools
import json
import math
import random
import re
import shutil
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from lmlib.compression.coder import MOST, ONE, Encoder, frequencies
from lmlib.compression.logistic import squash_table, stretch_table
from lmlib.compression.mixing import Mixed, Mixture
from lmlib.compression.predictors import Bits
from tests.book.pages import AXE, RUN_AXE

LIVE = Path(__file__).parents[2] / "book" / "_live"
SCRIPT = LIVE / "public" / "live" / "model.js"
RECORD = json.loads((LIVE / "public" / "live" / "model.json").read_text())
WIDGET = (LIVE / "widget.html").read_text()
SENTENCE = re.search(r"<textarea[^>]*>([^<]*)</textarea>", WIDGET).group(1)
CHINESE = re.search(r'data-sample="([^"]*)"', WIDGET).group(1)
LONG = "A model that predicts well compresses well, and the other way round.\n" * 8
TEXTS = {
    "empty": "",
    "one character": "a",
    "a sentence": SENTENCE,
    "technical": "Return a new list containing all items from the iterable.",
    "not ASCII": "Die Größe – naïve café, 你好, 🙂.",
    "whitespace": "\tdef f(x):\n\n        return x  \n",
    "longer than the window": LONG[:600],
    "Chinese": CHINESE,
    "Chinese, longer than the window": CHINESE * 3,
    "both": f"{SENTENCE} {CHINESE} {SENTENCE}",
    # Six bytes are looked up and five agree: before the beginning all bytes are 0.
    "a match of five bytes": "tell, \0tell, tell, ",
}

spec = importlib.util.spec_from_file_location("live_train", LIVE / "train.py")
live = importlib.util.module_from_spec(spec)
spec.loader.exec_module(live)


@pytest.fixture(scope="module")
def model():
    return live.load(SCRIPT)


def cost(model, text):
    return float(live.bits(model, text.encode()).sum())


class NextByte:
    """The model as one of lmlib's predictors of bytes, of a text that is known."""

    def __init__(self, model, text):
        read = torch.tensor([[live.START, *text.encode()]])
        with torch.no_grad():
            self.p = model(read)[0].double().softmax(dim=-1).numpy()
        self.read = 0

    def frequencies(self):
        return frequencies(self.p[self.read])

    def update(self, byte):
        self.read += 1


def prices(predictor, text):
    """−log₂ p of each byte: the sum over its bits."""
    costs = []
    for byte in text.encode():
        costs.append(0.0)
        for place in range(7, -1, -1):
            bit, p1 = byte >> place & 1, predictor.p1()
            costs[-1] += math.log2(ONE / (p1 if bit else ONE - p1))
            predictor.update(bit)
    return torch.tensor(costs, dtype=torch.float64)


def both(model, text):
    return Mixture([Bits(NextByte(model, text)), Mixed()])


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


@pytest.fixture(scope="module")
def exact():
    """The model in float64, in which JavaScript computes."""
    return live.load(SCRIPT).double()


@pytest.mark.parametrize("name", TEXTS)
def test_javascript_agrees_with_lmlib(page, model, exact, name):
    text = TEXTS[name]
    found = page.evaluate("text => liveBits(text)", text)
    expected = {
        "model": live.bits(exact, text.encode()).double(),
        "mixer": prices(Mixed(), text),
        "both": prices(both(exact, text), text),
    }
    assert found.keys() == expected.keys()
    for predictor, costs in expected.items():
        in_browser = torch.tensor(found[predictor], dtype=torch.float64)
        assert in_browser.shape == costs.shape
        assert float((in_browser - costs).abs().sum()) < 1e-6, predictor
    # torch in float32, in another order of summation, byte by byte
    in_float32 = live.bits(model, text.encode()).double()
    assert torch.allclose(in_float32, expected["model"], atol=1e-4, rtol=0)


def test_the_mixer_finds_a_line_where_another_context_has_its_neighbour(page):
    """Of 2^22 lines that takes many contexts, and that they come again."""
    drawn = random.Random(0)
    half = "".join(drawn.choice("abcdefghijklmnopqrstuvwxyz ") for _ in range(1000))
    found = page.evaluate(
        """(text) => {
          const bytes = new TextEncoder().encode(text);
          const flat = new Float64Array(256).fill(8); // in the transformer's place
          const next = Array(bytes.length + 1).fill(flat);
          const mixed = new LIVE.MixedReader({ next });
          for (const byte of bytes) mixed.read(byte);
          return mixed.mixer;
        }""",
        half + half,
    )
    expected = prices(Mixed(), half + half)
    in_browser = torch.tensor(found, dtype=torch.float64)
    assert torch.allclose(in_browser, expected, atol=1e-9, rtol=0)


def test_a_change_is_read_from_the_last_copy_before_it(page):
    """As if all had been read anew, whatever was read and forgotten in between."""
    found = page.evaluate(
        """(text) => {
          const bytes = [...new TextEncoder().encode(text)];
          // In the transformer's place: what it says depends on the place alone.
          const next = Array.from({ length: bytes.length + 1 }, (_, n) =>
            Float64Array.from({ length: 256 }, (_, i) => 7 + (i * n) % 3));
          const all = (mixed, bytes) => {
            while (mixed.bytes.length < bytes.length)
              mixed.read(bytes[mixed.bytes.length]);
            return String([mixed.mixer, mixed.both]);
          };
          const edited = new LIVE.MixedReader({ next });
          all(edited, bytes);
          // Near the end twice, in the middle twice, before all copies, and nothing.
          return [399, 398, 300, 299, 40, 40].map((at) => {
            const changed = [...bytes.slice(0, at), 88, ...bytes.slice(at + 1)];
            edited.rewind(changed);
            const kept = edited.bytes.length;
            const anew = all(new LIVE.MixedReader({ next }), changed);
            return [kept, all(edited, changed) === anew];
          });
        }""",
        "Nothing is to be had from a copy that was changed itself. " * 6 + "x" * 52,
    )
    kept = [384, 384, 256, 256, 0, 400]
    assert found == [[count, True] for count in kept]


def test_tables_of_the_logistic_function_are_those_of_decimal(page):
    assert page.evaluate("[...LIVE.STRETCH]") == stretch_table().tolist()
    assert page.evaluate("[...LIVE.SQUASH]") == squash_table().tolist()


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
    per_byte = page.inner_text("tr[data-live=raw] .live-byte")
    assert per_byte == "8.00"


def totals(page):
    """What the table says, in bits, a character and a byte."""
    page.wait_for_selector(".live[data-state=ready]")
    return {
        name: [
            cell.replace(",", "")
            for cell in page.locator(f"tr[data-live={name}] td").all_inner_texts()[1:]
        ]
        for name in ("raw", "gzip", "mixer", "model", "both")
    }


def test_mixer_follows_every_edit(page, exact):
    """It learns from a text, so that a change before its end means another past."""
    page.fill("textarea", "")
    page.locator("textarea").press_sequentially("tell, tell 学学")
    page.keyboard.press("Backspace")
    page.keyboard.press("Home")
    page.keyboard.type("T")
    text = page.input_value("textarea")
    assert text == "Ttell, tell 学"
    found = totals(page)
    for name, predictor in (("mixer", Mixed()), ("both", both(exact, text))):
        bits = float(prices(predictor, text).sum())
        shown = float(page.get_attribute(".live", f"data-{name}"))
        assert shown == pytest.approx(bits, abs=1e-4)
        assert found[name] == [
            f"{bits:.0f}",
            f"{bits / len(text):.2f}",
            f"{bits / len(text.encode()):.2f}",
        ]


def test_gzip_is_the_browsers_own_without_its_frame(page):
    page.fill("textarea", LONG[:600])
    size = page.evaluate(
        """async (text) => {
          const packed = new Blob([text]).stream()
            .pipeThrough(new CompressionStream("gzip"));
          return (await new Response(packed).arrayBuffer()).byteLength;
        }""",
        LONG[:600],
    )
    assert totals(page)["gzip"][0] == str(8 * (size - 18))


def test_a_browser_without_gzip_says_so(page):
    page.evaluate(
        """() => {
          globalThis.kept = CompressionStream;
          globalThis.CompressionStream = undefined;
        }"""
    )
    page.fill("textarea", "No gzip.")
    assert totals(page)["gzip"][0] == "not in this browser"
    assert page.locator("tr[data-live=gzip] .live-rate").is_hidden()
    page.evaluate("() => { globalThis.CompressionStream = kept; }")
    page.fill("textarea", "Gzip again.")
    assert totals(page)["gzip"] == ["104", "9.45", "9.45"]


def test_weights_are_counted_where_the_reader_asks(page):
    weights = 8 * RECORD["weights_bytes"]
    page.fill("textarea", LONG[:100])
    before = totals(page)
    page.focus("[data-live=counted]")
    page.keyboard.press("Space")
    after = totals(page)
    for name, counted in {
        "raw": 0,
        "gzip": 0,
        "mixer": 0,
        "model": 1,
        "both": 1,
    }.items():
        assert int(after[name][0]) - int(before[name][0]) == counted * weights
    total = {name: int(bits) for name, (bits, *_) in before.items()}
    own = min(total["model"], total["both"])
    rival = min(total["raw"], total["gzip"], total["mixer"])
    said = page.inner_text("[data-live=verdict]")
    from_length = int(re.search(r"from ([\d,]+) characters", said)[1].replace(",", ""))
    assert from_length == pytest.approx(100 * weights / (rival - own), rel=0.05)
    page.fill("textarea", CHINESE)
    totals(page)
    said = page.inner_text("[data-live=verdict]")
    assert "never pay for themselves: the context mixer is shorter" in said
    page.uncheck("[data-live=counted]")
    assert "the better one, the context mixer" in page.inner_text("[data-live=verdict]")


def test_bars_show_the_prices_of_the_predictor_that_is_chosen(page, exact):
    page.fill("textarea", "again and again")
    costs = {
        "mixer": prices(Mixed(), "again and again"),
        "both": prices(both(exact, "again and again"), "again and again"),
        "model": live.bits(exact, b"again and again"),
    }
    totals(page)
    page.focus("[name=live-shown][value=model]")
    for name, key in (("both", "ArrowDown"), ("mixer", "ArrowDown"), ("model", "End")):
        if key == "End":
            page.check("[name=live-shown][value=model]")
        else:
            page.keyboard.press(key)
        bars = page.locator(".live-letter").evaluate_all(
            "(all) => all.map((l) => +l.style.getPropertyValue('--bits'))"
        )
        expected = costs[name].double().clamp(max=12)
        assert torch.allclose(torch.tensor(bars).double(), expected, atol=0.006), name
    page.click("#live-letter-2")
    assert page.inner_text("[data-live=mixer-price]") == f"{costs['mixer'][2]:.2f}"
    assert page.inner_text("[data-live=both-price]") == f"{costs['both'][2]:.2f}"


# -- The coder's picture --------------------------------------------------------------


def intervals(model, text):
    """Low end and width after 0, 1, 2 … bytes, exactly."""
    predictor, low, width = NextByte(model, text), Fraction(0), Fraction(1)
    yield low, width
    for byte in text.encode():
        counts = predictor.frequencies().tolist()
        predictor.update(byte)
        low += width * Fraction(sum(counts[:byte]), 1 << 24)
        width *= Fraction(counts[byte], 1 << 24)
        yield low, width


def shortest(low, width):
    """The fewest digits of which every continuation lies in [low, low + width)."""
    n = 0
    while True:
        first = math.ceil(low * 2**n)
        if Fraction(first + 1, 2**n) <= low + width:
            return f"{first:0{n}b}" if n else ""
        n += 1


def encoded(model, text):
    """The digits that lmlib's coder writes."""
    predictor, encoder = NextByte(model, text), Encoder()
    for byte in text.encode():
        counts = predictor.frequencies().tolist()
        predictor.update(byte)
        below = sum(counts[:byte])
        encoder.encode(below, below + counts[byte], 1 << 24)
    return "".join(f"{byte:08b}" for byte in encoder.finish())


def ends_of(low, width, digits):
    """The first number inside and the last one, of so many digits: as the page has
    them, what they share and six digits more; behind their last come 0s and 1s."""
    first, last = (int(end * 2**digits) for end in (low, low + width))
    ends = [f"{n:0{digits}b}" if digits else "" for n in (first, last - 1)]
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(*ends, strict=True))
    shared = "".join(digit for digit, _ in same)
    fills = zip(ends, "01", strict=True)
    more = [end[len(shared) :][:6].ljust(6, fill) for end, fill in fills]
    kept = shared if len(shared) <= 18 else f"…{shared[-18:]}"
    return [f"{kept}|{rest}…" for rest in more]


def shown_ends(page):
    return [
        page.inner_text(f"[data-step=shared-{end}]")
        + "|"
        + page.inner_text(f"[data-step={end}]")
        for end in ("low", "high")
    ]


def stepped(page):
    """What the picture says, and the slider's words for it."""
    fold = page.locator(".live-coder")
    return (
        fold.get_attribute("data-code"),
        float(fold.get_attribute("data-bits")),
        page.get_attribute("[data-step=slider]", "aria-valuetext"),
    )


# Of the first byte of "学" the ends share so many digits that the last of 24 is shown.
@pytest.mark.parametrize("text", ["To be.", "学而", "𐀀", "a" * 40])
def test_interval_narrows_as_fractions_do(page, exact, text):
    assert MOST >= 1 << 24
    page.fill("textarea", text)
    totals(page)
    if page.get_attribute(".live-coder", "open") is None:
        page.click(".live-coder summary")
    page.focus("[data-step=slider]")
    page.keyboard.press("Home")
    codes = []
    for step, (low, width) in enumerate(intervals(exact, text)):
        if step:
            page.keyboard.press("ArrowRight")
        code, bits, said = stepped(page)
        codes.append(code)
        assert code == shortest(low, width)
        exact_bits = math.log2(width.denominator) - math.log2(width.numerator)
        assert bits == pytest.approx(exact_bits, abs=1e-9)
        assert said.startswith(f"{step} of {len(text.encode())} bytes coded")
        assert shown_ends(page) == ends_of(low, width, 24 * step)
        assert len(code) <= bits + 2
    assert page.is_disabled("[data-step=next]")
    assert codes[0] == ""
    # What the ends share is settled. lmlib's coder writes the same until the 48 bits
    # that it keeps of the ends have been rounded.
    numbers = [math.floor(end * 2**2000) for end in (low, low + width)]
    ends = [f"{number:02000b}" for number in numbers]
    differ = (i for i, (a, b) in enumerate(zip(*ends, strict=True)) if a != b)
    shared = ends[0][: next(differ)]
    assert len(shared) > 5
    for name in ("shared-low", "shared-high"):
        shown = page.inner_text(f"[data-step={name}]").lstrip("…")
        assert shown == shared[-18:]
    assert encoded(exact, text).startswith(shared[:40])
    page.click("[data-step=back]")
    assert stepped(page)[0] == codes[-2]
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.step") == "slider"


def test_picture_shows_the_parts_of_the_interval(page, exact):
    page.fill("textarea", "The cat")
    totals(page)
    page.focus("[data-step=slider]")
    page.keyboard.press("Home")
    assert page.locator(".live-cut").count() == 1
    for _ in range(3):
        page.click("[data-step=next]")
    assert page.locator(".live-cut").count() == 3
    assert page.locator(".live-taken").all_inner_texts() == ["h", "e"]
    expected = NextByte(exact, "The cat").p[3][ord(" ")]
    width = page.locator(".live-next").evaluate(
        "(part) => parseFloat(part.style.width)"
    )
    assert width == pytest.approx(100 * float(expected), abs=0.01)
    # Who looks at the end sees it move on.
    page.focus("[data-step=slider]")
    page.keyboard.press("End")
    page.focus("textarea")
    page.keyboard.type("s")
    totals(page)
    assert page.inner_text("[data-step=at]") == "8 of 8"
    page.fill("textarea", "")
    totals(page)
    assert page.inner_text("[data-step=at]") == "0 of 0"
    assert page.inner_text("[data-step=code]") == "nothing at all"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_is_wrong_with_the_open_widget(page, theme):
    page.evaluate(AXE)
    page.evaluate(
        "(theme) => { document.documentElement.dataset.theme = theme; }", theme
    )
    page.evaluate(
        """(theme) => {
      document.body.style.background = theme === "dark" ? "#1f2228" : "#f6f5f2";
      if (theme === "dark") for (const [name, value] of [
        ["text-base", "#dde0e4"], ["text-muted", "#a5abb5"], ["border", "#3a3f48"],
        ["background", "#16181c"], ["primary", "#8fb8f0"],
      ]) document.documentElement.style.setProperty(`--pst-color-${name}`, value);
    }""",
        theme,
    )
    page.click("[data-live=chinese]")
    totals(page)
    page.click("[data-step=next]")
    for width in (740, 320):
        page.set_viewport_size({"width": width, "height": 844})
        outside = {"region", "landmark-one-main", "page-has-heading-one"}
        found = [p for p in page.evaluate(RUN_AXE) if p.split(": ")[1] not in outside]
        assert found == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.set_viewport_size({"width": 1280, "height": 720})


def test_who_wants_no_motion_sees_none(page):
    moving = """() => [".live-widening", ".live-bar"].map((name) => {
      const { animationName, transitionDuration } =
        getComputedStyle(document.querySelector(name));
      return [animationName, transitionDuration];
    })"""
    page.emulate_media(reduced_motion="no-preference")
    page.click("[data-step=next]")
    assert page.evaluate(moving) == [["live-widening", "0s"], ["none", "0.25s"]]
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(moving) == [["none", "0s"], ["none", "0s"]]


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
    assert sorted(names) == [
        "index.html",
        "interval.js",
        "live.css",
        "live.js",
        "mixing.js",
        "model.js",
        "transformer.js",
    ]
    assert all(url.startswith("file://") for url in page.requested)
