"""Families of models, each a configuration of `lmlib.transformer`.

>>> with torch.device("meta"):  # shapes without memory
...     model = build("gpt3-175b")
>>> count_parameters(model)
174604259328
"""

from torch import nn

from lmlib.models.bert import ALBERT, BERT, ROBERTA, Albert, Bert, Roberta
from lmlib.models.gpt import GPT, GPT1, GPT2, GPT3
from lmlib.models.llama import LLAMA, Llama
from lmlib.models.pangu import PANGU, PanGu
from lmlib.models.t5 import T5, T5_SIZES

PUBLISHED = (
    *BERT,
    *ROBERTA,
    *ALBERT,
    *GPT1,
    *GPT2,
    *GPT3,
    *T5_SIZES,
    *PANGU,
    *LLAMA,
)


def build(name: str) -> nn.Module:
    """The model that was published under `name`, with random weights.

    Raises:
        ValueError: no such name in `PUBLISHED`.
    """
    if name in BERT:
        return Bert(BERT[name])
    if name in ROBERTA:
        return Roberta(ROBERTA[name])
    if name in ALBERT:
        return Albert(ALBERT[name])
    if name in (decoders := GPT1 | GPT2 | GPT3):
        return GPT(decoders[name])
    if name in T5_SIZES:
        return T5(T5_SIZES[name])
    if name in PANGU:
        return PanGu(PANGU[name])
    if name in LLAMA:
        config, tied = LLAMA[name]
        return Llama(config, tied=tied)
    raise ValueError(f"name must be one of {', '.join(PUBLISHED)}; got {name!r}")
