"""What a reader would stumble over in a page, seen in a browser without a network."""

from collections import Counter
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import html5lib
import html5lib.constants
from playwright.sync_api import Page, TimeoutError

ROOT = Path(__file__).resolve().parents[2]

TAB_STOPS = """
() => [...document.querySelectorAll("pre")].every(
  (box) => box.scrollWidth <= box.clientWidth || box.tabIndex >= 0)
"""

# Each entry is what is wrong and where; [] is a page as it should be.
CHECKS = r"""
() => {
  const problems = [];
  const say = (what, where) => problems.push(`${what}: ${where}`);
  const main = document.querySelector("article.bd-article, body > main") ||
    document.querySelector("main");

  for (const image of main.querySelectorAll("img"))
    // Without a text of its own, the alternative that MyST gives is the file's name.
    if (!image.alt.trim() || /\.(svg|png|jpe?g|gif)$/.test(image.alt))
      say("image without alternative text", image.getAttribute("src"));

  const raw = ".katex-error, .math:not(:has(.katex))";
  for (const math of document.querySelectorAll(raw))
    say("equation not rendered", math.textContent.trim().slice(0, 80));

  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, parent = node.parentElement;
    const unread = parent.closest("script, style, noscript, svg, .katex");
    if (unread || !node.data.trim()) continue;
    if (parent.checkVisibility({ opacityProperty: true, visibilityProperty: true }))
      texts.push(node);
  }
  for (const node of texts)
    if (/\\[(\[]|\\(frac|sqrt|text|log)\b|\$[^$\n]+\$/.test(node.data) &&
        main.contains(node) && !node.parentElement.closest("code, pre, textarea"))
      say("raw TeX", node.data.trim().slice(0, 80));

  // Contrast, as WCAG 2.1 AA: 4.5, or 3 for large text.
  const options = { willReadFrequently: true };
  const context = document.createElement("canvas").getContext("2d", options);
  const rgba = (color) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = color;
    context.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], [R, G, B]) =>
    [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
  const ground = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      layers.push(rgba(getComputedStyle(at).backgroundColor));
      if (layers.at(-1)[3] === 1) break;
    }
    return layers.reduceRight((below, layer) => over(layer, below), [255, 255, 255, 1]);
  };
  const luminance = (color) => {
    const [r, g, b] = color.map((c) => c / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const seen = new Set();
  for (const node of texts) {
    const element = node.parentElement, style = getComputedStyle(element);
    const exempt = element.closest("[disabled], [aria-hidden=true]");
    if (exempt || seen.has(element)) continue;
    seen.add(element);
    const below = ground(element), above = over(rgba(style.color), below);
    const [dark, light] = [luminance(below), luminance(above)].sort((a, b) => a - b);
    const ratio = (light + 0.05) / (dark + 0.05), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5))
      say(`contrast ${ratio.toFixed(2)}`, `"${node.data.trim().slice(0, 40)}"`);
  }

  // What scrolls is a stop for the keyboard, what can be used is one, nothing else.
  // (A page without scripts cannot know what will scroll: it names what may, a region.)
  const used = "a, button, input, textarea, select, summary, dialog, " +
    "[role=listbox], [role=region][aria-label]";
  for (const element of document.querySelectorAll("[tabindex]"))
    if (element.tabIndex >= 0 && !element.matches(used) &&
        element.scrollWidth <= element.clientWidth &&
        element.scrollHeight <= element.clientHeight)
      say("tab stop where nothing can be done", `<${element.localName}>`);

  if (innerWidth >= 1200)
    for (const box of main.querySelectorAll("pre, table, .katex-display"))
      for (const at of [box, box.parentElement])
        if (at.scrollWidth > at.clientWidth + 1 &&
            getComputedStyle(at).overflowX !== "visible")
          say("cut off", `<${box.localName}> ${box.textContent.trim().slice(0, 40)}`);
  for (const image of main.querySelectorAll("img"))
    if (!image.hasAttribute("width")) say("image without a size", image.src.slice(-40));
  for (const fold of main.querySelectorAll(".cell:has(> details.hide)"))
    if (!fold.querySelector(".cell_output"))
      say("folded code with nothing below", fold.textContent.trim().slice(0, 60));

  if (document.documentElement.scrollWidth > innerWidth)
    say("wider than the window", `${document.documentElement.scrollWidth} px`);
  for (const element of main.querySelectorAll("*")) {
    const box = element.getBoundingClientRect();
    if (box.right <= innerWidth + 1 || !box.width || !box.height) continue;
    let at = element.parentElement;
    while (at && getComputedStyle(at).overflowX === "visible") at = at.parentElement;
    if (!at || at === document.body || at === document.documentElement)
      say("sticks out of the window", `<${element.localName}> ${element.className}`);
  }
  return problems;
}
"""

