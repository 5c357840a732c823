"""Right answers to assignment 8, written unlike the solution: all are accepted.

Each function is complete in itself but for the modules that the notebook imports, for
its source is also handed in as a submission of the sample class.
"""

import math
from types import SimpleNamespace

import torch
import torch.nn.functional as F


def loop_style() -> SimpleNamespace:
    """Step by step."""

    def exposure(bits, index):
        n = len(bits)
        if index < 0 or index >= n:
            raise ValueError("no such code")
        rank = 1
        for other in bits:
            if other < bits[index]:
                rank += 1
        return math.log2(n / rank)

    def overconfidence(logits, targets):
        gap = 0.0
        for row, target in zip(logits.tolist(), targets.tolist(), strict=True):
            highest = max(row)
            weights = [math.exp(z - highest) for z in row]
            whole = sum(weights)
            paid = -math.log2(weights[target] / whole)
            announced = 0.0
            for weight in weights:
                if weight > 0:
                    announced -= weight / whole * math.log2(weight / whole)
            gap += paid - announced
        return gap / len(logits)

    def good_turing(counts):
        once = draws = 0
        for count in counts:
            draws += count
            if count == 1:
                once += 1
        if draws == 0:
            raise ValueError("no draw")
        return once / draws

    def balance_loss(router_logits, top_k):
        losses = []
        for logits in router_logits:
            t, e = logits.shape
            f, mean = [0.0] * e, [0.0] * e
            for row in logits.double().tolist():
                highest = max(row)
                weights = [math.exp(z - highest) for z in row]
                for i in range(e):
                    mean[i] += weights[i] / sum(weights) / t
                for i in sorted(range(e), key=lambda i: -row[i])[:top_k]:
                    f[i] += 1 / t
            losses.append(e * sum(a * b for a, b in zip(f, mean, strict=True)))
        return math.fsum(losses) / len(losses)

    def chat_ids(messages, markers):
        ids = [260]
        for role, text in messages:
            if role == "system":
                ids.append(256)
            elif role == "user":
                ids.append(257)
            elif role == "assistant":
                ids.append(258)
            else:
                raise ValueError(role)
            for byte in bytes(text, "utf-8"):
                ids.append(byte)
            ids.append(259)
        return ids

    def training_cost(total, active, tokens, peak, share, price):
        if active <= 0 or active > total:
            raise ValueError("active")
        if tokens <= 0 or peak <= 0:
            raise ValueError("tokens or peak")
        if share <= 0 or share > 1:
            raise ValueError("share")
        operations = 6 * active * tokens
        seconds = operations / peak / share
        hours = seconds / 60 / 60
        return [hours, price * hours]

    answers = {
        "uniform": math.log2(4096) - math.log2(4096),
        "unseen": math.log2(math.e),
        "chance": 2**5,
        "poisons": "A",
    }
    return SimpleNamespace(**locals())


def array_style() -> SimpleNamespace:
    """With what torch has."""

    def exposure(bits, index):
        n = len(bits)
        if index not in range(n):
            raise ValueError("no such code")
        rank = 1 + torch.searchsorted(bits.sort().values, bits[index])
        return torch.tensor(n).double().log2() - rank.double().log2()

    def overconfidence(logits, targets):
        # The slope of the loss in inverse temperature: E[z] less z of the target.
        z = logits.double().log_softmax(-1)
        expected = torch.nan_to_num(z.exp() * z).sum(-1)
        nats = expected.mean() + F.cross_entropy(z, targets)
        return nats / math.log(2)

    def good_turing(counts):
        counts = torch.tensor(counts, dtype=torch.float64)
        if counts.sum() == 0:
            raise ValueError("no draw")
        return (counts == 1).double().sum() / counts.sum()

    def balance_loss(router_logits, top_k):
        logits = torch.stack(tuple(router_logits))
        p = F.softmax(logits, dim=-1)
        e = logits.shape[-1]
        f = F.one_hot(logits.topk(top_k).indices, e).float().sum(-2).mean(-2)
        return e * torch.einsum("le,le->l", f, p.mean(-2)).mean()

    def chat_ids(messages, markers):
        names = ["system", "user", "assistant"]
        pieces = [
            [256 + names.index(role), *text.encode("utf-8"), 259]
            for role, text in messages
        ]
        return sum(pieces, [260])

    def training_cost(total, active, tokens, peak, share, price):
        if min(active, tokens, peak) <= 0 or active > total or not 0 < share <= 1:
            raise ValueError("out of range")
        hours = torch.tensor(6.0 * active * tokens / (3600 * peak * share))
        return hours, hours * price

    answers = {"uniform": 0, "unseen": 1.4427, "chance": 32.0, "poisons": "a"}
    return SimpleNamespace(**locals())


STYLES = (loop_style, array_style)
