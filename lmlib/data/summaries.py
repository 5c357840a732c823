"""Summaries that people wrote: first paragraphs of installed docstrings (section 6).

PEP 257 asks for a docstring that begins with a summary, and whoever wrote the function
wrote it. So each docstring is a text with its summary, and with its title, the name.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmlib.data.documents import Split
from lmlib.data.installed import installed_docstrings, module_of

WORDS = (4, 30)  # of a summary


@dataclass(frozen=True)
class Summary:
    """Attributes:
    module: where it stands.
    name: of the function or class, as words.
    summary: the first paragraph, on one line.
    body: what comes after it; may be empty.
    """

    module: str
    name: str
    summary: str
    body: str


@dataclass(frozen=True)
class NameQuestion:
    """Which of four names, all of one module, does the summary belong to?

    Attributes:
        summary: the one that is asked about.
        names: the candidates.
        right: the place of the right one.
    """

    summary: Summary
    names: tuple[str, ...]
    right: int


def installed_summaries(split: Split = "train") -> list[Summary]:
    """Summaries of 4 to 30 words, one for each name of a module, without dunders."""
    found: dict[tuple[str, str], Summary] = {}
    for document in installed_docstrings(split):
        name = document.name.partition(":")[2].rpartition(".")[2]
        words = spoken(name)
        head, _, body = document.text.partition("\n\n")
        summary = " ".join(head.split())
        n_words = len(summary.split())
        if words and not name.startswith("__") and WORDS[0] <= n_words <= WORDS[1]:
            module = module_of(document)
            found.setdefault(
                (module, words), Summary(module, words, summary, body.strip())
            )
    return list(found.values())


def spoken(name: str) -> str:
    """The words of a name: parse_args, parseArgs → parse args."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|_+", " ", name).strip().lower()


def name_questions(
    summaries: Sequence[Summary], n: int, seed: int = 0
) -> list[NameQuestion]:
    """`n` questions about different summaries, of modules that have four or more.

    Raises:
        ValueError: there are not so many.
    """
    of: dict[str, list[Summary]] = {}
    for summary in summaries:
        of.setdefault(summary.module, []).append(summary)
    asked = [s for s in summaries if len(of[s.module]) >= 4]
    if n > len(asked):
        raise ValueError(f"n must be at most {len(asked)}, got {n}")
    rng = np.random.default_rng(seed)
    questions = []
    for i in rng.permutation(len(asked))[:n].tolist():
        right = asked[i]
        others = [s.name for s in of[right.module] if s is not right]
        drawn = rng.choice(len(others), 3, replace=False).tolist()
        four = [right.name, *(others[j] for j in drawn)]
        order = rng.permutation(4).tolist()
        names = tuple(four[j] for j in order)
        questions.append(NameQuestion(right, names, order.index(0)))
    return questions
