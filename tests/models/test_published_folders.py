"""Folders as the best-known public checkpoints are laid out, with random weights.

Each family is written twice: as it was first published (names of tensors, buffers and
copies among them, settings and tokenizer files of that time) and as `transformers`
writes it today. What `transformers` itself reads in a folder is what lmlib must read:
the ids of texts and of pairs, and the logits.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lmlib.data.tokenizers import load_tokenizer
from lmlib.models import hub
from lmlib.models.t5 import T5
from lmlib.training.finetune import inputs
from lmlib.training.tasks import Example, HeldOut, Task
from tests.models import pairs

Weights = dict[str, Tensor]

TEXTS = [
    "The unaffable Müller's café, don't!",
    "I like 我是BERT and K",
    "[MASK] <s> </s> <mask> <|endoftext|> <extra_id_0> [unused1]",
    "  spaces\tand\n lines ",
    "soft\xadhyphen, a\u0301ccent, \ufeff, 🎉",
    "",
]


# -- Tokenizers -----------------------------------------------------------------------

# [unused1] has its place, and the Chinese vocabulary has a few capitals.
VOCABULARY = """\
[PAD] [unused1] [UNK] [CLS] [SEP] [MASK] <S> <T> I K the un ##aff ##able muller müller
Müller ' s cafe café don t ! like 我 是 bert and k The i spaces lines soft ##hyphen
softhyphen , accent áccent a ##ccent m ##u ##üller B ##ERT [unused1]like"""
PIECES = VOCABULARY.split()

LETTERS = "abcdefghijklmnopqrstuvwxyz"
SPM = [
    *[(f"▁{x}", -3.0) for x in ("the", "like", "and", "cafe", "I", "The", "don", "")],
    *[
        (x, -4.0)
        for x in ("able", "un", "aff", "我", "是", "ü", "é", "I", "K", "T", "'")
    ],
    *[(x, -6.0) for x in (*LETTERS, ",", "!", "[", "]", "<", ">", "/", "|", "_", "1")],
]


def vocab_txt(folder: Path, **settings: Any) -> None:
    """WordPiece as it was published: a vocab.txt, and settings if there are any."""
    (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    if settings:
        write_json(folder / "tokenizer_config.json", settings)


def bpe(specials: list[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """A byte-level vocabulary, `specials` at their places, and its merges."""
    inner = tokenizers.Tokenizer(tokenizers.models.BPE())
    inner.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=330,
        show_progress=False,
        initial_alphabet=sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()),
    )
    inner.train_from_iterator([TEXTS[0], TEXTS[3]] * 3 + ["the and like"] * 9, trainer)
    model = json.loads(inner.to_str())["model"]
    words = sorted(model["vocab"], key=model["vocab"].__getitem__)
    words = [*specials, *words] if len(specials) > 1 else [*words, *specials]
    return {word: i for i, word in enumerate(words)}, model["merges"]


ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
GPT2 = ["<|endoftext|>"]


def vocab_json(folder: Path, specials: list[str], **settings: Any) -> None:
    """Byte-level BPE as it was published."""
    vocabulary, merges = bpe(specials)
    write_json(folder / "vocab.json", vocabulary)
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if settings:
        write_json(folder / "tokenizer_config.json", settings)


def albert_tokenizer() -> Any:
    names = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
    return transformers.AlbertTokenizer(vocab=[*[(n, 0.0) for n in names], *SPM])


def t5_tokenizer() -> Any:
    names = ["<pad>", "</s>", "<unk>"]
    extra = [(f"<extra_id_{i}>", 0.0) for i in range(99, -1, -1)]
    return transformers.T5Tokenizer(vocab=[*[(n, 0.0) for n in names], *SPM, *extra])


def write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


# -- Models ---------------------------------------------------------------------------

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}
T5_SIZES = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2}


