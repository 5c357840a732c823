"""What Hugging Face checkpoints call our weights and settings, family by family.

Names only: `lmlib.models.hub` reads and writes the files. The settings are those of
`transformers`' config classes, with the defaults of these where old checkpoints leave
one out.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from lmlib.models.bert import Albert, Bert, Roberta
from lmlib.models.gpt import GPT, gpt_config
from lmlib.models.llama import Llama, llama_config
from lmlib.models.t5 import T5, T5Config, t5_config
from lmlib.positions import RotaryScaling
from lmlib.transformer import TransformerConfig

Model = Bert | GPT | T5
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Weight:
    """One of our parameters, and the stored ones that it is made of.

    `theirs` are stacked along the first dimension: query, key and value are one
    product here and three there. They have as many `rows` each, by default the same.
    GPT-2 stores its matrices transposed.
    """

    ours: str
    theirs: tuple[str, ...]
    transposed: bool = False
    rows: tuple[int, ...] | None = None

    def parts(self, whole: Tensor) -> tuple[Tensor, ...]:
        """Those of `theirs`, out of ours."""
        return whole.split(self.rows or len(whole) // len(self.theirs))


@dataclass(frozen=True)
class Layout:
    """The layout of a family.

    Attributes:
        prefix: of the backbone's weights; a checkpoint of the backbone alone lacks it.
        heads: prefixes of the other weights.
        make: the model for settings and the (canonical) names of stored weights.
        settings: the settings of a model.
        weights: its parameters and their names; tied ones once.
        copies: stored weights that repeat another one, and which.
        ignored: stored tensors that are not learned, or never used.
    """

    prefix: str
    heads: tuple[str, ...]
    make: Callable[[Settings, Collection[str]], Model]
    settings: Callable[[Any], dict[str, Any]]
    weights: Callable[[Any], list[Weight]]
    copies: Callable[[Any], dict[str, str]]
    ignored: str

    def canonical(self, name: str) -> str | None:
        """Today's full name of a weight stored as `name`; None if it is `ignored`."""
        name = plain_name(name)
        if re.search(self.ignored, name):
            return None
        # TensorFlow's names for the gain and bias of a norm, in the first checkpoints.
        name = re.sub(r"\bgamma$", "weight", re.sub(r"\bbeta$", "bias", name))
        known = name.startswith((self.prefix, *self.heads))
        return name if known else self.prefix + name


