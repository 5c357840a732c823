"""Right answers to assignment 5, written unlike the solution: all are accepted.

Each function is complete in itself but for the modules that the notebook imports, for
its source is also handed in as a submission of the sample class.
"""

import math
from fractions import Fraction
from types import SimpleNamespace

import torch
from torch import Tensor


def loop_style() -> SimpleNamespace:
    """Step by step."""

    def shortest_code(low: Fraction, width: Fraction) -> str:
        if not (0 <= low < low + width <= 1):
            raise ValueError(f"no interval: {low}, {width}")
        if low == 0 and width == 1:
            return ""
        waiting = [("0", Fraction(0)), ("1", Fraction(1, 2))]
        while True:  # breadth first, and only what can still be inside
            size = Fraction(1, 2 ** len(waiting[0][0]))
            for bits, begin in waiting:
                if low <= begin and begin + size <= low + width:
                    return bits
            waiting = [
                (bits + bit, begin + int(bit) * size / 2)
                for bits, begin in waiting
                if begin < low + width and begin + size > low
                for bit in "01"
            ]

    def frequencies(p: Tensor, total: int) -> Tensor:
        values = p.tolist()
        if len(values) > total:
            raise ValueError("total")
        for value in values:
            if math.isnan(value) or value < 0:
                raise ValueError(f"{value} is no probability")
        if not math.isclose(math.fsum(values), 1, abs_tol=1e-6, rel_tol=0):
            raise ValueError("the sum")
        found = [1 + int(value * (total - len(values))) for value in values]
        found[found.index(max(found))] += total - sum(found)
        return torch.tensor(found)

    def decode(bits: list[int], n: int, cumulative: list[int]) -> list[int]:
        if cumulative[0] or cumulative[-1] > 2**30 or cumulative[-1] < 1:
            raise ValueError("counts")
        for i in range(1, len(cumulative)):
            if cumulative[i] < cumulative[i - 1]:
                raise ValueError("counts")
        total = cumulative[-1]
        place = 32
        text = "".join(map(str, bits))
        point = int((text + "0" * 32)[:32], 2)
        low, high = 0, 0xFFFFFFFF
        found: list[int] = []
        while len(found) < n:
            span = high - low + 1
            s = 0
            while low + span * cumulative[s + 1] // total <= point:
                s += 1
            found.append(s)
            low, high = (
                low + span * cumulative[s] // total,
                low + span * cumulative[s + 1] // total - 1,
            )
            while True:
                if (low ^ high) & 0x80000000 == 0:
                    point = point << 1 & 0xFFFFFFFF
                    low = low << 1 & 0xFFFFFFFF
                    high = high << 1 & 0xFFFFFFFF | 1
                elif low & 0x40000000 and not high & 0x40000000:
                    point = (point & 0x80000000) | (point << 1 & 0x7FFFFFFF)
                    low = low << 1 & 0x7FFFFFFF
                    high = (high << 1 & 0x7FFFFFFF) | 0x80000001
                else:
                    break
                point |= int(text[place]) if place < len(text) else 0
                place += 1
        return found

    def encode(symbols: list[int], cumulative: list[int]) -> list[int]:
        low, high, waiting, text = 0, 0xFFFFFFFF, 0, ""

        def say(bit: str) -> str:
            return bit + ("0" if bit == "1" else "1") * waiting

        for s in symbols:
            span = high - low + 1
            low, high = (
                low + span * cumulative[s] // cumulative[-1],
                low + span * cumulative[s + 1] // cumulative[-1] - 1,
            )
            while True:
                first, second = f"{low:032b}"[:2], f"{high:032b}"[:2]
                if first[0] == second[0]:
                    text, waiting = text + say(first[0]), 0
                    low, high = low << 1, high << 1 | 1
                elif first + second == "0110":
                    waiting += 1
                    low, high = (low << 1) - 2**31, (high << 1 | 1) - 2**31
                else:
                    break
                low, high = low & 0xFFFFFFFF, high & 0xFFFFFFFF
        # A quarter as a whole: its two bits.
        waiting += 1
        return [int(bit) for bit in text + say("0" if low < 2**30 else "1")]

    def mix(p: Tensor, w: Tensor, bit: int, rate: float) -> tuple[float, Tensor]:
        inputs = []
        for value in p.tolist():
            value = min(max(value, 1 / 4096), 4095 / 4096)
            inputs.append(math.log(value) - math.log(1 - value))
        total = sum(a * b for a, b in zip(w.tolist(), inputs, strict=True))
        q = 1 / (1 + math.exp(-total))
        new = [
            a + rate * (bit - q) * b for a, b in zip(w.tolist(), inputs, strict=True)
        ]
        return q, torch.tensor(new, dtype=w.dtype)

    def windows(n: int, length: int, stride: int) -> list[tuple[int, int, int]]:
        if n <= 0 or stride <= 0 or stride > length:
            raise ValueError(f"{n}, {length}, {stride}")
        found, scored, begin = [], 0, 0
        while scored < n:
            end = min(begin + length, n)
            found.append((begin, scored, end))
            scored, begin = end, begin + stride
        return found

    def pays_from(model_bits: float, own: float, rival: float) -> float:
        gain = rival - own
        return model_bits / gain if gain > 0 else float("inf")

    answers = {
        "order_4": "larger",
        "floor": 0.0931,
        "temperature": "same",
        "second_epoch": "no",
        "poems": "larger",
    }
    return SimpleNamespace(**locals())


