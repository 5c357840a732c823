"""lmlib.models.hub: parity with `transformers` both ways, and what it refuses."""

import json
import shutil

import pytest
import torch
import torch.distributed as dist
import transformers
from safetensors.torch import load_file, save_file
from torch.nn.parallel import DistributedDataParallel

from lmlib.models import PANGU, Bert, PanGu, hub
from lmlib.models.generate import generate
from lmlib.models.layouts import FAMILIES
from lmlib.training.lora import add_lora, merge_lora
from tests.models import pairs

# float32 with other orders of summation: logits of order 1 after a few layers.
FORWARD = 1e-5
# relative to the largest entry of a parameter's gradient
BACKWARD = 1e-5

by_family = pytest.mark.parametrize("name", pairs.MAKERS)


@by_family
@pytest.mark.parametrize("padding", ["none", "right", "left"])
def test_loaded_model_computes_the_same(name, padding, tmp_path):
    reference, model = pairs.both(name, tmp_path)
    pairs.assert_same_weights(reference, model)
    inputs = pairs.make_inputs(name, padding)
    differences = pairs.forward_difference(reference, model, inputs)
    assert max(differences.values()) < FORWARD, differences
    worst, where = pairs.backward_difference(reference, model, inputs)
    assert worst < BACKWARD, where


@by_family
def test_saved_model_computes_the_same_in_transformers(name, tmp_path):
    _, model = pairs.both(name, tmp_path / "theirs")
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    hub.save(model, tmp_path / "ours")
    cls = type(pairs.make_reference(name))
    reference, report = cls.from_pretrained(
        tmp_path / "ours", attn_implementation="eager", output_loading_info=True
    )
    assert not any(report.values()), report
    pairs.assert_same_weights(reference.eval(), model)
    inputs = pairs.make_inputs(name)
    differences = pairs.forward_difference(reference, model, inputs)
    assert max(differences.values()) < FORWARD, differences


@by_family
def test_save_and_load_is_exact(name, tmp_path):
    _, model = pairs.both(name, tmp_path / "theirs")
    hub.save(model, tmp_path / "ours")
    again = hub.load(tmp_path / "ours")
    assert type(again) is type(model)
    ours, read = model.state_dict(), again.state_dict()
    assert ours.keys() == read.keys()
    assert all(torch.equal(ours[key], read[key]) for key in ours)
    assert [p.name for p in sorted((tmp_path / "ours").iterdir())] == [
        "config.json",
        "model.safetensors",
    ]


@pytest.mark.parametrize(
    ("family", "cls", "config"),
    [
        ("bert", transformers.BertModel, transformers.BertConfig(**pairs.ENCODER)),
        (
            "roberta",
            transformers.RobertaModel,
            transformers.RobertaConfig(**pairs.ENCODER),
        ),
        (
            "albert",
            transformers.AlbertModel,
            transformers.AlbertConfig(**pairs.ENCODER, embedding_size=14),
        ),
        (
            "gpt2",
            transformers.GPT2Model,
            transformers.GPT2Config(vocab_size=53, n_embd=24, n_layer=2, n_head=3),
        ),
    ],
)
def test_backbone_alone_without_prefix(family, cls, config, tmp_path):
    reference = cls(config).eval()
    reference.save_pretrained(tmp_path)
    assert not any(
        key.startswith(FAMILIES[family].prefix)
        for key in load_file(tmp_path / "model.safetensors")
    )
    model = hub.load(tmp_path)
    ids = torch.randint(5, 53, (2, 6))
    with torch.no_grad():
        expected = reference(ids)
        got = model.backbone(ids).hidden
        difference = (got - expected.last_hidden_state).abs().max()
        assert difference < FORWARD
        if isinstance(model, Bert):
            assert list(model.heads) == ["pooler"]
            pooled = model.heads["pooler"](got) - expected.pooler_output
            assert pooled.abs().max() < FORWARD


# -- Checkpoints as they are found ----------------------------------------------------


def change(folder, edit_weights=None, **settings):
    """Rewrite a saved checkpoint: its tensors by a function, its config by key."""
    if edit_weights is not None:
        path = folder / "model.safetensors"
        weights = load_file(path)
        weights = edit_weights(weights) or weights
        save_file(weights, path, metadata={"format": "pt"})
    path = folder / "config.json"
    config = json.loads(path.read_text()) | settings
    path.write_text(json.dumps(config))


