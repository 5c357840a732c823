"""Right answers to assignment 2.1, written unlike the solution: all are accepted.

Each function is complete in itself but for the modules that the notebook imports, for
its source is also handed in as a submission of the sample class.
"""

import hashlib
import re
from types import SimpleNamespace

import torch
from torch import Tensor


def loop_style() -> SimpleNamespace:
    """Token by token, name by name."""

    def next_token_rows(tokens: Tensor, length: int) -> tuple[Tensor, Tensor]:
        if tokens.numel() < 2:
            raise ValueError("too few tokens")
        if length <= 0:
            raise ValueError("too short a row")
        values = tokens.tolist()
        inputs, targets = [], []
        for start in range(0, len(values) - 1, length):
            row, asked = [0] * length, [-100] * length
            for j in range(min(length, len(values) - 1 - start)):
                row[j], asked[j] = values[start + j], values[start + j + 1]
            inputs.append(row)
            targets.append(asked)
        return torch.tensor(inputs), torch.tensor(targets)

    def is_held_out(name: str, share: float) -> bool:
        module = name.split(":")[0]
        number = 0
        for byte in hashlib.sha256(module.encode("utf-8")).digest()[:8]:
            number = 256 * number + byte
        return number < share * 2**64

    def containment(test: str, train: str, n: int) -> float:
        own, other = (
            [w.group() for w in re.finditer(r"\w+", text.lower())]
            for text in (test, train)
        )
        told = [other[i : i + n] for i in range(max(len(other) - n + 1, 0))]
        different: list[list[str]] = []
        for i in range(max(len(own) - n + 1, 0)):
            if own[i : i + n] not in different:
                different.append(own[i : i + n])
        if not different:
            return 0.0
        return sum(run in told for run in different) / len(different)

    def pseudo_probabilities(joint: Tensor) -> Tensor:
        values = joint.tolist()
        rows = [sum(row) for row in values]
        columns = [sum(column) for column in zip(*values, strict=True)]
        out = torch.zeros_like(joint)
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                if row > 0 and column > 0:
                    out[i, j] = (values[i][j] / row) * (values[i][j] / column)
        return out

    def loss_of_moved_targets(logits: Tensor, targets: Tensor) -> float:
        total, n = 0.0, 0
        for scores, row in zip(logits, targets.tolist(), strict=True):
            for place, wanted in enumerate(row):
                if wanted != -100:
                    z = scores[place]
                    total += (z.exp().sum().log() - z[wanted]).item()
                    n += 1
        return total / n

    four_curves = {
        "right": "D",
        "unshifted": "C",
        "by_two": "A",
        "unmasked": "B",
        "lowest_believable": 0.6,
    }
    return SimpleNamespace(**locals())


def tensor_style() -> SimpleNamespace:
    """Whole texts at a time, by other means."""

    def next_token_rows(tokens: Tensor, length: int) -> tuple[Tensor, Tensor]:
        if len(tokens) < 2 or length < 1:
            raise ValueError("two tokens at least, and rows of one at least")
        left = -(len(tokens) - 1) % length
        inputs = torch.cat([tokens[:-1], tokens.new_zeros(left)])
        targets = torch.cat([tokens[1:], tokens.new_full((left,), -100)])
        return inputs.view(-1, length), targets.view(-1, length)

    def is_held_out(name: str, share: float) -> bool:
        digits = hashlib.sha256(re.sub(":.*", "", name).encode()).hexdigest()[:16]
        return int(digits, 16) / 16**16 < share

    def containment(test: str, train: str, n: int) -> float:
        own, told = (
            set(zip(*(words[j:] for j in range(n)), strict=False))
            for words in (re.findall(r"\w+", t.casefold()) for t in (test, train))
        )
        return 1 - len(own - told) / len(own) if own else 0.0

    def pseudo_probabilities(joint: Tensor) -> Tensor:
        given_y = (joint / joint.sum(0)).nan_to_num(0.0)
        given_x = (joint.T / joint.sum(1)).T.nan_to_num(0.0)
        return given_y * given_x

    def loss_of_moved_targets(logits: Tensor, targets: Tensor) -> float:
        # By the module, which takes the classes in the second axis.
        loss = torch.nn.CrossEntropyLoss(ignore_index=-100)
        return float(loss(logits.transpose(1, 2), targets))

    letters = zip(("by_two", "unmasked", "unshifted", "right"), "abcd", strict=True)
    four_curves = {"lowest_believable": 0.600001, **dict(letters)}
    return SimpleNamespace(**locals())


STYLES = (loop_style, tensor_style)
