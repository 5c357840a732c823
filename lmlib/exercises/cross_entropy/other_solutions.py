"""Right answers to assignment 4.2, written unlike the solution: all are accepted.

Each function is complete in itself but for the modules that the notebook imports, for
its source is also handed in as a submission of the sample class.
"""

import math
from types import SimpleNamespace

import torch
from torch import Tensor


def loop_style() -> SimpleNamespace:
    """Row by row and number by number."""

    def log_sum_exp(x: Tensor) -> Tensor:
        total = x[..., 0]
        for i in range(1, x.shape[-1]):
            one = x[..., i]
            high = torch.maximum(total, one)
            low = torch.minimum(total, one)
            below = torch.where(high == -math.inf, 0.0, low - high)
            total = high + torch.log1p(below.exp()) * (high > -math.inf)
        return total

    def binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
        z = logits.flatten()
        y = targets.flatten()
        total = torch.zeros((), dtype=logits.dtype)
        for i in range(len(z)):
            no = torch.nn.functional.logsigmoid(-z[i])
            yes = torch.nn.functional.logsigmoid(z[i])
            total = total - y[i] * yes - (1 - y[i]) * no
        return total / len(z)

    def smoothed_cross_entropy(logits, targets, smoothing, ignore):
        costs = []
        for row, target in zip(logits, targets.tolist(), strict=True):
            if target == ignore:
                continue
            log_p = row.log_softmax(dim=0)
            wanted = torch.full_like(row, smoothing / len(row))
            wanted[target] += 1 - smoothing
            costs.append(-(wanted * log_p).sum())
        return torch.stack(costs).mean()

    def kl_bits(p: Tensor, q: Tensor) -> Tensor:
        total = torch.zeros_like(p[..., 0])
        for i in range(p.shape[-1]):
            price = p[..., i] * (p[..., i].log2() - q[..., i].log2())
            total = total + price.masked_fill(p[..., i] == 0, 0.0)
        return total

    def calibration_error(confidence, correct, n_bins):
        bins: list[list[tuple[float, bool]]] = [[] for _ in range(n_bins)]
        for c, right in zip(confidence.tolist(), correct.tolist(), strict=True):
            bins[min(int(c * n_bins), n_bins - 1)].append((c, right))
        total = 0.0
        for answers in bins:
            if answers:
                gap = sum(c for c, _ in answers) - sum(right for _, right in answers)
                total += abs(gap)
        return total / len(confidence)

    def corpus_report(nats, tokens, n_bytes):
        total, count = 0.0, 0
        for mean, n in zip(nats, tokens, strict=True):
            total += mean * n
            count += n
        bits = total / math.log(2)
        return 2 ** (bits / count), bits / n_bytes

    predict = {"fresh": 12, "floor": 1.67, "softmax_twice": 0.74, "report": 1}
    return SimpleNamespace(**locals())


def tensor_style() -> SimpleNamespace:
    """Whole tensors at a time, by other formulas."""

    def log_sum_exp(x: Tensor) -> Tensor:
        order = x.sort(dim=-1, descending=True).values
        first = order[..., :1]
        safe = torch.where(first == -math.inf, torch.zeros_like(first), first)
        return (safe + torch.exp(order - safe).sum(-1, keepdim=True).log()).squeeze(-1)

    def binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
        # max(z, 0) − y·z + log(1 + e^(−|z|))
        tail = torch.log1p((-logits.abs()).exp())
        return (logits.clamp(min=0) - targets * logits + tail).mean()

    def smoothed_cross_entropy(logits, targets, smoothing, ignore):
        counted = (targets != ignore).to(logits.dtype)
        log_p = logits.log_softmax(dim=-1)
        classes = torch.arange(logits.shape[-1])
        one_hot = (targets[:, None] == classes).to(logits.dtype)
        wanted = one_hot * (1 - smoothing) + smoothing / logits.shape[-1]
        return -((wanted * log_p).sum(dim=-1) * counted).sum() / counted.sum()

    def kl_bits(p: Tensor, q: Tensor) -> Tensor:
        paid = torch.special.xlogy(p, q).sum(dim=-1)
        least = torch.special.xlogy(p, p).sum(dim=-1)
        return (least - paid) / math.log(2)

    def calibration_error(confidence, correct, n_bins):
        bin_of = (confidence.double() * n_bins).floor().clamp(max=n_bins - 1).long()
        gap = confidence.double() - correct.double()
        of_bin = torch.zeros(n_bins, dtype=torch.float64).index_add(0, bin_of, gap)
        return of_bin.abs().sum() / len(confidence)

    def corpus_report(nats, tokens, n_bytes):
        total = (torch.tensor(nats, dtype=torch.float64) * torch.tensor(tokens)).sum()
        return (total / sum(tokens)).exp(), total / math.log(2) / n_bytes

    predict = {
        "fresh": math.log2(4096),
        "floor": 1.674,
        "softmax_twice": math.log(1 + 3 / math.e),
        "report": 1.0,
    }
    return SimpleNamespace(**locals())


STYLES = (loop_style, tensor_style)
