"""Figures that are moved by hand: a table or a row of tokens, with its numbers.

What a reader without JavaScript sees is the HTML of these classes; the site's script
(`book/_live/public/live/figures.js`) moves it, and computes from the numbers that are
embedded in it. Numbers are whole: multiples of `STEP`, so that they are short.
"""

import json
import math
from collections.abc import Sequence
from html import escape

import torch
from jaxtyping import Float
from torch import Tensor

STEP = 1e-4


def _data(content: dict[str, object]) -> str:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    # Nothing in a text may end the element that holds it.
    text = text.replace("<", r"\u003c")
    return f'<script type="application/json">{text}</script>'


def _whole(numbers: Tensor) -> Tensor:
    return (numbers.double() / STEP).round().long()


def shown(token: str) -> str:
    """A token as it is written in a figure: without its space, and never empty."""
    return token.strip(" ").replace("\n", "↵") or "␣"


class AttentionRow:
    """The weights of a sentence's tokens, a query at a time: HTML, or text elsewhere.

    Parameters:
        tokens: the sentence, one string a token.
        weights: the attention weights of each layer; a query looks back and at itself.
        layer, head: which are shown at first, counted from 1; the query is the last.

    Raises:
        ValueError: there is not one row and column of weights for each token.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        weights: Sequence[Float[Tensor, "heads query key"]],
        *,
        layer: int = 1,
        head: int = 1,
    ) -> None:
        n = len(tokens)
        if any(w.shape[-2:] != (n, n) for w in weights):
            raise ValueError(f"weights must be [heads, {n}, {n}], one row a token")
        self.tokens, self.layer, self.head = list(map(shown, tokens)), layer, head
        self.weights = [_whole(w) for w in weights]

    def _row(self) -> list[float]:
        return [
            w * STEP for w in self.weights[self.layer - 1][self.head - 1, -1].tolist()
        ]

    def _repr_html_(self) -> str:
        layers = len(self.weights)
        heads = [str(i + 1) for i in range(len(self.weights[0]))]
        menus = "".join(
            f'<label>{name} <select data-moved="{name}">'
            + "".join(
                f'<option value="{i}"{" selected" * (i == at - 1)}>{option}</option>'
                for i, option in enumerate(options)
            )
            + "</select></label>"
            for name, options, at in (
                ("layer", [str(i + 1) for i in range(layers)], self.layer),
                ("head", [*heads, "mean of all"], self.head),
            )
        )
        row = self._row()
        tokens = "".join(
            f'<span class="moved-token{" moved-asks" * (i == len(row) - 1)}" '
            f'style="--part: {weight:.3f}"><span class="moved-text">{escape(token)}'
            f'</span> <span class="moved-share">{100 * weight:.0f} %</span></span> '
            for i, (token, weight) in enumerate(zip(self.tokens, row, strict=True))
        )
        past = [
            [[row[: i + 1] for i, row in enumerate(head)] for head in layer.tolist()]
            for layer in self.weights
        ]
        return (
            f'<div class="moved" data-moved="attention"><p class="moved-controls" '
            f'hidden>{menus}</p><div class="moved-tokens">{tokens}</div>'
            f'<p class="moved-said" data-moved="said">How “{escape(self.tokens[-1])}”, '
            f"the last token, divides its attention in layer {self.layer}, head "
            f"{self.head}.</p>{_data({'weights': past})}</div>"
        )

    def __repr__(self) -> str:
        pairs = zip(self.tokens, self._row(), strict=True)
        return " ".join(f"{token} {100 * weight:.0f}%" for token, weight in pairs)


class NextToken:
    """A distribution of the next token under temperature and `top_p`.

    Parameters:
        logits: of all tokens.
        tokens: how the likeliest of them, the ones to be shown, are written.

    Raises:
        ValueError: there are more tokens than logits.
    """

    def __init__(self, logits: Float[Tensor, " vocab"], tokens: Sequence[str]) -> None:
        if len(tokens) > len(logits):
            raise ValueError("there must be a logit for each of tokens")
        ordered = logits.double().sort(descending=True).values
        self.drops = _whole(ordered[0] - ordered)  # below the likeliest, never negative
        self.tokens = list(map(shown, tokens))

    def _rows(self) -> list[tuple[str, float]]:
        p = (-STEP * self.drops.double()).softmax(dim=0)
        named = len(self.tokens)
        rest = f"{len(p) - named:,} others"
        return [
            *zip(self.tokens, p.tolist(), strict=False),
            (rest, float(p[named:].sum())),
        ]

    def _bits(self) -> float:
        p = (-STEP * self.drops.double()).softmax(dim=0)
        return float(torch.special.entr(p).sum()) / math.log(2)

    def _repr_html_(self) -> str:
        sliders = "".join(
            f'<label><span>{label} <output data-moved="{name}-now">1.00</output></span>'
            f'<input type="range" min="{low}" max="{high}" step="0.05" value="1" '
            f'data-moved="{name}"></label>'
            for label, name, low, high in (
                ("temperature T", "temperature", 0.1, 2),
                ("top-p", "top-p", 0.05, 1),
            )
        )
        rows = "".join(
            f'<tr><th scope="row">{escape(token)}</th><td class="moved-track">'
            f'<span class="moved-bar" style="--part: {p:.4f}"></span></td>'
            f'<td class="moved-share">{100 * p:.1f} %</td></tr>'
            for token, p in self._rows()
        )
        steps = self.drops.diff(prepend=self.drops[:1]).tolist()
        return (
            f'<div class="moved" data-moved="next-token"><p class="moved-controls" '
            f'hidden>{sliders}</p><table class="moved-table"><thead><tr>'
            f'<th scope="col">next token</th><td></td>'
            f'<th scope="col">probability</th></tr></thead>'
            f'<tbody>{rows}</tbody></table><p class="moved-said" data-moved="said">'
            f"At T = 1 the entropy is {self._bits():.2f} bits.</p>"
            f"{_data({'steps': steps})}</div>"
        )

    def __repr__(self) -> str:
        return "\n".join(f"{token:>16} {100 * p:5.1f}%" for token, p in self._rows())