# torch.compile, DistributedDataParallel, FSDP and activation checkpointing put a module
# into one of their own, and a part like these into the names of its weights.
_WRAPPERS = re.compile(
    r"(?<![^.])(_orig_mod|module|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)


def plain_name(name: str) -> str:
    """`name` as it was before the module was compiled or shared out."""
    return _WRAPPERS.sub("", name)


def family_of(settings: Settings, names: Collection[str]) -> str | None:
    """The model_type of a config.json without one, as of the first years.

    `architectures` says it, or else the names of the weights. BERT's and RoBERTa's
    backbones alone have the same names: None.
    """
    if architectures := settings.get("architectures"):
        first = architectures[0] if isinstance(architectures, list) else architectures
        found = _ARCHITECTURE.match(str(first))
        return found[1].lower() if found else None
    plain = {plain_name(name) for name in names}
    for family, pattern in _MARKS.items():
        if any(re.match(pattern, name) for name in plain):
            return family
    return None


# BertForMaskedLM, GPT2LMHeadModel, T5WithLMHeadModel; but not BertGenerationEncoder.
_ARCHITECTURE = re.compile(
    r"(Bert|Roberta|Albert|GPT2|T5|Llama|Qwen2|Qwen3)"
    r"(?=Model|For|LMHead|With|DoubleHeads)"
)
_MARKS = {
    "bert": r"bert\.|cls\.(predictions|seq_relationship)\.",
    "roberta": r"roberta\.|lm_head\.layer_norm\.",
    "albert": r"albert\.|encoder\.albert_layer_groups\.",
    "gpt2": r"(transformer\.)?h\.\d+\.attn\.c_attn\.",
    "t5": r"(encoder|decoder)\.block\.\d+\.layer\.0\.SelfAttention\.",
}


def write_settings(model: Model) -> dict[str, Any]:
    """The config.json of `model`.

    Raises:
        ValueError: reading it back would not give the same model, since the family's
            layout lacks one of its options; the message says which.
    """
    layout = FAMILIES[model.family]
    settings = layout.settings(model)
    names = {name for weight in layout.weights(model) for name in weight.theirs}
    with torch.device("meta"):
        again = layout.make(settings, names)
    for ours, read in zip(_configs(model), _configs(again), strict=True):
        for field in fields(TransformerConfig):
            want, got = getattr(ours, field.name), getattr(read, field.name)
            if want != got:
                raise ValueError(
                    f"{field.name} = {want!r} cannot be written: in the layout of "
                    f"{model.family} it is {got!r}"
                )
    return settings


def _configs(model: Model) -> list[TransformerConfig]:
    """Its configs, with what they derive by default spelt out."""
    halves = (
        [model.config.encoder, model.config.decoder]
        if isinstance(model, T5)
        else [model.config]
    )
    return [
        replace(
            config,
            d_ff=config.ff_size,
            d_head=config.head_size,
            n_kv_heads=config.kv_heads,
            d_embedding=config.embedding_size,
            n_groups=config.n_blocks,
            qkv_bias=config.bias if config.qkv_bias is None else config.qkv_bias,
            ff_bias=config.bias if config.ff_bias is None else config.ff_bias,
        )
        for config in halves
    ]


def _pair(ours: str, *theirs: str, transposed: bool = False) -> Iterator[Weight]:
    """A weight and a bias."""
    yield Weight(f"{ours}.weight", tuple(f"{t}.weight" for t in theirs), transposed)
    yield Weight(f"{ours}.bias", tuple(f"{t}.bias" for t in theirs))


def _get(settings: Settings, name: str) -> Any:
    if name not in settings:
        raise ValueError(f"config.json must have {name}")
    return settings[name]


def _refuse(settings: Settings, **supported: Any) -> None:
    for name, value in supported.items():
        if settings.get(name, value) != value:
            raise ValueError(
                f"{name} in config.json must be {value!r}, all that lmlib has; "
                f"got {settings[name]!r}"
            )


_ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
}


def _read_activation(name: str) -> Any:
    if name not in _ACTIVATIONS:
        raise ValueError(
            "the activation in config.json must be one of "
            f"{', '.join(_ACTIVATIONS)}; got {name!r}"
        )
    return _ACTIVATIONS[name]


def _write_activation(name: str) -> str:
    return next(theirs for theirs, ours in _ACTIVATIONS.items() if ours == name)


# -- BERT, RoBERTa, ALBERT ------------------------------------------------------------

# (what transformers calls the model with just these heads)
_ARCHITECTURES = {
    ("bert", ("mlm", "nsp")): "BertForPreTraining",
    ("bert", ("mlm",)): "BertForMaskedLM",
    ("bert", ("mlm", "pooler")): "BertForMaskedLM",
    ("bert", ("nsp",)): "BertForNextSentencePrediction",
    ("bert", ("pooler",)): "BertModel",
    ("bert", ()): "BertModel",
    ("roberta", ("mlm",)): "RobertaForMaskedLM",
    ("roberta", ("mlm", "pooler")): "RobertaForMaskedLM",
    ("roberta", ("pooler",)): "RobertaModel",
    ("roberta", ()): "RobertaModel",
    ("albert", ("mlm", "sop")): "AlbertForPreTraining",
    ("albert", ("mlm",)): "AlbertForMaskedLM",
    ("albert", ("mlm", "pooler")): "AlbertForMaskedLM",
    ("albert", ("pooler",)): "AlbertModel",
    ("albert", ()): "AlbertModel",
}

# Where the heads of the three families are stored: the dense layer, norm and bias of
# the mlm head; the classifier of the pair head; the pooler.
_MLM = {
    "bert": (
        "cls.predictions.transform.dense",
        "cls.predictions.transform.LayerNorm",
        "cls.predictions.bias",
    ),
    "roberta": ("lm_head.dense", "lm_head.layer_norm", "lm_head.bias"),
    "albert": ("predictions.dense", "predictions.LayerNorm", "predictions.bias"),
}
_PAIR = {
    "bert": ("nsp", "cls.seq_relationship"),
    "albert": ("sop", "sop_classifier.classifier"),
}
_POOLER = {
    "bert": "bert.pooler.dense",
    "roberta": "roberta.pooler.dense",
    "albert": "albert.pooler",
}