def write_model(
    folder: Path,
    model: nn.Module,
    age: Callable[[Weights], Weights] | None = None,
    drop: tuple[str, ...] = (),
    **settings: Any,
) -> None:
    """A model of `transformers` with random weights; `age` gives it its old names.

    `drop` are settings that a config.json of that time had not, `settings` others.
    """
    pairs.randomised(model)
    model.save_pretrained(folder)
    if age is not None:
        path = folder / "model.safetensors"
        old = {k: v.clone().contiguous() for k, v in age(load_file(path)).items()}
        save_file(old, path, metadata={"format": "pt"})
    path = folder / "config.json"
    config = json.loads(path.read_text()) | settings
    write_json(path, {k: v for k, v in config.items() if k not in drop})


def old_norms(weights: Weights) -> Weights:
    """TensorFlow's names of a norm's gain and bias."""
    return {
        k.replace("weight", "gamma").replace("bias", "beta")
        if "LayerNorm" in k
        else k: v
        for k, v in weights.items()
    }


def bert_of_2018(weights: Weights) -> Weights:
    embedding = weights["bert.embeddings.word_embeddings.weight"]
    return old_norms(weights) | {
        "bert.embeddings.position_ids": torch.arange(64)[None],
        "cls.predictions.decoder.weight": embedding,
        "cls.predictions.decoder.bias": weights["cls.predictions.bias"],
    }


def roberta_of_2019(weights: Weights) -> Weights:
    return weights | {
        "roberta.embeddings.position_ids": torch.arange(64)[None],
        "roberta.pooler.dense.weight": torch.randn(32, 32),
        "roberta.pooler.dense.bias": torch.randn(32),
        "lm_head.decoder.weight": weights["roberta.embeddings.word_embeddings.weight"],
        "lm_head.decoder.bias": weights["lm_head.bias"],
    }


def albert_of_2019(weights: Weights) -> Weights:
    embedding = weights["albert.embeddings.word_embeddings.weight"]
    return weights | {
        "albert.embeddings.position_ids": torch.arange(64)[None],
        "predictions.decoder.weight": embedding,
        "predictions.decoder.bias": weights["predictions.bias"],
    }


def gpt2_of_2019(weights: Weights) -> Weights:
    """The model without a head, with the masks of its attention."""
    old = {k.removeprefix("transformer."): v for k, v in weights.items()}
    masks = {f"h.{i}.attn.bias": torch.ones(1, 1, 64, 64).tril() for i in range(2)}
    return old | masks


def t5_of_2020(weights: Weights) -> Weights:
    """Three copies of the embedding, and a table of positions that nothing reads."""
    unused = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    copies = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
    return (
        weights
        | dict.fromkeys((*copies, "lm_head.weight"), weights["shared.weight"])
        | {unused: torch.zeros(32, 2)}
    )


# -- Folders --------------------------------------------------------------------------


@dataclass
class Folder:
    """How to write one, and the classes of `transformers` that read it."""

    model: str
    tokenizer: str
    write: Callable[[Path], None]
    pairs: bool = False


def bert(**settings: Any) -> nn.Module:
    config = transformers.BertConfig(vocab_size=len(PIECES), **SIZES, **settings)
    return transformers.BertForPreTraining(config)


def bert_base_uncased(folder: Path) -> None:
    """Its config.json had no model_type, its norms TensorFlow's names."""
    drop = ("model_type", "layer_norm_eps", "architectures", "pad_token_id")
    write_model(folder, bert(), bert_of_2018, drop)
    vocab_txt(folder, do_lower_case=True, model_max_length=512)


def bert_base_chinese(folder: Path) -> None:
    pooler = {"pooler_fc_size": 768, "pooler_type": "first_token_transform"}
    write_model(folder, bert(), bert_of_2018, directionality="bidi", **pooler)
    vocab_txt(folder)