# Names, roles, landmarks, contrast, what scrolls: axe-core looks. Of a formula it reads
# what a screen reader does.
VENDOR = Path(__file__).parent / "vendor"
AXE = (VENDOR / "axe" / "axe.min.js").read_text(encoding="utf-8")
RUN_AXE = """
async (contrast) => {
  // Colours do not depend on the width, and `CHECKS` compares them at each.
  const rules = { "color-contrast": { enabled: contrast } };
  const settings = { preload: false, resultTypes: ["violations"], rules };
  const context = { exclude: [[".katex-html"]] };
  const { violations } = await axe.run(context, settings);
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html }) => `axe: ${id}: ${html.slice(0, 120)}`));
}
"""

# How far things move while a page loads; up to 0.1 is said to be good.
SHIFT = """
() => new Promise((done) => {
  let sum = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) sum += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => done(sum), 150);
})
"""


def html_faults(text: str) -> list[str]:
    """What is not valid in a page: what a parser had to guess, and ids given twice."""
    parser = html5lib.HTMLParser(namespaceHTMLElements=False)
    tree = parser.parse(text)
    ids = Counter(e.get("id") for e in tree.iter() if e.get("id") is not None)
    faults = [
        f"line {line}: {html5lib.constants.E[code] % data}"
        for (line, _), code, data in parser.errors
    ]
    return faults + [f"id given twice: {name}" for name, n in ids.items() if n > 1]


LINKS = """
() => ({
  ids: [...document.querySelectorAll("[id], a[name]")].map((e) => e.id || e.name),
  // In a picture, too, where `href` is no string.
  links: [...document.querySelectorAll("a[href]")].map(
    (a) => new URL(a.getAttribute("href"), document.baseURI).href),
})
"""


def inspect(page: Page, url: str, theme: str) -> list[str]:
    """Open `url` and say what is wrong with it at the widths of a desk and a phone."""
    problems: list[str] = []

    def requested(request) -> None:
        # The media queries of an SVG and the like are data: and blob: URLs.
        if not request.url.startswith(("file:", "data:", "blob:")):
            problems.append(f"external request: {request.url}")

    handlers = {
        "request": requested,
        # The next page ends what is still under way; a missing file is not found.
        "requestfailed": lambda r: (
            problems.append(f"request failed: {r.url} ({r.failure})")
            if r.failure != "net::ERR_ABORTED"
            else None
        ),
        "pageerror": lambda e: problems.append(f"script error: {e}"),
        "console": lambda m: (
            problems.append(f"console: {m.text}") if m.type == "error" else None
        ),
    }
    for event, handler in handlers.items():
        page.on(event, handler)
    page.emulate_media(color_scheme=theme)
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(url)
    page.evaluate("document.fonts.ready.then(() => null)")
    if (shift := page.evaluate(SHIFT)) > 0.1:
        problems.append(f"moves while it loads: {shift:.2f}")
    page.evaluate(AXE)
    for width, height in ((1440, 900), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(350)  # the theme sets its tab stops after 300 ms
        with suppress(TimeoutError):  # and later where a script works
            page.wait_for_function(TAB_STOPS, timeout=3000)
        found = page.evaluate(CHECKS) + page.evaluate(RUN_AXE, width == 1440)
        problems += [f"{width} px: {problem}" for problem in found]
    for event, handler in handlers.items():
        page.remove_listener(event, handler)
    return sorted(set(problems))


def broken_links(pages: dict[Path, dict[str, list[str]]]) -> list[str]:
    """The links between `pages` (path to ids and links) that lead nowhere."""
    broken = []
    for path, found in pages.items():
        for link in found["links"]:
            target, anchor = urldefrag(link)
            if not target.startswith("file:"):
                continue
            file = Path(unquote(urlsplit(target).path))
            if not file.is_file() or (
                anchor and file in pages and unquote(anchor) not in pages[file]["ids"]
            ):
                broken.append(f"{path.name} → {link}")
    return sorted(set(broken))
