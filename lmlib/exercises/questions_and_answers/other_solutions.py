"""Right answers to assignment 9, written unlike the solution: all are accepted.

Each function is complete in itself but for the modules that the notebook imports, for
its source is also handed in as a submission of the sample class.
"""

import hashlib
import math
from types import SimpleNamespace

import torch
from torch import Tensor


def loop_style() -> SimpleNamespace:
    """Number by number."""

    def targets(ids: Tensor, lengths: Tensor, pad: int, eos: int) -> Tensor:
        rows = []
        for row, length in zip(ids.tolist(), lengths.tolist(), strict=True):
            if not 0 < length <= len(row):
                raise ValueError(f"a length of {length}")
            behind = [-100] * (len(row) - length)
            rows.append([*row[1:length], eos, *behind])
        return torch.tensor(rows)

    def worker_seed(seed, epoch, worker):
        text = "/".join(str(number) for number in (seed, epoch, worker))
        total = 0
        for byte in hashlib.sha256(text.encode("ascii")).digest()[:8]:
            total = 256 * total + byte
        return total

    def verdict(bits_per_token, bytes_per_token, vocab_size, floor=0.6):
        for value in (bits_per_token, bytes_per_token, vocab_size, floor):
            if value <= 0:
                raise ValueError(f"{value} is not positive")
        if bits_per_token < floor * bytes_per_token:
            return "leak"
        chance = math.log(vocab_size) / math.log(2)
        return "plausible" if bits_per_token < chance * 0.98 else "untrained"

    causes = (
        *("unshifted", "shifted_twice", "softmax_first", "padding"),
        *("no_mask", "rate_high", "rate_low", "same_draws"),
    )
    clinic = dict(zip(causes, "dagbhecf", strict=True))
    return SimpleNamespace(**locals())


def tensor_style() -> SimpleNamespace:
    """Whole tensors at a time, by other means."""

    def targets(ids: Tensor, lengths: Tensor, pad: int, eos: int) -> Tensor:
        b, n = ids.shape
        if lengths.min() < 1 or lengths.max() > n:
            raise ValueError("lengths")
        longer = torch.cat([ids, torch.full((b, 1), pad)], dim=1)
        longer[torch.arange(b), lengths] = eos
        beyond = torch.ones(b, n).cumsum(dim=1) > lengths.unsqueeze(1)
        return torch.where(beyond, -100, longer[:, 1:])

    def worker_seed(seed, epoch, worker):
        digest = hashlib.sha256(b"%d/%d/%d" % (seed, epoch, worker))
        return int(digest.hexdigest()[:16], 16)

    def verdict(bits_per_token, bytes_per_token, vocab_size, floor=0.6):
        if any(x <= 0 for x in (bits_per_token, bytes_per_token, vocab_size, floor)):
            raise ValueError("not positive")
        leak = bits_per_token / bytes_per_token < floor
        chance = bits_per_token / math.log2(vocab_size) if vocab_size > 1 else math.inf
        return "leak" if leak else "untrained" if chance >= 0.98 else "plausible"

    clinic = {
        "same_draws": "F",
        "rate_low": "C",
        "rate_high": "E",
        "no_mask": "H",
        "padding": "B",
        "softmax_first": "G",
        "shifted_twice": "A",
        "unshifted": "D",
    }
    return SimpleNamespace(**locals())


STYLES = (loop_style, tensor_style)