def bert_german_uncased(folder: Path) -> None:
    config = transformers.BertConfig(vocab_size=len(PIECES), **SIZES)
    write_model(folder, transformers.BertForMaskedLM(config), old_norms)
    vocab_txt(folder, do_lower_case=True, strip_accents=False, max_len=512)


def bert_base_cased(folder: Path) -> None:
    write_model(folder, bert(), bert_of_2018)
    vocab_txt(folder, do_lower_case=False, tokenize_chinese_chars=False)


def roberta(**settings: Any) -> nn.Module:
    return transformers.RobertaForMaskedLM(
        transformers.RobertaConfig(
            vocab_size=len(bpe(ROBERTA)[0]),
            type_vocab_size=1,
            layer_norm_eps=1e-5,
            **SIZES,
            **settings,
        )
    )


def roberta_base(folder: Path) -> None:
    write_model(folder, roberta(), roberta_of_2019)
    vocab_json(folder, ROBERTA, model_max_length=512)


def albert(**settings: Any) -> nn.Module:
    return transformers.AlbertForPreTraining(
        transformers.AlbertConfig(
            vocab_size=len(albert_tokenizer()), embedding_size=16, **SIZES, **settings
        )
    )


def albert_base(folder: Path) -> None:
    unused = {"down_scale_factor": 1, "gap_size": 0, "num_memory_blocks": 0}
    write_model(folder, albert(), albert_of_2019, net_structure_type=0, **unused)
    albert_tokenizer().save_pretrained(folder)
    write_json(folder / "tokenizer_config.json", {"do_lower_case": True})


def gpt2(**settings: Any) -> nn.Module:
    return transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=len(bpe(GPT2)[0]),
            n_embd=32,
            n_layer=2,
            n_head=2,
            n_positions=64,
            **settings,
        )
    )


def gpt2_small(folder: Path) -> None:
    end = len(bpe(GPT2)[0]) - 1
    old = {"n_ctx": 64, "bos_token_id": end, "summary_type": "cls_index"}
    write_model(folder, gpt2(), gpt2_of_2019, ("n_inner", "dtype"), **old)
    vocab_json(folder, GPT2)


def t5(**settings: Any) -> nn.Module:
    # Longer than the tokenizer's, as the published ones.
    size = len(t5_tokenizer()) + 28
    return transformers.T5ForConditionalGeneration(
        transformers.T5Config(vocab_size=size, **T5_SIZES, **settings)
    )


def t5_small(folder: Path) -> None:
    drop = (
        "num_decoder_layers",
        "feed_forward_proj",
        "relative_attention_max_distance",
    )
    old = {"architectures": ["T5WithLMHeadModel"], "n_positions": 512}
    drop += ("tie_word_embeddings", "is_gated_act", "dense_act_fn")
    write_model(folder, t5(), t5_of_2020, drop, **old)
    t5_tokenizer().save_pretrained(folder)
    write_json(folder / "tokenizer_config.json", {"model_max_length": 512})


def t5_v1_1(folder: Path) -> None:
    """With a head of its own, which its config says."""
    model = t5(feed_forward_proj="gated-gelu", tie_word_embeddings=False)
    model.lm_head.weight = nn.Parameter(torch.empty_like(model.lm_head.weight))
    model.all_tied_weights_keys.pop("lm_head.weight", None)
    drop = ("scale_decoder_outputs", "is_gated_act", "dense_act_fn")
    write_model(folder, model, None, drop, tie_word_embeddings=False)
    t5_tokenizer().save_pretrained(folder)


def as_written_today(model: nn.Module, tokenizer: Any, folder: Path) -> None:
    """By `save_pretrained`, in several files and an index."""
    pairs.randomised(model).save_pretrained(folder, max_shard_size="20KB")
    assert (folder / "model.safetensors.index.json").is_file()
    tokenizer.save_pretrained(folder)
    assert (folder / "tokenizer.json").is_file()


