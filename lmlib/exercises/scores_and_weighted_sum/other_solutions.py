"""Right answers to assignment 4.1, unlike the solution: all must be accepted."""

import math
from types import SimpleNamespace

import torch
from torch import Tensor


def einsum_style() -> SimpleNamespace:
    """Index notation and explicit Jacobians."""

    def dot_product_variance(d_k, var_q, var_k, mean_q, mean_k):
        square = (var_q + mean_q**2) * (var_k + mean_k**2)
        return d_k * (square - (mean_q * mean_k) ** 2)

    def softmax_jacobian(scores: Tensor) -> Tensor:
        e = (scores - scores.amax(-1, keepdim=True)).exp()
        a = e / e.sum(-1, keepdim=True)
        identity = torch.eye(a.shape[-1], dtype=a.dtype)
        return a[..., :, None] * (identity - a[..., None, :])

    def softmax_backward(weights: Tensor, gradient: Tensor) -> Tensor:
        jacobian = torch.diag_embed(weights)
        jacobian = jacobian - torch.einsum("...i,...j->...ij", weights, weights)
        return torch.einsum("...ij,...i->...j", jacobian, gradient)

    def attention_backward(query, key, value, d_output):
        root = query.shape[-1] ** -0.5
        a = (torch.einsum("...qd,...kd->...qk", query, key) * root).softmax(-1)
        share = (d_output * (a @ value)).sum(-1, keepdim=True)
        d_s = a * (torch.einsum("...qv,...kv->...qk", d_output, value) - share) * root
        d_query = torch.einsum("...qk,...kd->...qd", d_s, key)
        d_key = torch.einsum("...qk,...qd->...kd", d_s, query)
        return d_query, d_key, torch.einsum("...qk,...qv->...kv", a, d_output)

    def merge(o1, l1, o2, l2):
        both = torch.stack((l1, l2)).logsumexp(0)
        some = both > -math.inf
        w1 = torch.where(some, (l1 - both).exp(), 0.0)[..., None]
        w2 = torch.where(some, (l2 - both).exp(), 0.0)[..., None]
        return w1 * o1 + w2 * o2, both

    def online_attention(query, key, value, block):
        outputs, lses = [], []
        for keys, values in zip(
            key.split(block, -2), value.split(block, -2), strict=True
        ):
            scores = query @ keys.mT / query.shape[-1] ** 0.5
            outputs.append(scores.softmax(-1) @ values)
            lses.append(scores.logsumexp(-1))
        shares = torch.stack(lses).softmax(0)
        return (shares[..., None] * torch.stack(outputs)).sum(0)

    predict = {
        "ratio": (10 + math.sinh(10)) / (5 + math.sinh(5)),
        "row_sum": 0.0,
        "edge": 8 * math.log(10),
        "eigenvalue": 0.5,
        "deviation": 768 * 0.02**2,
    }
    return SimpleNamespace(**locals())


def loop_style() -> SimpleNamespace:
    """One row, one key at a time."""

    def dot_product_variance(d_k, var_q, var_k, mean_q, mean_k):
        total = 0.0
        for _ in range(d_k):
            total += var_q * var_k + var_q * mean_k * mean_k + mean_q * mean_q * var_k
        return total

    def softmax_jacobian(scores: Tensor) -> Tensor:
        rows = scores.reshape(-1, scores.shape[-1]).softmax(-1)
        blocks = torch.stack([torch.diag(a) - torch.outer(a, a) for a in rows])
        return blocks.reshape(*scores.shape, scores.shape[-1])

    def softmax_backward(weights: Tensor, gradient: Tensor) -> Tensor:
        product = weights * gradient
        return product - weights * product.sum(-1, keepdim=True)

    def attention_backward(query, key, value, d_output):
        q, k, v = (t.detach().clone() for t in (query, key, value))
        scale = math.sqrt(q.shape[-1])
        a = torch.softmax(q @ k.transpose(-2, -1) / scale, dim=-1)
        d_a = d_output @ v.transpose(-2, -1)
        d_s = a * d_a
        d_s = d_s - a * d_s.sum(-1, keepdim=True)
        d_query = d_s @ k / scale
        d_key = d_s.transpose(-2, -1) @ q / scale
        return d_query, d_key, a.transpose(-2, -1) @ d_output

    def merge(o1, l1, o2, l2):
        highest = torch.maximum(l1, l2)
        highest = torch.where(highest.isinf(), torch.zeros_like(highest), highest)
        e1, e2 = torch.exp(l1 - highest), torch.exp(l2 - highest)
        total = e1 + e2
        safe = torch.where(total == 0, torch.ones_like(total), total)
        output = (e1[..., None] * o1 + e2[..., None] * o2) / safe[..., None]
        return output, highest + total.log()

    def online_attention(query, key, value, block):
        highest = torch.full(query.shape[:-1], -math.inf, dtype=query.dtype)
        total = torch.zeros_like(highest)
        output = torch.zeros(*query.shape[:-1], value.shape[-1], dtype=query.dtype)
        for j in range(key.shape[-2]):
            score = (query * key[..., j : j + 1, :]).sum(-1) / query.shape[-1] ** 0.5
            new = torch.maximum(highest, score)
            shrink, weight = (highest - new).exp(), (score - new).exp()
            total = total * shrink + weight
            added = weight[..., None] * value[..., j : j + 1, :]
            output = output * shrink[..., None] + added
            highest = new
        return output / total[..., None]

    predict = {
        "ratio": 139,
        "row_sum": 0,
        "edge": 18.42,
        "eigenvalue": 1 / 2,
        "deviation": 0.3072,
    }
    return SimpleNamespace(**locals())


STYLES = (einsum_style, loop_style)