def whole_style() -> SimpleNamespace:
    """In closed form where there is one."""

    def shortest_code(low: Fraction, width: Fraction) -> str:
        if width <= 0 or low < 0 or low + width > 1:
            raise ValueError("no interval")
        least = 0
        while width * 2**least < 1:
            least += 1
        for n in (least, least + 1):
            number = -((-low.numerator << n) // low.denominator)
            if Fraction(number + 1, 1 << n) <= low + width:
                return bin(number)[2:].rjust(n, "0") if n else ""
        raise AssertionError("one bit more is always enough")

    def frequencies(p: Tensor, total: int) -> Tensor:
        good = torch.isfinite(p).all() and p.min() >= 0 and (p.sum() - 1).abs() <= 1e-6
        if not good or total < p.numel():
            raise ValueError("no distribution")
        found = torch.floor(p * (total - p.numel())).to(torch.int64) + 1
        largest = (found == found.max()).nonzero()[0]
        found[largest] = found[largest] + total - found.sum()
        return found

    def decode(bits: list[int], n: int, cumulative: list[int]) -> list[int]:
        table = torch.tensor(cumulative)
        total = int(table[-1])
        if table[0] != 0 or (table.diff() < 0).any() or not 0 < total <= 2**30:
            raise ValueError("counts")
        source = list(bits) + [0] * (32 + 64 * n)
        point = sum(bit << (31 - i) for i, bit in enumerate(source[:32]))
        taken, low, span = 32, 0, 2**32
        found = []
        for _ in range(n):
            cuts = [low + span * c // total for c in cumulative]
            s = sum(cut <= point for cut in cuts) - 1
            found.append(s)
            low, span = cuts[s], cuts[s + 1] - cuts[s]
            while True:
                if low + span <= 2**31:
                    off = 0
                elif low >= 2**31:
                    off = 2**31
                elif low >= 2**30 and low + span <= 3 * 2**30:
                    off = 2**30
                else:
                    break
                low, span = 2 * (low - off), 2 * span
                point = 2 * (point - off) + source[taken]
                taken += 1
        return found

    def encode(symbols: list[int], cumulative: list[int]) -> list[int]:
        # All that was taken off is one long number, and a carry runs through it.
        total, taken_off, low, span, n = cumulative[-1], 0, 0, 2**32, 32
        for s in symbols:
            begin = span * cumulative[s] // total
            span = span * cumulative[s + 1] // total - begin
            low += begin
            while span <= 2**31:
                if low + span <= 2**31:
                    off = 0
                elif low >= 2**31:
                    off = 2**31
                elif low >= 2**30 and low + span <= 3 * 2**30:
                    off = 2**30
                else:
                    break
                taken_off, low, span, n = (
                    2 * (taken_off + off),
                    2 * (low - off),
                    2 * span,
                    n + 1,
                )
        return [int(bit) for bit in f"{taken_off + low + span // 2:0{n}b}"]

    def mix(p: Tensor, w: Tensor, bit: int, rate: float) -> tuple[float, Tensor]:
        inputs = torch.logit(p, eps=1 / 4096)
        q = (w * inputs).sum().sigmoid()
        return float(q), torch.add(w, inputs, alpha=float(rate * (bit - q)))

    def windows(n: int, length: int, stride: int) -> list[tuple[int, int, int]]:
        if not (n >= 1 and 1 <= stride <= length):
            raise ValueError("stride")
        count = 1 + -(-max(n - length, 0) // stride)
        return [
            (
                i * stride,
                i * stride + (length - stride if i else 0),
                min(i * stride + length, n),
            )
            for i in range(count)
        ]

    def pays_from(model_bits: float, own: float, rival: float) -> float:
        if rival <= own:
            return math.inf
        return model_bits * (1 / (rival - own))

    answers = {
        "order_4": "Larger",
        "floor": -math.log2(1 - 2**12 / 2**16),
        "temperature": "same",
        "second_epoch": "no",
        "poems": "larger",
    }
    return SimpleNamespace(**locals())


STYLES = (loop_style, whole_style)