def bert_tokenizer(**settings: Any) -> Any:
    vocabulary = {piece: i for i, piece in enumerate(PIECES)}
    return transformers.BertTokenizer(vocab=vocabulary, **settings)


def bpe_tokenizer(name: str, specials: list[str]) -> Any:
    vocabulary, merges = bpe(specials)
    merges = [tuple(pair) for pair in merges]
    return getattr(transformers, name)(vocab=vocabulary, merges=merges)


# What a Llama's tokenizer.json cuts a text by before merging, and Qwen's, which cuts
# each digit off. Both have bytes for letters behind it.
WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
WORDS = rf"(?i:'s|'t|'re|'ve|'m|'ll|'d)|{WORDS}|\s+(?!\S)|\s+"
LLAMA = ["<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>"]
QWEN = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def tokenizer_json(folder: Path, specials: list[str], first: Any, **settings: Any):
    """Byte-level BPE as it is published since: one file, and the names of roles."""
    vocabulary, merges = bpe(specials)
    inner = tokenizers.Tokenizer(
        tokenizers.models.BPE(vocabulary, [tuple(pair) for pair in merges])
    )
    byte_level = tokenizers.pre_tokenizers.ByteLevel
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [first, byte_level(add_prefix_space=False, use_regex=not settings["split"])]
    )
    inner.decoder = tokenizers.decoders.ByteLevel()
    inner.add_special_tokens(
        [tokenizers.AddedToken(name, special=True) for name in specials]
    )
    if settings.pop("nfc", False):
        inner.normalizer = tokenizers.normalizers.NFC()
    if settings.pop("split") and settings.get("bos_token"):
        bos = settings["bos_token"]
        inner.post_processor = tokenizers.processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, vocabulary[bos])]
        )
    inner.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", settings)


def split(pattern: str) -> Any:
    return tokenizers.pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated")


def llama(family: str, vocab_size: int, **settings: Any) -> nn.Module:
    sizes = SIZES | {"num_attention_heads": 4, "num_key_value_heads": 2}
    config = getattr(transformers, f"{family}Config")(
        vocab_size=vocab_size, **sizes, **settings
    )
    return getattr(transformers, f"{family}ForCausalLM")(config)


def frequencies(weights: Weights) -> Weights:
    """The frequencies of rotary positions, which the first checkpoints stored."""
    names = [f"model.layers.{i}.self_attn.rotary_emb.inv_freq" for i in range(2)]
    return weights | dict.fromkeys(names, torch.ones(4))


def smollm2(folder: Path) -> None:
    model = llama("Llama", 347, tie_word_embeddings=True, rms_norm_eps=1e-5)
    old = {"rope_theta": 100000, "rope_scaling": None, "rope_interleaved": False}
    old |= {"is_llama_config": True, "pretraining_tp": 1}
    write_model(folder, model, None, ("rope_parameters", "dtype", "head_dim"), **old)
    digits = tokenizers.pre_tokenizers.Digits(individual_digits=True)
    end = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}
    extra = ["<|im_start|>", "<|im_end|>", *(f"<{i}>" for i in range(14))]
    tokenizer_json(folder, ["<|endoftext|>", *extra], digits, split=False, **end)


def llama_2(folder: Path) -> None:
    """With buffers among the weights. (Its tokenizer is SentencePiece's; not here.)"""
    model = llama("Llama", 333)
    write_model(folder, model, frequencies, ("rope_parameters", "attention_bias"))
    roles = {"bos_token": LLAMA[0], "eos_token": LLAMA[1]}
    tokenizer_json(folder, LLAMA, split(WORDS), split=True, **roles)


