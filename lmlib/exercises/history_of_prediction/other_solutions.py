"""Right answers to assignment 1.1, written unlike the solution: all are accepted.

Each function is complete in itself but for the modules that the notebook imports, for
its source is also handed in as a submission of the sample class.
"""

import math
from types import SimpleNamespace

import torch
from torch import Tensor


def loop_style() -> SimpleNamespace:
    """Step by step, in plain Python."""

    def rule_bits(
        n_right: int, n_wrong: int, confidence: float, n_allowed: int
    ) -> float:
        if confidence < 0 or confidence > 1:
            raise ValueError("confidence")
        if n_allowed < 1 or n_allowed > 255:
            raise ValueError("n_allowed")
        inside = confidence / n_allowed
        outside = (1 - confidence) / (256 - n_allowed)
        if (n_right > 0 and inside == 0) or (n_wrong > 0 and outside == 0):
            return float("inf")
        bits = 0.0
        for _ in range(n_right):
            bits -= math.log2(inside)
        for _ in range(n_wrong):
            bits -= math.log2(outside)
        return bits

    def witten_bell(data: bytes, history: bytes, order: int) -> list[float]:
        if order < 0:
            raise ValueError("order")

        def probabilities(context: bytes) -> list[float]:
            below = probabilities(context[1:]) if context else [1 / 256] * 256
            followers: dict[int, int] = {}
            for i in range(len(data) - len(context)):
                if data[i : i + len(context)] == context:
                    byte = data[i + len(context)]
                    followers[byte] = followers.get(byte, 0) + 1
            n, t = sum(followers.values()), len(followers)
            if n == 0:
                return below
            return [(followers.get(s, 0) + t * below[s]) / (n + t) for s in range(256)]

        return probabilities(history[max(len(history) - order, 0) :])

    def adaptive_bits(data: bytes, n_symbols: int) -> float:
        bits = 0.0
        for n in range(len(data)):
            seen = data[:n].count(data[n])
            bits += math.log2((2 * n + n_symbols) / (2 * seen + 1))
        return bits

    def hmm_bits(
        initial: Tensor, transition: Tensor, emission: Tensor, observed: list[int]
    ) -> float:
        if len(observed) == 0:
            return 0.0
        n_states = len(initial)
        a, b = transition.tolist(), emission.tolist()
        alpha = [initial[i].item() * b[i][observed[0]] for i in range(n_states)]
        bits = 0.0
        for t in range(len(observed)):
            if t > 0:
                alpha = [
                    sum(alpha[i] * a[i][j] for i in range(n_states)) * b[j][observed[t]]
                    for j in range(n_states)
                ]
            c = sum(alpha)
            if c <= 0:
                return float("inf")
            bits += math.log2(1 / c)
            alpha = [value / c for value in alpha]
        return bits

    def naive_bayes_bits(
        counts: Tensor, prior: Tensor, words: list[int]
    ) -> list[float]:
        lengths = []
        for row, p in zip(counts.tolist(), prior.tolist(), strict=True):
            bits = -math.log2(p)
            for word in words:
                bits -= math.log2((row[word] + 1) / (sum(row) + len(row)))
            lengths.append(bits)
        return lengths

    read_the_curves = {
        "best_order": 3.0,
        "file_bytes": 100_000 * 2.2 / 8,
        "cheaper_than_guessing": "No",
        "eight_passes": " yes",
        "doubled": 2,
    }

    return SimpleNamespace(**locals())


def tensor_style() -> SimpleNamespace:
    """All at once, in torch."""

    def rule_bits(
        n_right: int, n_wrong: int, confidence: float, n_allowed: int
    ) -> float:
        if not (0 <= confidence <= 1 and 0 < n_allowed < 256):
            raise ValueError("no such rule")
        n = torch.tensor([n_right, n_wrong], dtype=torch.float64)
        share = torch.tensor([confidence, 1 - confidence], dtype=torch.float64)
        size = torch.tensor([n_allowed, 256 - n_allowed], dtype=torch.float64)
        return -torch.special.xlogy(n, share / size).sum().item() / math.log(2)

    def witten_bell(data: bytes, history: bytes, order: int) -> Tensor:
        if order < 0:
            raise ValueError("order")
        text = torch.tensor(list(data), dtype=torch.long)
        p = torch.ones(256, dtype=torch.float64) / 256
        for k in range(min(order, len(history), len(data)) + 1):
            here = torch.ones(len(data) - k, dtype=torch.bool)
            for j in range(k):
                here &= text[j : len(data) - k + j] == history[len(history) - k + j]
            counts = torch.bincount(text[k:][here], minlength=256).double()
            n, t = counts.sum(), counts.count_nonzero()
            if n > 0:
                p = n / (n + t) * (counts / n) + t / (n + t) * p
        return p

    def adaptive_bits(data: bytes, n_symbols: int) -> float:
        # In one product of Gammas: the order of the symbols does not matter.
        counts = torch.bincount(
            torch.tensor(list(data), dtype=torch.long), minlength=n_symbols
        ).double()
        half = torch.tensor(0.5, dtype=torch.float64)
        a = (torch.lgamma(counts + half) - torch.lgamma(half)).sum()
        b = torch.lgamma(half * n_symbols)
        c = torch.lgamma(len(data) + half * n_symbols)
        return float(b - c + a) / -math.log(2)

    def hmm_bits(
        initial: Tensor, transition: Tensor, emission: Tensor, observed: list[int]
    ) -> float:
        # Backwards, and in logarithms.
        later = torch.zeros_like(initial)
        log_moves, log_emission = transition.log(), emission.log()
        for t in range(len(observed) - 1, -1, -1):
            here = log_emission[:, observed[t]] + later
            if t == 0:
                return -torch.logsumexp(initial.log() + here, 0).item() / math.log(2)
            later = torch.logsumexp(log_moves + here, dim=1)
        return 0.0

    def naive_bayes_bits(counts: Tensor, prior: Tensor, words: list[int]) -> Tensor:
        n_words = torch.bincount(
            torch.tensor(words, dtype=torch.long), minlength=counts.shape[1]
        )
        below = counts.sum(dim=1) + counts.shape[1]
        bits = (counts + 1).log2() @ n_words.to(counts.dtype)
        return len(words) * below.log2() - bits - prior.log2()

    read_the_curves = {
        "best_order": 3,
        "file_bytes": 27500,
        "cheaper_than_guessing": "no",
        "eight_passes": "yes",
        "doubled": 2.0,
    }
    return SimpleNamespace(**locals())


STYLES = (loop_style, tensor_style)
