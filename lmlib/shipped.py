"""Small pre-trained models that come with the course, so that nothing need be awaited.

- "bert", an encoder (WordPiece): to fill in masked tokens, and whether B follows A;
- "gpt", a decoder (byte-level BPE): to predict the next token.

Both have 4 layers of 128 features and 4,096 tokens, and have read the
documentation that comes with Python, numpy, torch and matplotlib. How they were made
(command, seed, machine, date), a digest of the text, and their scores are in the
`lmlib.json` of their folders, `lmlib/checkpoints/`.
"""

from pathlib import Path

import torch

from lmlib.training.saved import SavedModel, load

FOLDER = Path(__file__).parent / "checkpoints"
NAMES = ("bert", "gpt")


def shipped(name: str, device: torch.device | str | None = None) -> SavedModel:
    """The model `name` with its tokenizer, in evaluation mode.

    Raises:
        ValueError: there is no such model.
    """
    if name not in NAMES:
        raise ValueError(f"name must be one of {', '.join(NAMES)}, got {name!r}")
    return load(FOLDER / name, device)
