"""Rules that somebody wrote, as a predictor: what is certainty worth? (section 1.1)

A rule says after which text it holds and which bytes may come then. That is no
prediction yet: to be charged in bits it needs a confidence, which is the share of its
cases in which it was right.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray


@dataclass(frozen=True)
class Rule:
    """Where the text so far ends in `before`, one of `allowed` comes next.

    Parameters:
        before: a regular expression of fixed width, over bytes.
        allowed: the bytes that the rule lets through, in any order.
        name: in words.

    Raises:
        ValueError: `before` is no such expression; `allowed` is empty or everything.
    """

    before: bytes
    allowed: bytes
    name: str = ""

    def __post_init__(self) -> None:
        try:
            re.compile(b"(?<=%b)" % self.before)
        except re.error as error:
            raise ValueError(
                f"before must be a pattern of fixed width: {error}"
            ) from None
        if not 1 <= len(set(self.allowed)) <= 255:
            raise ValueError("allowed must name 1 to 255 different bytes")

    @property
    def n_bits(self) -> int:
        """What the rule itself costs, if its text is sent as it was typed."""
        return 8 * (len(self.before) + len(self.allowed))

    def places(self, data: bytes) -> Int64[ndarray, " cases"]:
        """Where in `data` the rule speaks. It sees nothing of what follows."""
        stands = re.compile(b"(?<=%b)" % self.before).match
        return np.array(
            # To `match`, the text ends at t: a pattern that looks ahead sees nothing.
            [t for t in range(len(data)) if stands(data, t, t)],
            dtype=np.int64,
        )


class Rules:
    """A list of rules, of which the first that holds speaks; else letter frequencies.

    With confidence c, each of k allowed bytes has probability c / k and each of the
    others (1 − c) / (256 − k). With `weighed` both shares are divided among their bytes
    by frequency instead of equally: an author who had counted, too.
    """

    def __init__(self, rules: Sequence[Rule], *, weighed: bool = False) -> None:
        self.rules, self.weighed = list(rules), weighed

    def fit(self, data: bytes) -> "Rules":
        """Count frequencies and, of each rule, how often it was right; ½ is added."""
        text = np.frombuffer(data, np.uint8)
        counts = np.bincount(text, minlength=256) + 0.5
        self.frequencies = counts / counts.sum()
        speaker = self.speaker(data)
        # A row for each rule, and the last, of number −1, for where none speaks.
        self.tables = np.tile(self.frequencies, (len(self.rules) + 1, 1))
        for i, rule in enumerate(self.rules):
            allowed = np.isin(np.arange(256), list(rule.allowed))
            right = allowed[text[speaker == i]]
            confidence = (right.sum() + 0.5) / (len(right) + 1)
            if not self.weighed:
                self.tables[i] = 1.0
            for share, group in ((confidence, allowed), (1 - confidence, ~allowed)):
                self.tables[i, group] *= share / self.tables[i, group].sum()
        return self

    def speaker(self, data: bytes) -> Int64[ndarray, " n"]:
        """Of each byte, the number of the rule that predicts it; −1 is none."""
        speaker = np.full(len(data), -1)
        for i, rule in reversed(list(enumerate(self.rules))):
            speaker[rule.places(data)] = i  # an earlier rule overrules a later one
        return speaker

    def bits(self, data: bytes) -> Float64[ndarray, " n"]:
        """−log₂ p of each byte, after `fit`."""
        text = np.frombuffer(data, np.uint8)
        return -np.log2(self.tables[self.speaker(data), text])
