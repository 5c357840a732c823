"""The same weights in `transformers` and in lmlib, and how far the two are apart.

`transformers` computes with its plain ("eager") attention, so that it also returns the
attention weights; lmlib computes logits and gradients in its fast way.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from lmlib.models import hub
from lmlib.models.bert import Bert
from lmlib.models.layouts import FAMILIES
from lmlib.models.t5 import T5

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

VOCAB, D, BATCH, LENGTH, TARGET = 53, 24, 3, 11, 7
ENCODER = {
    "vocab_size": VOCAB,
    "hidden_size": D,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 32,
}
T5_SIZES = {
    "vocab_size": VOCAB,
    "d_model": D,
    "d_kv": 10,  # not d_model / num_heads
    "d_ff": 40,
    "num_layers": 3,
    "num_decoder_layers": 2,
    "num_heads": 3,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 9,
}


def t5_v1_1() -> nn.Module:
    """Gated, and with a head of its own, which `transformers` 5 gives only if asked."""
    model = transformers.T5ForConditionalGeneration(
        transformers.T5Config(
            **T5_SIZES, feed_forward_proj="gated-gelu", tie_word_embeddings=False
        )
    )
    model.lm_head.weight = nn.Parameter(torch.empty(VOCAB, D))
    model.all_tied_weights_keys.pop("lm_head.weight", None)
    return model


# So short that of the four frequencies of 8 features each is in another case.
LLAMA_3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}


def llama(family: str, **settings: Any) -> nn.Module:
    """Four heads of queries on two of keys and values, in any of three families."""
    sizes = ENCODER | {"num_attention_heads": 4, "num_key_value_heads": 2, **settings}
    config = getattr(transformers, f"{family}Config")(**sizes)
    return getattr(transformers, f"{family}ForCausalLM")(config)


MAKERS: dict[str, Callable[[], nn.Module]] = {
    "BERT": lambda: transformers.BertForPreTraining(transformers.BertConfig(**ENCODER)),
    "BERT, MLM only": lambda: transformers.BertForMaskedLM(
        transformers.BertConfig(**ENCODER, hidden_act="relu")
    ),
    "RoBERTa": lambda: transformers.RobertaForMaskedLM(
        transformers.RobertaConfig(**ENCODER, type_vocab_size=1, pad_token_id=4)
    ),
    "ALBERT, 1 group": lambda: transformers.AlbertForPreTraining(
        transformers.AlbertConfig(**ENCODER, embedding_size=14)
    ),
    "ALBERT, 2 groups": lambda: transformers.AlbertForPreTraining(
        transformers.AlbertConfig(**ENCODER, embedding_size=14, num_hidden_groups=2)
    ),
    "GPT-2": lambda: transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=VOCAB, n_positions=32, n_embd=D, n_layer=3, n_head=3, n_inner=40
        )
    ),
    "Llama": lambda: llama("Llama"),
    "Llama, all options": lambda: llama(
        "Llama",
        head_dim=6,
        attention_bias=True,
        mlp_bias=True,
        tie_word_embeddings=True,
        rope_parameters=LLAMA_3,
    ),
    "Llama, linear": lambda: llama(
        "Llama", rope_parameters={"rope_type": "linear", "factor": 4.0}
    ),
    "Qwen2": lambda: llama("Qwen2", tie_word_embeddings=True),
    "Qwen3": lambda: llama("Qwen3", head_dim=10),
    "T5": lambda: transformers.T5ForConditionalGeneration(
        transformers.T5Config(**T5_SIZES)
    ),
    "T5 v1.1": t5_v1_1,
}


def make_reference(name: str, seed: int = 0) -> nn.Module:
    """A small model of `transformers` in which every weight matters, in eval mode."""
    return randomised(MAKERS[name](), seed)


def randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    """`model` with random weights, in eval mode.

    Fresh models have biases of 0 and gains of 1, so that swapping two goes unseen.
    """
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.15)
        for key, parameter in model.named_parameters():
            if any(n in key.lower() for n in ("norm.weight", "ln_")) and (
                key.endswith("weight")
            ):
                parameter.add_(1.0)
    model.set_attn_implementation("eager")
    return model.eval()


@dataclass
class Inputs:
    """What both models read; `real` tells where results are compared."""

    ours: dict[str, Tensor]
    theirs: dict[str, Tensor]
    real: Tensor


def make_inputs(name: str, padding: str = "right", seed: int = 0) -> Inputs:
    """Random tokens: with sequences of three lengths, padded on the `right` or `left`,
    or without a mask at all (`none`)."""
    generator = torch.Generator().manual_seed(seed)

    def draw(high: int, *shape: int, low: int = 0) -> Tensor:
        return torch.randint(low, high, shape, generator=generator)

    lengths = torch.tensor([LENGTH, 6, 1])
    mask = torch.arange(LENGTH) < lengths[:, None]
    if padding == "left":
        mask = mask.flip(1)
    if padding == "none":
        mask = torch.ones_like(mask)
    tokens = draw(VOCAB, BATCH, LENGTH, low=5)
    if name == "RoBERTa":
        tokens = tokens.masked_fill(~mask, 4)
    ours, theirs = {"token_ids": tokens}, {"input_ids": tokens}
    if padding != "none":
        ours["attention_mask"], theirs["attention_mask"] = mask, mask.long()
    if name.startswith(("BERT", "ALBERT")):
        ours["segment_ids"] = theirs["token_type_ids"] = draw(2, BATCH, LENGTH)
    if name == "GPT-2" and padding == "left":
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        ours["position_ids"] = theirs["position_ids"] = positions
    real = mask
    if name.startswith("T5"):
        real = torch.arange(TARGET) < torch.tensor([4, TARGET, 2])[:, None]
        decoder = draw(VOCAB, BATCH, TARGET)
        ours["decoder_ids"] = theirs["decoder_input_ids"] = decoder
        if padding == "none":
            real = torch.ones_like(real)
        else:
            ours["decoder_mask"] = real
            theirs["decoder_attention_mask"] = real.long()
    return Inputs(ours, theirs, real)


def their_logits(output: object) -> dict[str, Tensor]:
    names = {
        "prediction_logits": "mlm",
        "seq_relationship_logits": "nsp",
        "sop_logits": "sop",
        "logits": "lm",
    }
    return {ours: output[key] for key, ours in names.items() if key in output}


def our_logits(model: nn.Module, inputs: Inputs) -> dict[str, Tensor]:
    logits = model(**inputs.ours)
    if not isinstance(model, Bert):
        return {"lm": logits}
    return {"lm": logits["mlm"]} if list(logits) == ["mlm"] else logits


def forward_difference(
    reference: nn.Module, model: nn.Module, inputs: Inputs
) -> dict[str, float]:
    """The largest difference of logits, of hidden states, and of attention maps."""
    with torch.no_grad():
        theirs = reference(
            **inputs.theirs, output_hidden_states=True, output_attentions=True
        )
        ours = our_logits(model, inputs)
        expected = their_logits(theirs)
        assert ours.keys() == expected.keys()
        pairs = {
            "logits": [
                (_real(ours[k], inputs.real), _real(expected[k], inputs.real))
                for k in ours
            ],
            "hidden states": [],
            "attention maps": [],
        }
        for output, prefix, mask in _all_outputs(model, inputs):
            for name, key, got in (
                ("hidden states", "hidden_states", output.hidden_states),
                ("attention maps", "attentions", output.attentions),
                ("attention maps", "cross", output.cross_attentions),
            ):
                if got is None:
                    continue
                key = "cross_attentions" if key == "cross" else prefix + key
                assert len(got) == len(theirs[key])
                for mine, other in zip(got, theirs[key], strict=True):
                    if name == "attention maps":  # compare the rows of real queries
                        mine, other = mine.transpose(1, 2), other.transpose(1, 2)
                    pairs[name].append((_real(mine, mask), _real(other, mask)))
    assert all(pairs.values())
    return {
        name: max((a - b).abs().max().item() for a, b in both)
        for name, both in pairs.items()
    }


def _real(x: Tensor, mask: Tensor) -> Tensor:
    """The entries at real positions; all of what isn't per position."""
    return x[mask] if x.shape[:2] == mask.shape else x