def test_original_bert_with_old_names(tmp_path):
    """As bert-base-uncased was first released: gamma and beta, copies, position_ids."""
    reference, _ = pairs.both("BERT", tmp_path)

    def age(weights):
        old = {}
        for key, value in weights.items():
            if "LayerNorm" in key:
                key = key.replace("weight", "gamma").replace("bias", "beta")
            old[key] = value
        embedding = weights["bert.embeddings.word_embeddings.weight"]
        old["cls.predictions.decoder.weight"] = embedding.clone()
        old["cls.predictions.decoder.bias"] = old["cls.predictions.bias"].clone()
        old["bert.embeddings.position_ids"] = torch.arange(32)[None]
        return old

    change(tmp_path, age)
    pairs.assert_same_weights(reference, hub.load(tmp_path))


def test_original_gpt2_with_buffers(tmp_path):
    reference, _ = pairs.both("GPT-2", tmp_path)

    def age(weights):
        old = {key.removeprefix("transformer."): v for key, v in weights.items()}
        for i in range(3):
            old[f"h.{i}.attn.bias"] = torch.ones(1, 1, 32, 32).tril()
            old[f"h.{i}.attn.masked_bias"] = torch.tensor(-1e4)
        old["lm_head.weight"] = weights["transformer.wte.weight"].clone()
        return old

    change(tmp_path, age)
    pairs.assert_same_weights(reference, hub.load(tmp_path))


def test_original_t5_with_copies_of_the_embedding(tmp_path):
    reference, _ = pairs.both("T5", tmp_path)

    def age(weights):
        embedding = weights.pop("shared.weight")
        unused = (
            "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
        )
        names = ("encoder.embed_tokens", "decoder.embed_tokens", "lm_head")
        copies = {f"{name}.weight": embedding.clone() for name in names}
        return weights | copies | {unused: torch.zeros(8, 3)}

    change(tmp_path, age)
    pairs.assert_same_weights(reference, hub.load(tmp_path))


def test_t5_v1_1_as_transformers_makes_it(tmp_path):
    """Its version 5 ties the head of a fresh v1.1, and leaves out the scale."""
    config = transformers.T5Config(
        **pairs.T5_SIZES, feed_forward_proj="gated-gelu", tie_word_embeddings=False
    )
    reference = transformers.T5ForConditionalGeneration(config).eval()
    reference.save_pretrained(tmp_path)
    model = hub.load(tmp_path)
    inputs = pairs.make_inputs("T5")
    with torch.no_grad():
        expected = reference(**inputs.theirs).logits[inputs.real]
        got = model(**inputs.ours)[inputs.real]
    # Its embeddings are of order 1, and so logits of order 5.
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "wrap"),
    [
        ("BERT", "_orig_mod.{}"),
        ("BERT", "module.{}"),
        ("BERT", "_orig_mod.module.{}"),
        *((name, "module._orig_mod.{}") for name in pairs.MAKERS),
    ],
)
def test_names_of_compiled_and_distributed_models(name, wrap, tmp_path):
    reference, _ = pairs.both(name, tmp_path)
    change(tmp_path, lambda w: {wrap.format(key): value for key, value in w.items()})
    pairs.assert_same_weights(reference, hub.load(tmp_path))


def test_names_of_a_model_with_a_compiled_part(tmp_path):
    reference, _ = pairs.both("BERT", tmp_path)
    change(
        tmp_path,
        lambda w: {
            key.replace("bert.encoder.", "bert.encoder._orig_mod."): value
            for key, value in w.items()
        },
    )
    pairs.assert_same_weights(reference, hub.load(tmp_path))


