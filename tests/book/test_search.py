"""Somebody who searches: a question as it is typed, and how far the answer is.

`python -m tests.book.test_search`, after `make book`, prints each question's table.
"""

import shutil
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.book.pages import ROOT

# What is typed → the page that answers.
QUESTIONS = {
    "why divide by sqrt(d_k)": "3-algorithms/3.1.1-self-attention-layer",
    "how to grade a zip from Moodle": "grading",
    "bits per byte of a BPE model": "4-mathematics/4.2-cross-entropy",
    "困惑度": "4-mathematics/4.2-cross-entropy",
    "what is a misconception": "instructors",
    "how to resume a killed run": "how-to-use",
}
SEEN = 3  # results that are read before somebody gives up
SHOWN = "document.querySelector('#search-results p')?.textContent.match(/found|match/)"


def found(page: Page, site: Path, question: str) -> list[str]:
    """The pages that the search of the first page finds, the best first."""
    page.goto((site / "index.html").as_uri())
    page.keyboard.press("Control+k")
    page.keyboard.type(question)
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?*")
    page.wait_for_function(SHOWN)
    page.wait_for_timeout(200)  # results come one after the other
    links = page.locator("#search-results li > a").evaluate_all(
        "(all) => all.map((a) => a.pathname)"
    )
    root = f"{site.as_posix()}/"
    return [link.removeprefix(root).removesuffix(".html") for link in links]


def clicks(site: Path, results: list[str], answer: str) -> int | None:
    """From the results to the answer: 1 if it is one, 2 if one leads to it."""
    if answer in results[:SEEN]:
        return 1
    name = f"{answer.rpartition('/')[2]}.html"
    texts = (f"{site / result}.html" for result in results[:SEEN])
    for text in texts:
        article = Path(text).read_text(encoding="utf-8").partition("<article")[2]
        if f"{name}" in article.partition("</article>")[0]:
            return 2
    return None


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_answer_is_two_clicks_away_at_most(site: Path, page: Page, question: str):
    results = found(page, site, question)
    assert clicks(site, results, QUESTIONS[question]), results


def test_a_word_that_no_page_has_does_not_hide_the_others(site: Path, page: Page):
    results = found(page, site, "rhododendron induction heads")
    assert results[0] == "3-algorithms/3.1.2-multi-head-attention"
    assert found(page, site, "rhododendron azalea") == []


def main() -> int:
    site = ROOT / "book" / "_build" / "html"
    if not (site / "search.html").exists():
        print("There is no site to search: make book", file=sys.stderr)
        return 1
    program = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox"]
        )
        page = browser.new_page()
        print("rank clicks of  question → answer")
        for question, answer in QUESTIONS.items():
            results = found(page, site, question)
            rank = results.index(answer) + 1 if answer in results else "–"
            count = clicks(site, results, answer) or "–"
            print(f"{rank:>4} {count:>6} {len(results):>2}  {question} → {answer}")
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