def _all_outputs(model: nn.Module, inputs: Inputs):
    """(output with everything, prefix of the names in transformers, real positions)"""
    ours = dict(inputs.ours)
    if not isinstance(model, T5):
        mask = ours.get("attention_mask", torch.ones_like(ours["token_ids"]).bool())
        yield model.backbone(**ours, return_all=True), "", mask
        return
    source, mask = ours["token_ids"], ours.get("attention_mask")
    encoded = model.encoder(source, mask, return_all=True)
    real = torch.ones_like(source).bool() if mask is None else mask
    yield encoded, "encoder_", real
    decoded = model.backbone(
        ours["decoder_ids"],
        ours.get("decoder_mask"),
        memory=encoded.hidden,
        memory_mask=mask,
        return_all=True,
    )
    yield decoded, "decoder_", inputs.real


def backward_difference(
    reference: nn.Module, model: nn.Module, inputs: Inputs
) -> tuple[float, str]:
    """The largest difference of a gradient, relative to the largest entry of the same
    parameter's gradient, and the parameter.

    The loss is a fixed random combination of log-probabilities at real positions.
    """
    for m in (reference, model):
        m.zero_grad()
    theirs = their_logits(reference(**inputs.theirs))
    ours = our_logits(model, inputs)
    for logits in (theirs, ours):
        loss = torch.zeros(())
        for name in sorted(logits):
            real = _real(logits[name], inputs.real).log_softmax(-1)
            draw = torch.Generator().manual_seed(1)
            loss = loss + (torch.randn(real.shape, generator=draw) * real).sum()
        loss.backward()
    grads = [
        (their_name, mine, reference.get_parameter(their_name).grad)
        for _, their_name, mine in _split(model, lambda p: p.grad)
    ]
    # Biases of keys shift a whole row of scores, which softmax ignores: their gradients
    # are zero but for rounding, and count against those of the model.
    floor = 1e-2 * max(other.abs().max().item() for _, _, other in grads)
    return max(
        ((mine - other).abs().max().item() / max(other.abs().max().item(), floor), name)
        for name, mine, other in grads
    )


def _split(model: nn.Module, get: Callable[[nn.Parameter], Tensor]):
    """(our name, their name, what `get` gives of it) for every stored weight."""
    for weight in FAMILIES[model.family].weights(model):
        whole = get(model.get_parameter(weight.ours))
        for their_name, part in zip(weight.theirs, weight.parts(whole), strict=True):
            yield weight.ours, their_name, part.T if weight.transposed else part


def assert_same_weights(reference: nn.Module, model: nn.Module) -> None:
    """Exactly equal, and none left out."""
    named = dict(reference.named_parameters())
    for _, their_name, part in _split(model, lambda p: p.detach()):
        assert torch.equal(reference.get_parameter(their_name), part), their_name
        named.pop(their_name, None)
    assert not named, f"not compared: {sorted(named)}"


def both(name: str, folder: Path, seed: int = 0) -> tuple[nn.Module, nn.Module]:
    """A model of transformers, saved by it and loaded by lmlib."""
    reference = make_reference(name, seed)
    reference.save_pretrained(folder)
    return reference, hub.load(folder)