@by_family
@pytest.mark.parametrize("by", ["architectures", "names"])
def test_a_config_without_a_model_type(name, by, tmp_path):
    reference, _ = pairs.both(name, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["model_type"]
    if by == "names":
        del config["architectures"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    if by == "names" and name.startswith(("Llama", "Qwen")):
        # Mistral, Gemma and others have the same names, and are other models.
        with pytest.raises(ValueError, match="neither architectures nor the names"):
            hub.load(tmp_path)
    else:
        pairs.assert_same_weights(reference, hub.load(tmp_path))


@pytest.mark.parametrize(
    "architectures", [None, ["BertGenerationEncoder"], [], {"a": 1}]
)
def test_a_model_type_that_nothing_tells(architectures, tmp_path):
    """BERT's and RoBERTa's backbones have the same names."""
    transformers.BertModel(transformers.BertConfig(**pairs.ENCODER)).save_pretrained(
        tmp_path
    )
    change(tmp_path, model_type=None, architectures=architectures)
    with pytest.raises(
        ValueError, match=r"one of bert, .*, PanguEmbedded; add it: neither"
    ):
        hub.load(tmp_path)
    change(tmp_path, model_type="bert")
    assert hub.load(tmp_path).family == "bert"


@by_family
def test_shards(name, tmp_path):
    reference = pairs.make_reference(name)
    reference.save_pretrained(tmp_path, max_shard_size="8KB")
    assert not (tmp_path / "model.safetensors").exists()
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    pairs.assert_same_weights(reference, hub.load(tmp_path))


@by_family
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_files_make_single_precision_models(name, dtype, tmp_path):
    reference = pairs.make_reference(name).to(dtype)
    reference.save_pretrained(tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {dtype}
    model = hub.load(tmp_path)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    # Exactly the weights of the file; and the frequencies of rotary positions, which
    # the rounded model has rounded as well, anew.
    state, reference = reference.float().state_dict(), pairs.make_reference(name)
    reference.load_state_dict(state)
    pairs.assert_same_weights(reference, model)
    inputs = pairs.make_inputs(name)
    differences = pairs.forward_difference(reference, model, inputs)
    assert max(differences.values()) < FORWARD, differences


def test_half_precision_is_kept_if_asked(tmp_path, device):
    reference, _ = pairs.both("GPT-2", tmp_path)
    reference.to(torch.bfloat16).save_pretrained(tmp_path)
    model = hub.load(tmp_path, dtype=torch.bfloat16, device=device)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert {p.device.type for p in model.parameters()} == {device.type}


def test_loaded_models_are_in_evaluation_mode_and_tied(tmp_path):
    _, model = pairs.both("GPT-2", tmp_path)
    assert not model.training
    token = model.backbone.embeddings.token
    assert model.heads["lm"].embedding is token


# -- Writing --------------------------------------------------------------------------


def test_settings_are_added(tmp_path):
    _, model = pairs.both("GPT-2", tmp_path)
    hub.save(model, tmp_path / "new" / "folder", {"eos_token_id": 7})
    config = json.loads((tmp_path / "new" / "folder" / "config.json").read_text())
    assert config["eos_token_id"] == 7


def test_a_failed_save_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    _, model = pairs.both("GPT-2", tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def half(tensors, path, metadata):
        path.write_bytes(b"half of it")
        raise OSError("No space left on device")

    monkeypatch.setattr(hub, "save_file", half)
    with pytest.raises(OSError, match="No space left"):
        hub.save(model, tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_what_cannot_be_written(tmp_path):
    config = PANGU["pangu-2.6b"]
    with torch.device("meta"):
        model = PanGu(config)
    with pytest.raises(ValueError, match="got pangu, which transformers does not have"):
        hub.save(model, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def in_one_process(model):
    """As DistributedDataParallel wraps it; the group is left to the caller to end."""
    store = dist.HashStore()
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    return DistributedDataParallel(model)


@pytest.mark.parametrize(
    "wrap",
    [
        torch.compile,
        in_one_process,
        lambda model: torch.compile(in_one_process(model)),
        lambda model: in_one_process(torch.compile(model)),
    ],
    ids=["compiled", "distributed", "distributed, compiled", "compiled, distributed"],
)
def test_a_wrapped_model_is_saved_as_what_it_is(wrap, tmp_path):
    reference, model = pairs.both("BERT", tmp_path / "theirs")
    try:
        hub.save(wrap(model), tmp_path / "ours")
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
    pairs.assert_same_weights(reference, hub.load(tmp_path / "ours"))


def test_a_model_with_a_compiled_part_is_saved(tmp_path):
    reference, model = pairs.both("GPT-2", tmp_path / "theirs")
    model.backbone = torch.compile(model.backbone)
    hub.save(model, tmp_path / "ours")
    pairs.assert_same_weights(reference, hub.load(tmp_path / "ours"))


@pytest.mark.parametrize("name", ["BERT", "GPT-2", "T5"])
def test_loras_matrices_are_merged_before_a_model_is_saved(name, tmp_path):
    _, model = pairs.both(name, tmp_path / "theirs")
    add_lora(model, rank=2)
    with pytest.raises(ValueError, match=r"merge them first, with .*merge_lora"):
        hub.save(model, tmp_path / "ours")
    assert not (tmp_path / "ours").exists()
    merge_lora(model)
    hub.save(model, tmp_path / "ours")


def test_weights_that_would_be_lost_are_named(tmp_path):
    _, model = pairs.both("GPT-2", tmp_path / "theirs")
    model.heads["task"] = torch.nn.Linear(24, 2)
    with pytest.raises(ValueError, match=r"too many: heads\.task\.bias, heads\.task"):
        hub.save(model, tmp_path / "ours")
    with pytest.raises(ValueError, match="got a Linear"):
        hub.save(model.heads["task"], tmp_path / "ours")


# -- Refusals -------------------------------------------------------------------------


@pytest.fixture
def bert(tmp_path):
    pairs.both("BERT", tmp_path)
    return tmp_path


def drop(name):
    return lambda weights: {k: v for k, v in weights.items() if k != name}


LAYER = "bert.encoder.layer.1"
REFUSED = {
    "missing": (
        drop(f"{LAYER}.output.dense.bias"),
        {},
        f"1 missing, such as {LAYER}.output.dense.bias",
    ),
    "too many": (
        lambda w: w | {"classifier.weight": torch.zeros(2, 24)},
        {},
        "1 too many, such as classifier.weight",
    ),
    "a layer too few in config": (
        None,
        {"num_hidden_layers": 2},
        r"16 too many, such as bert.encoder.layer.2",
    ),
    "shape": (
        None,
        {"intermediate_size": 41},
        r"intermediate.dense.weight must have together the shape \(41, 24\) by "
        r"config.json, got \(40, 24\)",
    ),
    "shape of one part": (
        lambda w: w | {f"{LAYER}.attention.self.key.weight": torch.zeros(23, 24)},
        {},
        "differ in shape",
    ),
    "quantized": (
        lambda w: w | {f"{LAYER}.output.dense.bias": torch.ones(24, dtype=torch.int8)},
        {},
        f"{LAYER}.output.dense.bias is stored as torch.int8, a quantized",
    ),
    "too many, by the file's own names": (
        lambda w: (
            {f"module.{k}": v for k, v in w.items()}
            | {"module.classifier.weight": torch.zeros(2, 24)}
        ),
        {},
        r"1 too many, such as module\.classifier\.weight",
    ),
    "two names of one weight": (
        lambda w: w | {"module.cls.predictions.bias": torch.zeros(53)},
        {},
        r"cls\.predictions\.bias and module\.cls\.predictions\.bias are two names",
    ),
    "untied": (
        lambda w: w | {"cls.predictions.decoder.weight": torch.zeros(53, 24)},
        {},
        "cls.predictions.decoder.weight must equal bert.embeddings.word_embeddings",
    ),
    "model type": (
        None,
        {"model_type": "mamba"},
        "must be one of bert, roberta, albert, gpt2, t5, llama, .*; got 'mamba'",
    ),
    "option": (
        None,
        {"position_embedding_type": "relative_key"},
        "position_embedding_type in config.json must be 'absolute'",
    ),
    "activation": (
        None,
        {"hidden_act": "quick_gelu"},
        "activation in config.json must be",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_checkpoint_that_is_refused(case, bert):
    edit, settings, message = REFUSED[case]
    change(bert, edit, **settings)
    with pytest.raises(ValueError, match=message):
        hub.load(bert)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["pytorch_model.bin"], r"but pytorch_model\.bin: a pickle, which"),
        (["consolidated.00.pth"], r"but consolidated\.00\.pth: a pickle, which"),
        (
            ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"],
            r"00001-of-00002\.bin, pytorch_model-00002-of-00002\.bin: pickles, which",
        ),
    ],
)
def test_a_pickle_is_refused(files, message, bert):
    (bert / "model.safetensors").unlink()
    for name in files:
        (bert / name).write_bytes(b"")
    with pytest.raises(ValueError, match=f"{message}.*any code.*convert it once"):
        hub.load(bert)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tf_model.h5", "for TensorFlow.*from_tf=True"),
        ("bert_model.ckpt.index", "for TensorFlow.*from_tf=True"),
        ("bert_model.ckpt.data-00000-of-00001", "for TensorFlow"),
        ("flax_model.msgpack", "for Flax.*from_flax=True"),
        ("flax_model-00001-of-00002.msgpack", "for Flax"),
    ],
)
def test_weights_of_another_library_are_refused_in_words(name, message, bert):
    (bert / "model.safetensors").unlink()
    (bert / name).write_bytes(b"")
    with pytest.raises(ValueError, match=rf"but {name}: weights {message}"):
        hub.load(bert)


def test_a_clone_without_git_lfs(bert):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 440\n"
    (bert / "model.safetensors").write_text(pointer)
    with pytest.raises(ValueError, match=r"model\.safetensors is a pointer.*lfs pull"):
        hub.load(bert)


def test_a_file_or_a_name_is_no_folder(bert):
    with pytest.raises(ValueError, match=r"got the file .*model\.safetensors"):
        hub.load(bert / "model.safetensors")
    with pytest.raises(FileNotFoundError, match=r"local folder.*downloads none"):
        hub.load("bert-base-uncased")


def test_damaged_and_absent_files(bert, tmp_path):
    weights = bert / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-100])
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
        hub.load(bert)
    weights.unlink()
    with pytest.raises(FileNotFoundError, match=r"neither model\.safetensors nor"):
        hub.load(bert)
    (bert / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json is not JSON"):
        hub.load(bert)
    shutil.rmtree(bert)
    with pytest.raises(FileNotFoundError, match=r"config\.json does not exist"):
        hub.load(bert)


def test_an_index_may_not_point_elsewhere(bert):
    (bert / "model.safetensors").rename(bert.parent / "elsewhere.safetensors")
    for name in ("../elsewhere.safetensors", 3):
        index = {"weight_map": {"x": name}}
        (bert / "model.safetensors.index.json").write_text(json.dumps(index))
        with pytest.raises(ValueError, match=f"the index names '{name}', which is not"):
            hub.load(bert)


# -- Llama and its relatives ----------------------------------------------------------


def rope(folder, **settings):
    """Take the settings of rotary positions out of config.json, and put others in."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    for name in ("rope_parameters", "rope_theta", "rope_scaling"):
        config.pop(name, None)
    path.write_text(json.dumps(config | settings))


SCALED = {k: v for k, v in pairs.LLAMA_3.items() if k != "rope_theta"}
OLD_TYPE = {"type" if k == "rope_type" else k: v for k, v in SCALED.items()}


@pytest.mark.parametrize(
    "settings",
    [
        {"rope_parameters": pairs.LLAMA_3},
        {"rope_theta": 500.0, "rope_scaling": SCALED},
        {"rope_theta": 500.0, "rope_scaling": OLD_TYPE},
        {"rope_theta": 500.0, "rope_parameters": SCALED},
    ],
    ids=["new", "old", "oldest", "mixed"],
)
def test_spellings_of_rotary_settings(settings, tmp_path):
    reference, _ = pairs.both("Llama, all options", tmp_path)
    rope(tmp_path, **settings)
    model = hub.load(tmp_path)
    differences = pairs.forward_difference(
        reference, model, pairs.make_inputs("Llama, all options")
    )
    assert max(differences.values()) < FORWARD, differences
    # That transformers reads the same in it, and that it makes a difference.
    again = type(reference).from_pretrained(tmp_path).config.rope_parameters
    assert (again["rope_theta"], again["factor"]) == (500, 8)
    rope(tmp_path)
    other = hub.load(tmp_path)
    differences = pairs.forward_difference(
        reference, other, pairs.make_inputs("Llama, all options")
    )
    assert min(differences.values()) > 100 * FORWARD


def test_settings_are_written_in_both_spellings(tmp_path):
    _, model = pairs.both("Llama, all options", tmp_path / "theirs")
    hub.save(model, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["rope_parameters"] == pairs.LLAMA_3
    assert config["rope_theta"] == 500
    assert config["rope_scaling"] == SCALED


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"rope_scaling": {"type": "yarn", "factor": 4.0}},
            "linear or llama3, .*'yarn",
        ),
        ({"rope_scaling": {"type": "linear"}}, "must have factor"),
        ({"use_sliding_window": True}, "use_sliding_window in config.json must be F"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "got 'sliding_att"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor in config.json must"),
        ({"num_key_value_heads": 1}, r"k_proj.weight must have the shape \(6, 24\)"),
        ({"num_key_value_heads": 3}, "n_kv_heads must divide n_heads"),
        ({"tie_word_embeddings": True}, "lm_head.weight must equal model.embed_tok"),
    ],
)
def test_what_a_llama_cannot_be(settings, message, tmp_path):
    pairs.both("Llama", tmp_path)
    rope(tmp_path, **settings)
    with pytest.raises(ValueError, match=message):
        hub.load(tmp_path)


@pytest.mark.parametrize(
    "name", [n for n in pairs.MAKERS if n.startswith(("GPT", "Llama", "Qwen"))]
)
def test_greedy_generation_with_a_cache_is_that_of_transformers(name, tmp_path):
    reference, model = pairs.both(name, tmp_path)
    ids = pairs.make_inputs(name, "none").ours["token_ids"]
    expected = reference.generate(
        ids, max_new_tokens=12, do_sample=False, eos_token_id=None, pad_token_id=0
    )
    assert torch.equal(generate(model, ids, 12), expected)