def _make_bert(settings: Settings, names: Collection[str]) -> Bert:
    family = settings["model_type"]
    _refuse(
        settings,
        is_decoder=False,
        add_cross_attention=False,
        position_embedding_type="absolute",
        tie_word_embeddings=True,
        inner_group_num=1,
    )
    config = TransformerConfig(
        vocab_size=_get(settings, "vocab_size"),
        d_model=_get(settings, "hidden_size"),
        n_layers=_get(settings, "num_hidden_layers"),
        n_heads=_get(settings, "num_attention_heads"),
        d_ff=_get(settings, "intermediate_size"),
        max_len=settings.get("max_position_embeddings", 512),
        pad_id=settings.get("pad_token_id", 1) if family == "roberta" else None,
        n_segments=settings.get("type_vocab_size", 2),
        d_embedding=settings.get("embedding_size", 128) if family == "albert" else None,
        n_groups=settings.get("num_hidden_groups", 1) if family == "albert" else None,
        norm_eps=settings.get("layer_norm_eps", 1e-12),
        activation=_read_activation(
            settings.get("hidden_act", "gelu_new" if family == "albert" else "gelu")
        ),
        dropout=settings.get("hidden_dropout_prob", 0.0 if family == "albert" else 0.1),
        attention_dropout=settings.get(
            "attention_probs_dropout_prob", 0.0 if family == "albert" else 0.1
        ),
        init_std=settings.get("initializer_range", 0.02),
    )
    heads = []
    if any(name in names for name in (_MLM[family][2], f"{_MLM[family][0]}.weight")):
        heads.append("mlm")
    pair, classifier = _PAIR.get(family, ("", ""))
    if pair and f"{classifier}.weight" in names:
        heads.append(pair)
    elif f"{_POOLER[family]}.weight" in names:
        heads.append("pooler")
    cls = {"bert": Bert, "roberta": Roberta, "albert": Albert}[family]
    return cls(config, heads)


def _bert_settings(model: Bert) -> dict[str, Any]:
    config, family = model.config, model.family
    key = (family, tuple(sorted(model.heads)))
    if key not in _ARCHITECTURES:
        raise ValueError(
            f"heads {key[1]} cannot be written: a {family} checkpoint holds one of "
            f"{[heads for other, heads in _ARCHITECTURES if other == family]}"
        )
    settings: dict[str, Any] = {
        "model_type": family,
        "architectures": [_ARCHITECTURES[key]],
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "intermediate_size": config.ff_size,
        "max_position_embeddings": config.max_len,
        "type_vocab_size": config.n_segments,
        "layer_norm_eps": config.norm_eps,
        "hidden_act": _write_activation(config.activation),
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.attention_dropout,
        "initializer_range": config.init_std,
        "tie_word_embeddings": True,
    }
    if family == "roberta":
        settings["pad_token_id"] = config.pad_id
    if family == "albert":
        settings["embedding_size"] = config.embedding_size
        settings["num_hidden_groups"] = config.n_blocks
        settings["inner_group_num"] = 1
    return settings


