"""8.4: what the shipped GPT announces, pays and earns on four texts.

24 windows of 128 tokens of each; a temperature is fitted on every second one, and what
is paid and earned at it is counted on the others. Three of the texts are downloaded.
"""

import numpy as np
import torch
from experiment import Row, Runs, main, shipped_weights

from lmlib.calibration import best_temperature, overconfidence
from lmlib.data.load import load_documents
from lmlib.losses import bits, cross_entropy
from lmlib.shipped import shipped

NAMES = {
    "installed": "documentation",
    "tiny-shakespeare": "Shakespeare",
    "wikitext-2": "WikiText-2",
    "tang-poems": "Tang poems",
}
WINDOWS = 24
THRESHOLDS = (0.0, 0.5, 0.9)


def windows(name: str) -> torch.Tensor:
    kept = shipped("gpt")
    found: list[int] = []
    for document in load_documents(name, "test"):
        text = document.text[:30_000]
        found += [kept.tokenizer.special.bos, *kept.tokenizer.encode(text).tolist()]
        if len(found) > 200_000:
            break
    n = len(found) // 128
    rows = torch.tensor(found[: n * 128]).view(n, 128)
    return rows[np.linspace(0, n - 1, WINDOWS).astype(int)]


@torch.no_grad()
def logits_of(rows: torch.Tensor) -> torch.Tensor:
    kept = shipped("gpt")
    begin = torch.full((len(rows), 1), kept.tokenizer.special.bos)
    return kept.model(torch.cat((begin, rows[:, :-1]), dim=1))


def earned(p: torch.Tensor, right: torch.Tensor, t: float, silent: bool) -> float:
    points = torch.where(right, 1.0, -t / (1 - t))
    return float((points * (p > t)).mean() if silent else points.mean())


def silence(z: torch.Tensor, y: torch.Tensor, temperature: float) -> list[Row]:
    right = z.argmax(dim=1) == y
    raw = z.softmax(dim=1).amax(dim=1)
    fitted = (z / temperature).softmax(dim=1).amax(dim=1)
    return [
        {
            "t": t,
            "always": earned(raw, right, t, False),
            "if p > t": earned(raw, right, t, True),
            "answers": float((raw > t).double().mean()),
            "fitted": earned(fitted, right, t, True),
            "answers, fitted": float((fitted > t).double().mean()),
        }
        for t in THRESHOLDS
    ]


def all_texts() -> Row:
    texts: dict[str, Row] = {}
    odd, temperatures = {}, {}
    for name, title in NAMES.items():
        rows = windows(name)
        logits = logits_of(rows)
        t, _ = best_temperature(logits[::2].flatten(0, 1), rows[::2].flatten())
        odd[title] = logits[1::2].flatten(0, 1), rows[1::2].flatten()
        temperatures[title] = t
        texts[title] = {
            "gaps": [overconfidence(z, y) for z, y in zip(logits, rows, strict=True)],
            "paid": float(bits(cross_entropy(logits, rows))),
            "best T": t,
        }
    for title, (z, y) in odd.items():
        texts[title]["paid at"] = {
            other: float(bits(cross_entropy(z / t, y)))
            for other, t in {"T = 1": 1.0, **temperatures}.items()
        }
        texts[title]["silence"] = silence(z, y, temperatures[title])
    return {"texts": texts}


def runs() -> Runs:
    yield {"seed": None, "weights": shipped_weights("gpt")}, all_texts


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(__file__, runs())
