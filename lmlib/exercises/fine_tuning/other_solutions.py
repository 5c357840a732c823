"""Right answers to assignment 3.3, written unlike the solution: all must pass."""

import math
from types import SimpleNamespace

import torch
from torch import Tensor


def loops_style() -> SimpleNamespace:
    """Step by step, one number or one row at a time."""

    def split_by_text(texts, draws, valid, test):
        parts = []
        for text in texts:
            draw = draws[texts.index(text)]
            if draw < test:
                parts.append("test")
            elif draw - test < valid:
                parts.append("valid")
            else:
                parts.append("train")
        return parts

    def load_backbone(pretrained, fresh, prefix):
        result = dict(fresh)
        for name in fresh:
            if name[:6] == "heads.":
                continue
            if prefix + name not in pretrained:
                raise KeyError(name)
            tensor = pretrained[prefix + name]
            if list(tensor.shape) != list(fresh[name].shape):
                raise ValueError(name)
            result[name] = torch.empty_like(fresh[name]).copy_(tensor)
        return result

    def pad_batch(rows, length, cls, sep, pad):
        width = min(max(len(row) for row in rows) + 2, length)
        ids = torch.full((len(rows), width), pad)
        mask = torch.zeros(len(rows), width, dtype=torch.bool)
        for i, row in enumerate(rows):
            full = [cls, *row[: width - 2], sep]
            for j, token in enumerate(full):
                ids[i, j], mask[i, j] = token, True
        return ids, mask

    def last_real(hidden: Tensor, mask: Tensor) -> Tensor:
        rows = []
        for vectors, real in zip(hidden, mask, strict=True):
            rows.append(vectors[real][-1])
        return torch.stack(rows)

    def accumulated_loss(sums, counts):
        total, targets = 0.0, 0
        for nats, n in zip(sums, counts, strict=True):
            total += nats
            targets += n
        return total / targets if targets else 0.0

    def adamw_step(p, grad, m, v, step, lr, betas, eps, weight_decay):
        p, m, v = p.clone(), m.clone(), v.clone()
        if grad is not None:
            for i in range(len(p)):
                m[i] = betas[0] * m[i] + (1 - betas[0]) * grad[i]
                v[i] = betas[1] * v[i] + (1 - betas[1]) * grad[i] * grad[i]
                first = m[i] / (1 - betas[0] ** step)
                second = v[i] / (1 - betas[1] ** step)
                p[i] *= 1 - lr * weight_decay
                p[i] -= lr * first / (math.sqrt(second) + eps)
        return p, m, v

    def lora_merge(weight: Tensor, a: Tensor, b: Tensor, alpha: float) -> Tensor:
        rank = len(a)
        if rank > weight.shape[0] or rank > weight.shape[1]:
            raise ValueError("the rank is too high")
        merged = weight.clone()
        for i in range(rank):
            merged += alpha / rank * torch.outer(b[:, i], a[i])
        return merged

    read_the_plot = {"keep": 13, "test": "below", "flatters": 0.084, "opens": 1}
    return SimpleNamespace(**locals())


def torch_style() -> SimpleNamespace:
    """As much as possible from torch itself."""

    def split_by_text(texts, draws, valid, test):
        bounds = torch.tensor([test, test + valid], dtype=torch.float64)
        first = [draws[texts.index(text)] for text in texts]
        own = torch.tensor(first, dtype=torch.float64)
        places = torch.bucketize(own, bounds, right=True)
        return [("test", "valid", "train")[place] for place in places.tolist()]

    def load_backbone(pretrained, fresh, prefix):
        backbone = {n: t for n, t in fresh.items() if not n.startswith("heads.")}
        wrong = [
            n for n, t in backbone.items() if pretrained[prefix + n].shape != t.shape
        ]
        if wrong:
            raise ValueError(f"unlike shapes: {wrong}")
        found = {n: pretrained[prefix + n].type_as(t) for n, t in backbone.items()}
        return {**fresh, **found}

    def pad_batch(rows, length, cls, sep, pad):
        full = [torch.tensor([cls, *row[: length - 2], sep]) for row in rows]
        ids = torch.nn.utils.rnn.pad_sequence(full, True, pad)
        ones = [torch.ones(len(row), dtype=torch.bool) for row in full]
        return ids, torch.nn.utils.rnn.pad_sequence(ones, True, False)

    def last_real(hidden: Tensor, mask: Tensor) -> Tensor:
        place = mask.shape[1] - 1 - mask.flip(1).int().argmax(1)
        return hidden.take_along_dim(place[:, None, None], 1).squeeze(1)

    def accumulated_loss(sums, counts):
        total = torch.tensor(sums, dtype=torch.float64).sum()
        return (total / torch.tensor(counts).sum().clamp(min=1)).item()

    def adamw_step(p, grad, m, v, step, lr, betas, eps, weight_decay):
        if grad is None:
            return p, m, v
        m = torch.lerp(m, grad, 1 - betas[0])
        v = v.mul(betas[1]).addcmul(grad, grad, value=1 - betas[1])
        size = (v / (1 - betas[1] ** step)).sqrt().add(eps)
        moved = p.mul(1 - lr * weight_decay)
        return moved.addcdiv(m, size, value=-lr / (1 - betas[0] ** step)), m, v

    def lora_merge(weight: Tensor, a: Tensor, b: Tensor, alpha: float) -> Tensor:
        if a.size(0) > min(weight.size()):
            raise ValueError("rank")
        return torch.addmm(weight, b, a, alpha=alpha / a.size(0))

    read_the_plot = {"keep": 13.0, "test": "below", "flatters": 0.08, "opens": 1.0}
    return SimpleNamespace(**locals())


STYLES = (loops_style, torch_style)