def _bert_weights(model: Bert) -> list[Weight]:
    family, ours = model.family, "backbone.embeddings"
    theirs = f"{family}.embeddings"
    weights = [
        Weight(f"{ours}.token.weight", (f"{theirs}.word_embeddings.weight",)),
        Weight(f"{ours}.position.table", (f"{theirs}.position_embeddings.weight",)),
        *_pair(f"{ours}.norm", f"{theirs}.LayerNorm"),
    ]
    if model.config.n_segments:
        weights.append(
            Weight(
                f"{ours}.segment.weight", (f"{theirs}.token_type_embeddings.weight",)
            )
        )
    if family == "albert":
        mapping = "albert.encoder.embedding_hidden_mapping_in"
        weights += _pair(f"{ours}.project", mapping)
    for i in range(model.config.n_blocks):
        ours = f"backbone.blocks.{i}"
        if family == "albert":
            theirs = f"albert.encoder.albert_layer_groups.{i}.albert_layers.0"
            attention, output, norm, up, down, last_norm = (
                "attention",
                "attention.dense",
                "attention.LayerNorm",
                "ffn",
                "ffn_output",
                "full_layer_layer_norm",
            )
        else:
            theirs = f"{family}.encoder.layer.{i}"
            attention, output, norm, up, down, last_norm = (
                "attention.self",
                "attention.output.dense",
                "attention.output.LayerNorm",
                "intermediate.dense",
                "output.dense",
                "output.LayerNorm",
            )
        qkv = (f"{theirs}.{attention}.{part}" for part in ("query", "key", "value"))
        weights += _pair(f"{ours}.attention.qkv", *qkv)
        weights += _pair(f"{ours}.attention.output", f"{theirs}.{output}")
        weights += _pair(f"{ours}.attention_norm", f"{theirs}.{norm}")
        weights += _pair(f"{ours}.feed_forward.up", f"{theirs}.{up}")
        weights += _pair(f"{ours}.feed_forward.down", f"{theirs}.{down}")
        weights += _pair(f"{ours}.feed_forward_norm", f"{theirs}.{last_norm}")
    for head in model.heads:
        ours = f"heads.{head}"
        if head == "mlm":
            dense, norm, bias = _MLM[family]
            weights += _pair(f"{ours}.transform.0", dense)
            weights += _pair(f"{ours}.transform.2", norm)
            weights.append(Weight(f"{ours}.bias", (bias,)))
        elif head == "pooler":
            weights += _pair(f"{ours}.dense", _POOLER[family])
        else:
            weights += _pair(f"{ours}.pooler.dense", _POOLER[family])
            weights += _pair(f"{ours}.classifier", _PAIR[family][1])
    return weights


def _bert_copies(model: Bert) -> dict[str, str]:
    if "mlm" not in model.heads:
        return {}
    bias = _MLM[model.family][2]
    decoder = bias.removesuffix("bias") + "decoder"
    embedding = f"{model.family}.embeddings.word_embeddings.weight"
    return {f"{decoder}.weight": embedding, f"{decoder}.bias": bias}


# -- GPT-2 ----------------------------------------------------------------------------


def _make_gpt(settings: Settings, names: Collection[str]) -> GPT:
    _refuse(
        settings,
        add_cross_attention=False,
        scale_attn_weights=True,
        scale_attn_by_inverse_layer_idx=False,
        tie_word_embeddings=True,
    )
    dropout = settings.get("resid_pdrop", 0.1)
    _refuse(settings, embd_pdrop=dropout)
    config = gpt_config(
        _get(settings, "n_embd"),
        _get(settings, "n_layer"),
        _get(settings, "n_head"),
        vocab_size=_get(settings, "vocab_size"),
        max_len=settings.get("n_positions", 1024),
    )
    return GPT(
        replace(
            config,
            d_ff=settings.get("n_inner"),
            norm_eps=settings.get("layer_norm_epsilon", 1e-5),
            activation=_read_activation(
                settings.get("activation_function", "gelu_new")
            ),
            dropout=dropout,
            attention_dropout=settings.get("attn_pdrop", 0.1),
            init_std=settings.get("initializer_range", 0.02),
        )
    )


def _gpt_settings(model: GPT) -> dict[str, Any]:
    config = model.config
    end = config.vocab_size - 1  # as in GPT-2, whose last token ends a text
    return {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "vocab_size": config.vocab_size,
        "n_embd": config.d_model,
        "n_layer": config.n_layers,
        "n_head": config.n_heads,
        "n_inner": config.ff_size,
        "n_positions": config.max_len,
        "layer_norm_epsilon": config.norm_eps,
        "activation_function": _write_activation(config.activation),
        "resid_pdrop": config.dropout,
        "embd_pdrop": config.dropout,
        "attn_pdrop": config.attention_dropout,
        "initializer_range": config.init_std,
        "bos_token_id": end,
        "eos_token_id": end,
        "tie_word_embeddings": True,
    }


def _gpt_weights(model: GPT) -> list[Weight]:
    embeddings = "backbone.embeddings"
    weights = [
        Weight(f"{embeddings}.token.weight", ("transformer.wte.weight",)),
        Weight(f"{embeddings}.position.table", ("transformer.wpe.weight",)),
        *_pair("backbone.final_norm", "transformer.ln_f"),
    ]
    for i in range(model.config.n_layers):
        ours, theirs = f"backbone.blocks.{i}", f"transformer.h.{i}"
        weights += _pair(f"{ours}.attention_norm", f"{theirs}.ln_1")
        weights += _pair(f"{ours}.feed_forward_norm", f"{theirs}.ln_2")
        for part, name in (
            ("attention.qkv", "attn.c_attn"),
            ("attention.output", "attn.c_proj"),
            ("feed_forward.up", "mlp.c_fc"),
            ("feed_forward.down", "mlp.c_proj"),
        ):
            weights += _pair(f"{ours}.{part}", f"{theirs}.{name}", transposed=True)
    return weights


