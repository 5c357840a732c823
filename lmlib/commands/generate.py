"""`lmlib generate`: a model writes."""

import argparse
from pathlib import Path
from typing import Any

from lmlib.commands import options

TEXT = """\
Let a decoder continue a text, or a model that was fine-tuned to generate answer it.

At temperature 0 each token is the likeliest one, and the text soon goes round in
circles. Above 0 tokens are drawn by their probabilities: of all, of the --top-k
likeliest, or of the fewest that have --top-p together. Without --temperature a text is
continued at 0.8, and an answer is the likeliest.

examples:
  lmlib generate runs/causal "The function returns"
  lmlib generate runs/causal "To be" --tokens 200 --top-p 0.9 --number 3
"""


def add(commands: Any) -> None:
    parser = options.add_parser(commands, "generate", "a model writes", TEXT)
    parser.add_argument("model", type=Path, metavar="MODEL", help="a folder")
    parser.add_argument("prompt", metavar="PROMPT", help="the text to be continued")
    parser.add_argument(
        "--tokens", type=options.whole, default=64, help="to write, at most"
    )
    parser.add_argument("--temperature", type=options.real, help="see above")
    parser.add_argument("--top-k", type=options.whole, help="see above")
    parser.add_argument("--top-p", type=options.real, help="see above")
    parser.add_argument("--number", type=options.whole, default=1, help="of texts")
    parser.add_argument("--seed", type=options.whole, default=0, help="of the dice")
    options.add_device(parser)
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> int:
    import lmlib
    from lmlib.training.saved import load

    options.check_counts(given, "tokens", "number")
    options.check_text("PROMPT", given.prompt)
    options.check_seed(given)
    device = lmlib.device(given.device)
    kept = load(given.model, device)
    with options.threads(options.width_of(kept.model)):
        return _write(given, kept, device)


def _write(given: argparse.Namespace, kept: Any, device: Any) -> int:
    import torch

    from lmlib.models.generate import generate
    from lmlib.models.gpt import GPT
    from lmlib.models.t5 import T5
    from lmlib.training.finetune import answer

    model, tokenizer = kept.model, kept.tokenizer
    if not isinstance(model, GPT | T5):
        raise ValueError(f"{given.model} is no decoder: it cannot write")
    task = kept.made.get("task")
    usual = 0.0 if task or isinstance(model, T5) else 0.8
    temperature = usual if given.temperature is None else given.temperature
    dice: dict[str, Any] = {
        "temperature": temperature,
        "top_k": given.top_k,
        "top_p": given.top_p,
        "generator": torch.Generator(device).manual_seed(given.seed),
    }
    if task or isinstance(model, T5):
        length = task["length"] if task else 512
        for i in range(given.number):
            _number(i, given)
            print(
                answer(
                    model,
                    given.prompt,
                    tokenizer,
                    length=length,
                    n_new=given.tokens,
                    **dice,
                )
            )
        return 0
    prompt = [tokenizer.special.bos, *tokenizer.encode(given.prompt).tolist()]
    longest = model.config.longest
    n_new = given.tokens
    if longest is not None:
        n_new = min(n_new, longest - len(prompt))
    if n_new < 1:
        raise ValueError(
            f"PROMPT has {len(prompt)} tokens, the model {longest} positions"
        )
    written = generate(
        model,
        torch.tensor([prompt] * given.number, device=device),
        n_new,
        eos_id=tokenizer.special.eos,
        pad_id=tokenizer.special.pad,
        **dice,
    )
    for i, row in enumerate(written.tolist()):
        _number(i, given)
        print(tokenizer.decode(row))
    return 0


def _number(i: int, given: argparse.Namespace) -> None:
    if given.number > 1:
        print(f"— {i + 1} —")
