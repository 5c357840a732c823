"""Wrong solutions of 3.1 as students write them, with words that name each mistake.

They are written by hand and unlike the course's own list of mistakes. Of each it is
counted whether the words (any of those between |) are in what the student reads.
"""

import math

import torch
import torch.nn.functional as F

inf = math.inf


def heads(t, h):
    b, n, d = t.shape
    return t.view(b, n, h, d // h).transpose(1, 2)


def merged(t):
    b, h, n, d = t.shape
    return t.transpose(1, 2).contiguous().view(b, n, h * d)


def block(s, mask):
    return s if mask is None else s.masked_fill(mask.logical_not(), -inf)


def multi(body):
    """`body(query, key, value, mask)` in place of the attention of each head."""

    def f(x, wq, wk, wv, wo, n_heads, mask=None):
        q, k, v = heads(x @ wq, n_heads), heads(x @ wk, n_heads), heads(x @ wv, n_heads)
        return merged(body(q, k, v, mask)) @ wo

    return f


def att(q, k, v, mask=None):
    s = torch.einsum("bhqd,bhkd->bhqk", q, k) / q.size(-1) ** 0.5
    return F.softmax(block(s, mask), -1) @ v


def projected(pick):
    """`pick(x, wq, wk, wv, n_heads)` gives queries, keys, values."""

    def f(x, wq, wk, wv, wo, n_heads, mask=None):
        return merged(att(*pick(x, wq, wk, wv, n_heads), mask)) @ wo

    return f


def residual(x, wq, wk, wv, wo, n_heads, mask=None):
    q, k, v = (heads(x @ w, n_heads) for w in (wq, wk, wv))
    return x + merged(att(q, k, v, mask)) @ wo


def twice_output(x, wq, wk, wv, wo, n_heads, mask=None):
    q, k, v = (heads(x @ w, n_heads) for w in (wq, wk, wv))
    return merged(att(q, k, v, mask)) @ wo.t()


def interleaved(x, wq, wk, wv, wo, n_heads, mask=None):
    b, n, d = x.shape
    q, k, v = (
        (x @ w).view(b, n, d // n_heads, n_heads).permute(0, 3, 1, 2)
        for w in (wq, wk, wv)
    )
    o = att(q, k, v, mask)
    return o.permute(0, 2, 3, 1).reshape(b, n, d) @ wo


def always_causal(q, k, v, mask):
    return att(q, k, v, torch.tril(torch.ones(q.size(-2), q.size(-2))) > 0)


def cached(body, offset=lambda q, k: k - q, of=lambda m: m):
    def f(query, key, value):
        q, k = query.size(-2), key.size(-2)
        rows, columns = torch.arange(q)[:, None], torch.arange(k)[None]
        mask = of(columns <= rows + offset(q, k))
        return torch.nan_to_num(body(query, key, mask)) @ value

    return f


def cached_weights(q, k, mask):
    return F.softmax(block(q @ k.mT / q.size(-1) ** 0.5, mask), -1)


def first_batch(query, key, value):
    m = torch.ones(query.size(1), key.size(1)).tril(key.size(1) - query.size(1)) > 0
    out = torch.zeros(*query.shape[:-1], value.size(-1))
    out[0] = cached_weights(query[0], key[0], m) @ value[0]
    return out


def rotary(base=10000.0, first=0, times=1.0, swap=False, exponent=1.0, lay="pairs"):
    def f(x, positions):
        d = x.size(-1)
        inv = 1.0 / base ** (torch.arange(0, d, 2).double() * exponent / d)
        a = torch.outer((positions + first).double(), inv) * times
        c, s = a.cos(), a.sin()
        if swap:
            c, s = s, c
        if lay == "neox":
            c, s = torch.cat((c, c), -1), torch.cat((s, s), -1)
            half = torch.cat((-x[..., d // 2 :], x[..., : d // 2]), -1)
            return (x * c + half * s).to(x.dtype)
        if lay == "mixed":
            c, s = c.repeat_interleave(2, -1), s.repeat_interleave(2, -1)
            half = torch.cat((-x[..., d // 2 :], x[..., : d // 2]), -1)
            return (x * c + half * s).to(x.dtype)
        u, v = x[..., ::2], x[..., 1::2]
        if lay == "cat":
            return torch.cat((u * c - v * s, u * s + v * c), -1).to(x.dtype)
        out = torch.empty_like(x)
        out[..., ::2], out[..., 1::2] = u * c - v * s, u * s + v * c
        return out

    return f


def table(base=10000.0, first=0, times=1.0, exponent=1.0, sin=torch.sin, cos=torch.cos):
    def f(n, d):
        if d % 2:
            raise ValueError
        i = torch.arange(0, d, 2).double()
        a = (torch.arange(n) + first)[:, None] / base ** (i * exponent / d) * times
        t = torch.zeros(n, d)
        t[:, ::2], t[:, 1::2] = sin(a), cos(a)
        return t

    return f


def weights(weigh, scale=lambda q, k: q.size(-1) ** -0.5):
    return lambda query, key: weigh(query @ key.transpose(-1, -2) * scale(query, key))


def cosine(query, key):
    lengths = query.norm(dim=-1)[..., :, None] * key.norm(dim=-1)[..., None, :]
    return F.softmax(query @ key.mT / lengths, -1)


def splits(change):
    def f(x, n_heads):
        if x.size(-1) % n_heads:
            raise ValueError
        return change(heads(x, n_heads))

    return f


def one(q, k):
    return 1.0


def root(q):
    return q.size(-1) ** 0.5


def soft(s):
    return F.softmax(s, -1)


W, MA, MH, C = (
    "attention_weights",
    "masked_attention_weights",
    "multi_head_attention",
    "cached_attention",
)
S, R, SP, ME, SU = (
    "sinusoidal_positions",
    "apply_rotary",
    "split_heads",
    "merge_heads",
    "weighted_sum",
)

WRONG = [
    (W, "after the softmax", lambda q, k: soft(q @ k.mT) / root(q)),
    (W, "powers of 2", weights(lambda s: 2**s / (2**s).sum(-1, keepdim=True))),
    (W, "sigmoid", weights(torch.sigmoid)),
    (W, "cosine", cosine),
    (W, "float16|half precision", weights(lambda s: soft(s.half()).to(s.dtype))),
    (W, "bfloat16", weights(lambda s: soft(s.bfloat16()).to(s.dtype))),
    (W, "softmax twice", weights(lambda s: soft(soft(s)))),
    (W, "logarithm", weights(lambda s: F.log_softmax(s, -1))),
    (W, "changed places|swapped", lambda q, k: soft(k @ q.mT / root(q))),
    (W, "backwards", lambda q, k: soft(q @ k.mT / root(q)).flip(-1)),
    (W, "times a constant|twice", weights(lambda s: 2 * soft(s))),
    (
        SU,
        "transposed",
        lambda w, v: (w.mT @ v) if w.size(-1) == w.size(-2) else w @ v / v.size(-1),
    ),
    (SU, "times", lambda w, v: w @ v / math.sqrt(v.size(-1))),
    (MA, "after the softmax", lambda s, m: soft(s).masked_fill(~m, 0)),
    (MA, "mask has no effect", lambda s, m: soft(s)),
    (MA, "True means", lambda s, m: soft(s.masked_fill(m, -inf)).nan_to_num()),
    (
        MA,
        "row",
        lambda s, m: (block(s, m) - block(s, m).logsumexp(-1, keepdim=True)).exp(),
    ),
    (SP, "swapped", splits(lambda t: t.mT.contiguous())),
    (SP, "backwards|another order", splits(lambda t: t.flip(1))),
    (SP, "another order|one place", splits(lambda t: t.roll(1, 1))),
    (ME, "other places|another order", lambda x: merged(x.mT.reshape(x.shape))),
    (ME, "backwards", lambda x: merged(x).flip(1)),
    (
        MH,
        "left out the division",
        multi(lambda q, k, v, m: soft(block(q @ k.mT, m)) @ v),
    ),
    (
        MH,
        "not by its root",
        multi(lambda q, k, v, m: soft(block(q @ k.mT / q.size(-1), m)) @ v),
    ),
    (
        MH,
        "number of heads",
        multi(lambda q, k, v, m: soft(block(q @ k.mT / q.size(1) ** 0.5, m)) @ v),
    ),
    (
        MH,
        "over the heads",
        multi(
            lambda q, k, v, m: (
                F.softmax(block(q @ k.mT / root(q), m), 1).nan_to_num() @ v
            )
        ),
    ),
    (MH, "like cards", interleaved),
    (
        MH,
        "not projected",
        projected(
            lambda x, q, k, v, h: (heads(x @ q, h), heads(x @ k, h), heads(x, h))
        ),
    ),
    (
        MH,
        "changed places",
        projected(
            lambda x, q, k, v, h: (heads(x @ k, h), heads(x @ q, h), heads(x @ v, h))
        ),
    ),
    (MH, "added x|plus `x`", residual),
    (MH, "always causal", multi(always_causal)),
    (MH, "transposed w_output", twice_output),
    (
        MH,
        "True means",
        multi(lambda q, k, v, m: att(q, k, v, None if m is None else ~m)),
    ),
    (
        MH,
        "after the softmax",
        multi(
            lambda q, k, v, m: (soft(q @ k.mT / root(q)) * (1 if m is None else m)) @ v
        ),
    ),
    (
        MH,
        "sigmoid",
        multi(lambda q, k, v, m: torch.sigmoid(block(q @ k.mT / root(q), m)) @ v),
    ),
    (S, "base is 1,000", table(base=1000)),
    (S, "base is 500,000", table(base=5e5)),
    (S, "degrees", table(times=180 / math.pi)),
    (S, "half as large", table(times=0.5)),
    (S, "4i/d", table(exponent=2.0)),
    (S, "changed places", table(sin=torch.cos, cos=torch.sin)),
    (S, "are sines", table(cos=torch.sin)),
    (S, "count from 0", table(first=1)),
    (R, "base is 1,000:", rotary(base=1000)),
    (R, "base is 500,000", rotary(base=5e5)),
    (R, "changed places", rotary(swap=True)),
    (R, "one too high|count from", rotary(first=1)),
    (R, "half as large", rotary(times=0.5)),
    (R, "degrees", rotary(times=180 / math.pi)),
    (R, "GPT-NeoX", rotary(lay="neox")),
    (R, "two layouts", rotary(lay="mixed")),
    (R, "two halves", rotary(lay="cat")),
    (R, "as it came", lambda x, positions: x.clone()),
    (C, "left out the division", cached(lambda q, k, m: soft(block(q @ k.mT, m)))),
    (C, "flipped|upper triangle", cached(cached_weights, of=lambda m: ~m)),
    (C, "number of queries", cached(cached_weights, offset=lambda q, k: q)),
    (C, "number of keys|no mask", cached(cached_weights, offset=lambda q, k: k)),
    (
        C,
        "no mask|Without a mask|blocks nothing",
        lambda q, k, v: soft(q @ k.mT / root(q)) @ v,
    ),
    (C, "first of the batch|Only the first entry", first_batch),
    (C, "after the softmax", cached(lambda q, k, m: soft(q @ k.mT / root(q)) * m)),
]