# -- T5 -------------------------------------------------------------------------------


def _make_t5(settings: Settings, names: Collection[str]) -> T5:
    _refuse(settings, is_encoder_decoder=True)
    projection = settings.get("feed_forward_proj", "relu")
    gated = projection.startswith("gated-")
    name = projection.removeprefix("gated-")
    # In transformers gated-gelu means the approximation.
    activation = _read_activation("gelu_new" if projection == "gated-gelu" else name)
    n_layers = _get(settings, "num_layers")
    config = t5_config(
        _get(settings, "d_model"),
        _get(settings, "d_ff"),
        n_layers,
        _get(settings, "num_heads"),
        d_head=_get(settings, "d_kv"),
        vocab_size=_get(settings, "vocab_size"),
        n_decoder_layers=settings.get("num_decoder_layers") or n_layers,
        dropout=settings.get("dropout_rate", 0.1),
    )
    encoder, decoder = (
        replace(
            half,
            activation=activation,
            gated=gated,
            norm_eps=settings.get("layer_norm_epsilon", 1e-6),
            n_buckets=settings.get("relative_attention_num_buckets", 32),
            max_distance=settings.get("relative_attention_max_distance", 128),
        )
        for half in (config.encoder, config.decoder)
    )
    # transformers 5 writes "tied" for v1.1 as well, and tells them apart by the scale.
    tied = settings.get("tie_word_embeddings", True)
    return T5(
        T5Config(encoder, decoder, tied and settings.get("scale_decoder_outputs", True))
    )


def _t5_settings(model: T5) -> dict[str, Any]:
    encoder, decoder = model.config.encoder, model.config.decoder
    projection = _write_activation(encoder.activation)
    if encoder.gated:
        projection = "gated-" + projection.replace("gelu_new", "gelu")
    return {
        "model_type": "t5",
        "architectures": ["T5ForConditionalGeneration"],
        "is_encoder_decoder": True,
        "vocab_size": encoder.vocab_size,
        "d_model": encoder.d_model,
        "d_ff": encoder.ff_size,
        "d_kv": encoder.attention_size // encoder.n_heads,
        "num_heads": encoder.n_heads,
        "num_layers": encoder.n_layers,
        "num_decoder_layers": decoder.n_layers,
        "feed_forward_proj": projection,
        "layer_norm_epsilon": encoder.norm_eps,
        "relative_attention_num_buckets": encoder.n_buckets,
        "relative_attention_max_distance": encoder.max_distance,
        "dropout_rate": encoder.dropout,
        "tie_word_embeddings": model.config.tied_head,
        "scale_decoder_outputs": model.config.tied_head,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
    }


def _t5_weights(model: T5) -> list[Weight]:
    weights = [Weight("encoder.embeddings.token.weight", ("shared.weight",))]
    if not model.config.tied_head:
        weights.append(Weight("heads.lm.embedding.weight", ("lm_head.weight",)))
    for stack, theirs, config in (
        ("encoder", "encoder", model.config.encoder),
        ("backbone", "decoder", model.config.decoder),
    ):
        bias = f"{theirs}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        weights.append(Weight(f"{stack}.relative_bias.bias.weight", (bias,)))
        weights.append(
            Weight(f"{stack}.final_norm.weight", (f"{theirs}.final_layer_norm.weight",))
        )
        for i in range(config.n_layers):
            block = f"{theirs}.block.{i}.layer"
            last = 2 if config.cross_attention else 1
            names = {
                "attention.qkv": [f"0.SelfAttention.{x}" for x in "qkv"],
                "attention.output": ["0.SelfAttention.o"],
                "attention_norm": ["0.layer_norm"],
                "feed_forward.up": [f"{last}.DenseReluDense.wi"],
                "feed_forward.down": [f"{last}.DenseReluDense.wo"],
                "feed_forward_norm": [f"{last}.layer_norm"],
            }
            if config.gated:
                names["feed_forward.up"] = [
                    f"{last}.DenseReluDense.wi_{x}" for x in (0, 1)
                ]
            if config.cross_attention:
                names["cross_attention.query"] = ["1.EncDecAttention.q"]
                names["cross_attention.key_value"] = [
                    f"1.EncDecAttention.{x}" for x in "kv"
                ]
                names["cross_attention.output"] = ["1.EncDecAttention.o"]
                names["cross_norm"] = ["1.layer_norm"]
            weights += [
                Weight(
                    f"{stack}.blocks.{i}.{ours}.weight",
                    tuple(f"{block}.{name}.weight" for name in parts),
                )
                for ours, parts in names.items()
            ]
    return weights