def llama_3_2(folder: Path) -> None:
    rope = {"factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    rope |= {"original_max_position_embeddings": 8192, "rope_type": "llama3"}
    model = llama(
        "Llama",
        333,
        head_dim=8,
        tie_word_embeddings=True,
        rope_parameters={"rope_theta": 500000.0, **rope},
    )
    old = {"rope_theta": 500000.0, "rope_scaling": rope, "eos_token_id": [331, 332]}
    write_model(folder, model, None, ("rope_parameters",), **old)
    roles = {"bos_token": LLAMA[0], "eos_token": LLAMA[1]}
    tokenizer_json(folder, LLAMA, split(WORDS), split=True, **roles)


def qwen(folder: Path, family: str, **settings: Any) -> None:
    """A vocabulary shorter than the table, and no token that begins a text."""
    model = llama(family, 333 + 27, tie_word_embeddings=True, **settings)
    old = {"rope_theta": 1000000.0, "use_sliding_window": False, "max_window_layers": 1}
    drop = ("rope_parameters", "layer_types")
    write_model(folder, model, None, drop, sliding_window=32768, **old)
    roles = {"bos_token": None, "eos_token": QWEN[0], "pad_token": QWEN[0]}
    digits = split(WORDS.replace("{1,3}", ""))
    tokenizer_json(folder, QWEN, digits, split=True, nfc=True, **roles)
    # Beside it, as published: what a GPT-2 would cut in another way.
    vocab_json(folder, QWEN)
    write_json(
        folder / "tokenizer_config.json", {"tokenizer_class": "Qwen2Tokenizer", **roles}
    )


def byte_level_tokenizer(folder: Path) -> Any:
    tokenizer_json(folder, LLAMA, split(WORDS), split=True, eos_token=LLAMA[1])
    return transformers.PreTrainedTokenizerFast.from_pretrained(folder)


FOLDERS = {
    "bert-base-uncased": Folder(
        "BertForPreTraining", "BertTokenizer", bert_base_uncased, pairs=True
    ),
    "bert-base-chinese": Folder(
        "BertForPreTraining", "BertTokenizer", bert_base_chinese, pairs=True
    ),
    "bert-base-german-uncased": Folder(
        "BertForMaskedLM", "BertTokenizer", bert_german_uncased, pairs=True
    ),
    "bert-base-cased": Folder(
        "BertForPreTraining", "BertTokenizer", bert_base_cased, pairs=True
    ),
    "bert, today": Folder(
        "BertForPreTraining",
        "BertTokenizer",
        lambda folder: as_written_today(
            bert(), bert_tokenizer(strip_accents=False), folder
        ),
        pairs=True,
    ),
    "roberta-base": Folder(
        "RobertaForMaskedLM", "RobertaTokenizer", roberta_base, pairs=True
    ),
    "roberta, today": Folder(
        "RobertaForMaskedLM",
        "RobertaTokenizer",
        lambda folder: as_written_today(
            roberta(), bpe_tokenizer("RobertaTokenizer", ROBERTA), folder
        ),
        pairs=True,
    ),
    "albert-base-v2": Folder(
        "AlbertForPreTraining", "AlbertTokenizer", albert_base, pairs=True
    ),
    "albert, today": Folder(
        "AlbertForPreTraining",
        "AlbertTokenizer",
        lambda folder: as_written_today(albert(), albert_tokenizer(), folder),
        pairs=True,
    ),
    "gpt2": Folder("GPT2LMHeadModel", "GPT2Tokenizer", gpt2_small),
    "gpt2, today": Folder(
        "GPT2LMHeadModel",
        "GPT2Tokenizer",
        lambda folder: as_written_today(
            gpt2(), bpe_tokenizer("GPT2Tokenizer", GPT2), folder
        ),
    ),
    "SmolLM2-135M": Folder("LlamaForCausalLM", "PreTrainedTokenizerFast", smollm2),
    "Llama-2-7b": Folder("LlamaForCausalLM", "PreTrainedTokenizerFast", llama_2),
    "Llama-3.2-1B": Folder("LlamaForCausalLM", "PreTrainedTokenizerFast", llama_3_2),
    "Qwen2.5-0.5B": Folder(
        "Qwen2ForCausalLM", "PreTrainedTokenizerFast", lambda f: qwen(f, "Qwen2")
    ),
    "Qwen3-0.6B": Folder(
        "Qwen3ForCausalLM",
        "PreTrainedTokenizerFast",
        lambda f: qwen(f, "Qwen3", head_dim=16),
    ),
    "llama, today": Folder(
        "LlamaForCausalLM",
        "PreTrainedTokenizerFast",
        lambda folder: as_written_today(
            llama("Llama", 333), byte_level_tokenizer(folder), folder
        ),
    ),
    "t5-small": Folder("T5ForConditionalGeneration", "T5Tokenizer", t5_small),
    "t5-v1_1-small": Folder("T5ForConditionalGeneration", "T5Tokenizer", t5_v1_1),
    "t5, today": Folder(
        "T5ForConditionalGeneration",
        "T5Tokenizer",
        lambda folder: as_written_today(
            t5(feed_forward_proj="gated-gelu"), t5_tokenizer(), folder
        ),
    ),
}


@pytest.fixture(params=FOLDERS)
def published(request, tmp_path) -> tuple[Folder, Path]:
    folder = FOLDERS[request.param]
    folder.write(tmp_path)
    return folder, tmp_path


def test_qwens_words_are_not_gpt2s(tmp_path):
    """Its vocab.json and merges.txt alone do not say how it cuts a text."""
    qwen(tmp_path, "Qwen2")
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(
        ValueError, match=r"Qwen2Tokenizer .* needs its tokenizer\.json"
    ):
        load_tokenizer(tmp_path)


def test_a_published_folder_is_read_as_transformers_reads_it(published):
    folder, path = published
    theirs = getattr(transformers, folder.tokenizer).from_pretrained(path)
    ours = load_tokenizer(path)
    for text in TEXTS:
        # Special tokens in a text are text here.
        expected = theirs(text, add_special_tokens=False, split_special_tokens=True)
        assert ours.encode(text).tolist() == expected["input_ids"], text
    assert ours.size == len(theirs)
    for role in ("pad", "unk", "cls", "sep", "mask", "bos", "eos"):
        expected = getattr(theirs, f"{role}_token_id")
        if expected is not None:
            assert getattr(ours.special, role) == expected, role

    cls = getattr(transformers, folder.model)
    reference, report = cls.from_pretrained(path, output_loading_info=True)
    assert not report["missing_keys"], report
    model = hub.load(path)
    given = torch.tensor([ours.encode(TEXTS[0]).tolist()])
    batch, theirs_batch = {"token_ids": given}, {"input_ids": given}
    if isinstance(model, T5):
        batch["decoder_ids"] = theirs_batch["decoder_input_ids"] = given[:, :5]
    with torch.no_grad():
        expected = pairs.their_logits(reference.eval()(**theirs_batch))
        got = pairs.our_logits(model, pairs.Inputs(batch, theirs_batch, given > 0))
    if folder.model == "RobertaForMaskedLM":
        got = {"lm": got.get("mlm", got.get("lm"))}  # beside a pooler
    assert got.keys() == expected.keys()
    for name, logits in expected.items():
        # float32 with other orders of summation
        torch.testing.assert_close(got[name], logits, rtol=1e-5, atol=1e-5)
    if folder.pairs:
        compare_pairs(model, ours, theirs)


def compare_pairs(model: nn.Module, ours: Any, theirs: Any) -> None:
    """That a pair is laid out as the family was trained."""
    example = Example(TEXTS[0], 1, TEXTS[1])
    task = Task("pairs", ("a", "b"), [example], [example], HeldOut([]))
    batch = inputs([example], task, ours, model, length=64)
    expected = theirs(example.text, example.second, return_token_type_ids=True)
    assert batch["token_ids"].tolist() == [expected["input_ids"]]
    if "segment_ids" in batch:
        assert batch["segment_ids"].tolist() == [expected["token_type_ids"]]
