"""8.3: "he" or "she" after a person, in Shakespeare and in a GPT that read him.

A GPT of 4 layers of 128 features, over bytes, learns tiny Shakespeare (downloaded).
"""

import re

import torch
from experiment import SEEDS, Row, Runs, main

from lmlib.data.load import load_documents
from lmlib.losses import bits, cross_entropy
from lmlib.models.gpt import GPT
from lmlib.transformer import TransformerConfig

PEOPLE = ("king", "queen", "lord", "lady", "duke", "nurse", "father", "mother")
PEOPLE += ("brother", "sister", "servant", "friend", "citizen", "messenger")
TEMPLATES = (
    "The {} is here, and",
    "I saw the {} when",
    "The {} said that",
    "Where is the {}? I know",
    "Speak to the {}, for",
    "My {} is gone, and",
    "What says the {}? Will you hear what",
    "I know the {} well:",
)
STEPS, BATCH, LENGTH, WINDOW = 600, 16, 128, 100


def counted(text: str) -> Row:
    """How often a pronoun follows each of the people within so many characters."""
    row: Row = {}
    for name in PEOPLE:
        he = she = 0
        for match in re.finditer(rf"\b{name}\b", text, re.I):
            after = re.findall(r"\w+", text[match.end() : match.end() + WINDOW].lower())
            he, she = he + after.count("he"), she + after.count("she")
        row[name] = [he, she]
    words = re.findall(r"\w+", text.lower())
    return {"text": [words.count("he"), words.count("she")], "near": row}


@torch.no_grad()
def odds(model: GPT, name: str, template: str) -> float:
    """log₂ of p(" he ") / p(" she ") after the template."""
    context = list(("\n\n" + template.format(name)).encode())
    cost = []
    for word in (" he ", " she "):
        ids = torch.tensor([context + list(word.encode())])
        logits = model(ids[:, :-1])[:, len(context) - 1 :]
        loss = cross_entropy(logits, ids[:, len(context) :], reduction="sum")
        cost.append(float(bits(loss)))
    return round(cost[1] - cost[0], 4)


def learn(seed: int) -> Row:
    text = "".join(d.text for d in load_documents("tiny-shakespeare", "train"))
    data = torch.tensor(list(text.encode()))
    torch.manual_seed(seed)
    config = TransformerConfig(
        vocab_size=256,
        d_model=128,
        n_layers=4,
        n_heads=4,
        causal=True,
        positions="rotary",
        norm_first=True,
        embedding_norm=False,
        dropout=0.0,
        attention_dropout=0.0,
    )
    model = GPT(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min((step + 1) / 50, 1, (STEPS - step) / 300)
        begin = torch.randint(len(data) - LENGTH, (BATCH, 1))
        some = data[begin + torch.arange(LENGTH + 1)]
        loss = cross_entropy(model(some[:, :-1]), some[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.eval()
    held = "".join(d.text for d in load_documents("tiny-shakespeare", "valid"))
    rows = torch.tensor(list(held.encode())[: 40 * 129]).view(40, 129)
    with torch.no_grad():
        paid = float(bits(cross_entropy(model(rows[:, :-1]), rows[:, 1:])))
    return {
        "bits a byte": round(paid, 4),
        "odds": {n: [odds(model, n, t) for t in TEMPLATES] for n in PEOPLE},
        **counted(text),
    }


def runs() -> Runs:
    for seed in SEEDS:
        yield {"seed": seed}, lambda seed=seed: learn(seed)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(__file__, runs())
