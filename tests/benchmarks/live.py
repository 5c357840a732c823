"""A keystroke in the page that compresses what you type, in Chromium.

    python -m tests.benchmarks.live [--keys 30]

The box holds 600 characters, the last key included. Printed is the time from a key's
input event until all of the page is right again, both predictors and their mixture
among it, in ms: the median and the longest, for keys at the end, for backspace at the
end, and for a key at the beginning, after which all is read anew, in slices. Beside it
stands the processor's time of the page's thread, to which neighbours on the machine
matter less. The longest task tells how long the page may not answer meanwhile.
"""

import argparse
import shutil
import tempfile
from pathlib import Path
from statistics import median

from playwright.sync_api import Page, sync_playwright

from lmlib.tables import Table

LIVE = Path(__file__).resolve().parents[2] / "book" / "_live"
TEXTS = {
    "English": "Whoever predicts what comes next can leave out what was expected. ",
    "Chinese": "学而时习之，不亦说乎？有朋自远方来，不亦乐乎？",
}
WATCH = """() => {
  const live = document.querySelector(".live"), box = live.querySelector("textarea");
  globalThis.times = [];
  globalThis.longest = 0;
  let begun;
  box.addEventListener("input", () => { begun = performance.now(); }, true);
  new MutationObserver(() => {
    if (live.dataset.state === "ready") times.push(performance.now() - begun);
  }).observe(live, { attributeFilter: ["data-state"] });
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) longest = Math.max(longest, duration);
  }).observe({ type: "longtask" });
}"""
READY = ".live[data-state=ready][data-buttons=ready]"


def milliseconds(
    page: Page, keys: list[str], start: str
) -> tuple[list[float], list[float]]:
    """On the clock and of the processor, for keys typed when the page is at rest."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return 1000 * {m["name"]: m["value"] for m in metrics}["TaskDuration"]

    processor = []
    page.focus("textarea")
    page.keyboard.press(start)
    page.evaluate("() => { times.length = 0; longest = 0; }")
    for key in keys:
        count, before = page.evaluate("times.length"), spent()
        page.keyboard.press(key) if len(key) > 1 else page.keyboard.insert_text(key)
        page.wait_for_function("(count) => times.length > count", arg=count)
        processor.append(spent() - before)
        page.wait_for_selector(READY)
    session.detach()
    return page.evaluate("[...times]"), processor


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keys", type=int, default=30)
    keys = parser.parse_args().keys
    rows = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        site = Path(folder)
        shutil.copytree(LIVE / "public", site, dirs_exist_ok=True)
        head = '<!doctype html><meta charset="utf-8"><title>live</title>'
        (site / "index.html").write_text(head + (LIVE / "widget.html").read_text())
        found = shutil.which("chromium") or playwright.chromium.executable_path
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox"]
        )
        page = browser.new_page()
        page.goto((site / "index.html").as_uri())
        page.wait_for_selector(READY)
        page.evaluate(WATCH)
        for name, text in TEXTS.items():
            whole = (text * 20)[:600]
            for where, start, typed in (
                ("at the end", "Control+End", list(whole[-keys:])),
                ("backspace", "Control+End", ["Backspace"] * keys),
                ("at the beginning", "Control+Home", list(whole[: min(keys, 5)])),
            ):
                fill = whole if where == "backspace" else whole[: 600 - len(typed)]
                page.fill("textarea", fill)
                page.wait_for_selector(READY)
                times, processor = milliseconds(page, typed, start)
                rows.append(
                    {
                        "600 characters": name,
                        "key": where,
                        "median ms": f"{median(times):.0f}",
                        "longest ms": f"{max(times):.0f}",
                        "processor ms": f"{median(processor):.0f}",
                        "longest task ms": f"{page.evaluate('longest'):.0f}",
                    }
                )
        browser.close()
    print(Table(rows))


if __name__ == "__main__":
    main()