def _t5_copies(model: T5) -> dict[str, str]:
    # A checkpoint without lm_head has the embedding for a head, tied or not.
    names = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"]
    if model.config.tied_head:
        names.append("lm_head.weight")
    return dict.fromkeys(names, "shared.weight")


# -- Llama, Qwen2, Qwen3, openPangu ---------------------------------------------------


def _make_llama(settings: Settings, names: Collection[str]) -> Llama:
    family = settings["model_type"]
    _refuse(settings, use_sliding_window=False, partial_rotary_factor=1.0)
    if unlike := {*(settings.get("layer_types") or ())} - {"full_attention"}:
        raise ValueError(
            "layer_types in config.json must all be 'full_attention', all that lmlib "
            f"has; got {', '.join(sorted(map(repr, unlike)))}"
        )
    n_heads = _get(settings, "num_attention_heads")
    usual = 2048 if family == "llama" else 32768
    max_len = settings.get("max_position_embeddings", usual)
    base, scaling = _read_rotary(settings, max_len)
    if family == "qwen2":
        bias, qkv_bias, ff_bias = False, True, False
    elif family == "PanguEmbedded":
        bias, qkv_bias, ff_bias = settings.get("bias", True), None, False
    else:
        bias, qkv_bias = settings.get("attention_bias", False), None
        ff_bias = settings.get("mlp_bias", False) if family == "llama" else False
    config = llama_config(
        _get(settings, "hidden_size"),
        _get(settings, "intermediate_size"),
        _get(settings, "num_hidden_layers"),
        n_heads,
        settings.get("num_key_value_heads") or n_heads,
        vocab_size=_get(settings, "vocab_size"),
        max_len=max_len,
        d_head=settings.get("head_dim") or (128 if family == "qwen3" else None),
        rotary_base=base,
        rotary_scaling=scaling,
        bias=bias,
        qkv_bias=qkv_bias,
        ff_bias=ff_bias,
        qk_norm=family == "qwen3",
        norm_eps=settings.get("rms_norm_eps", 1e-6),
        activation=_read_activation(settings.get("hidden_act", "silu")),
        attention_dropout=settings.get("attention_dropout", 0.0),
        init_std=settings.get("initializer_range", 0.02),
    )
    return Llama(config, tied=settings.get("tie_word_embeddings", False))


def _read_rotary(
    settings: Settings, max_len: int
) -> tuple[float, RotaryScaling | None]:
    """Base and scaling: in `rope_parameters` since transformers 5, before that in
    `rope_theta` and `rope_scaling`, whose kind was first called `type`."""
    rope = settings.get("rope_scaling") or settings.get("rope_parameters") or {}
    _refuse(rope, partial_rotary_factor=1.0)
    base = float(rope.get("rope_theta") or settings.get("rope_theta") or 10_000.0)
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return base, None
    if kind == "linear":
        return base, RotaryScaling(_get(rope, "factor"))
    if kind == "llama3":
        return base, RotaryScaling(
            _get(rope, "factor"),
            _get(rope, "low_freq_factor"),
            _get(rope, "high_freq_factor"),
            rope.get("original_max_position_embeddings", max_len),
        )
    raise ValueError(
        "the type of rotary scaling in config.json must be default, linear or llama3, "
        f"all that lmlib has; got {kind!r}"
    )


def _llama_settings(model: Llama) -> dict[str, Any]:
    config, family, scaling = model.config, model.family, model.config.rotary_scaling
    rope: dict[str, Any] = {"rope_type": "default"}
    if scaling is not None:
        rope = {"rope_type": "linear", "factor": scaling.factor}
    if scaling is not None and scaling.original_len is not None:
        rope |= {
            "rope_type": "llama3",
            "low_freq_factor": scaling.low,
            "high_freq_factor": scaling.high,
            "original_max_position_embeddings": scaling.original_len,
        }
    settings: dict[str, Any] = {
        "model_type": family,
        "architectures": [f"{family.capitalize()}ForCausalLM"],
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "intermediate_size": config.ff_size,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_size,
        "max_position_embeddings": config.max_len,
        "rms_norm_eps": config.norm_eps,
        "hidden_act": _write_activation(config.activation),
        "attention_dropout": config.attention_dropout,
        "initializer_range": config.init_std,
        "tie_word_embeddings": model.tied,
        # For transformers 5 and those before it.
        "rope_parameters": {"rope_theta": config.rotary_base, **rope},
        "rope_theta": config.rotary_base,
        "rope_scaling": None if scaling is None else rope,
    }
    if family != "qwen2":
        settings["attention_bias"] = config.bias
    if family == "llama":
        settings["mlp_bias"] = config.bias if config.ff_bias is None else config.ff_bias
    return settings


def _llama_weights(model: Llama) -> list[Weight]:
    config = model.config
    kv = config.kv_heads * config.head_size
    rows = {"attention.qkv": (config.attention_size, kv, kv)}
    weights = [
        Weight("backbone.embeddings.token.weight", ("model.embed_tokens.weight",)),
        Weight("backbone.final_norm.weight", ("model.norm.weight",)),
    ]
    if not model.tied:
        weights.append(Weight("heads.lm.embedding.weight", ("lm_head.weight",)))
    names = {
        "attention.qkv": [f"self_attn.{x}_proj" for x in "qkv"],
        "attention.output": ["self_attn.o_proj"],
        "feed_forward.up": ["mlp.gate_proj", "mlp.up_proj"],
        "feed_forward.down": ["mlp.down_proj"],
        "attention_norm": ["input_layernorm"],
        "feed_forward_norm": ["post_attention_layernorm"],
    }
    if config.qk_norm:
        names["attention.query_norm"] = ["self_attn.q_norm"]
        names["attention.key_norm"] = ["self_attn.k_norm"]
    for i in range(config.n_layers):
        ours = f"backbone.blocks.{i}"
        for name, parts in names.items():
            module = model.get_submodule(f"{ours}.{name}")
            weights += [
                Weight(
                    f"{ours}.{name}.{kind}",
                    tuple(f"model.layers.{i}.{part}.{kind}" for part in parts),
                    rows=rows.get(name),
                )
                for kind, _ in module.named_parameters()
            ]
    return weights


def _llama_copies(model: Llama) -> dict[str, str]:
    return {"lm_head.weight": "model.embed_tokens.weight"} if model.tied else {}


# -- All ------------------------------------------------------------------------------


def _bert_layout(family: str, *heads: str) -> Layout:
    return Layout(
        prefix=f"{family}.",
        heads=heads,
        make=_make_bert,
        settings=_bert_settings,
        weights=_bert_weights,
        copies=_bert_copies,
        ignored=r"\b(position_ids|token_type_ids)$",
    )


_LLAMA = Layout(
    prefix="model.",
    heads=("lm_head.",),
    make=_make_llama,
    settings=_llama_settings,
    weights=_llama_weights,
    copies=_llama_copies,
    ignored=r"\brotary_emb\.inv_freq$",
)

FAMILIES: dict[str, Layout] = {
    "bert": _bert_layout("bert", "cls."),
    "roberta": _bert_layout("roberta", "lm_head."),
    "albert": _bert_layout("albert", "predictions.", "sop_classifier."),
    "gpt2": Layout(
        prefix="transformer.",
        heads=("lm_head.",),
        make=_make_gpt,
        settings=_gpt_settings,
        weights=_gpt_weights,
        copies=lambda model: {"lm_head.weight": "transformer.wte.weight"},
        ignored=r"\battn\.(bias|masked_bias)$",
    ),
    "t5": Layout(
        prefix="",
        heads=(),
        make=_make_t5,
        settings=_t5_settings,
        weights=_t5_weights,
        copies=_t5_copies,
        # In the first checkpoints; cross-attention has no positions.
        ignored=r"EncDecAttention\.relative_attention_bias\.weight$",
    ),
    # Written as llama: openPangu's dense models have the same names and another word
    # for attention_bias.
    **dict.fromkeys(("llama", "qwen2", "qwen3", "PanguEmbedded"), _LLAMA),
}
