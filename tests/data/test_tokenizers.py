"""Tokenizers against greedy matching and byte-pair merging written out plainly."""

import itertools
import json
import os
import subprocess
import sys
import unicodedata
from pydoc_data.topics import topics

import numpy as np
import pytest

from lmlib.data.corpus import SpecialTokens
from lmlib.data.tokenizers import (
    BPE_SPECIALS,
    WORDPIECE_SPECIALS,
    ByteTokenizer,
    load_tokenizer,
    token_bytes,
    train_bpe,
    train_wordpiece,
)

CHINESE = "學而時習之，不亦說乎？有朋自遠方來，不亦樂乎？人不知而不愠，不亦君子乎？"
TEXTS = [topics[name] for name in sorted(topics)[:12]] + [CHINESE * 3]
HARD = [
    "Don't   stop\n\n\tnow. ",
    "naïve café ﬁ Ω 🎉",
    "子曰：“學而時習之”",
    "[MASK] <s> [SEP] </s> <mask> ##a",
    " ",
    "a\u0301\u200b\x00\r\n",
]


@pytest.fixture(scope="module")
def wordpiece():
    return train_wordpiece(TEXTS, 700)


@pytest.fixture(scope="module")
def bpe():
    return train_bpe(TEXTS, 600)


@pytest.fixture(params=["bytes", "wordpiece", "bpe"])
def tokenizer(request):
    if request.param == "bytes":
        return ByteTokenizer()
    return request.getfixturevalue(request.param)


# -- All three ------------------------------------------------------------------------


def test_a_batch_is_its_texts(tokenizer):
    texts = ["One two.", "", *HARD, TEXTS[0]]
    encoded = tokenizer.encode_batch(texts)
    ends = np.cumsum(encoded.lengths)
    assert encoded.tokens.dtype == np.int32
    assert len(encoded.tokens) == len(encoded.word_starts) == ends[-1]
    for text, end, length in zip(texts, ends, encoded.lengths, strict=True):
        ids = encoded.tokens[end - length : end].tolist()
        assert ids == tokenizer.encode(text).tolist()
        if length:
            assert encoded.word_starts[end - length]
    assert tokenizer.encode_batch([]).tokens.shape == (0,)


def test_no_text_becomes_a_special_token(tokenizer):
    special = set(tokenizer.special.ids) - {tokenizer.special.unk}
    for text in [*HARD, *WORDPIECE_SPECIALS, *BPE_SPECIALS]:
        assert not special & set(tokenizer.encode(text).tolist())


def test_what_is_saved_is_loaded(tokenizer, tmp_path):
    tokenizer.save(tmp_path / "tokenizer.json")
    for path in (tmp_path, tmp_path / "tokenizer.json"):
        again = load_tokenizer(path)
        assert again.digest == tokenizer.digest
        assert (again.size, again.special) == (tokenizer.size, tokenizer.special)
        one, two = again.encode_batch(HARD), tokenizer.encode_batch(HARD)
        assert one.tokens.tolist() == two.tokens.tolist()
        assert one.word_starts.tolist() == two.word_starts.tolist()
        # Loading and saving once more must not let special tokens loose.
        again.save(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("name", ["bytes", "bpe"])
def test_lossless_tokenizers_give_the_text_back(name, bpe):
    tokenizer = {"bytes": ByteTokenizer(), "bpe": bpe}[name]
    rng = np.random.default_rng(0)
    noise = "".join(map(chr, rng.integers(1, 0xD800, 300)))
    for text in [*HARD, noise, CHINESE, TEXTS[3]]:
        assert tokenizer.decode(tokenizer.encode(text)) == text
    wrapped = [tokenizer.special.bos, *tokenizer.encode("a b"), tokenizer.special.eos]
    assert tokenizer.decode(wrapped) == "a b"


@pytest.mark.parametrize("name", ["bytes", "bpe"])
def test_the_bytes_of_tokens_make_the_bytes_of_the_text(name, bpe):
    tokenizer = {"bytes": ByteTokenizer(), "bpe": bpe}[name]
    texts = token_bytes(tokenizer)
    for text in [*HARD, CHINESE, TEXTS[3]]:
        assert b"".join(texts[i] for i in tokenizer.encode(text)) == text.encode()
    assert {bytes((byte,)) for byte in range(256)} <= set(texts.values())
    assert not texts.keys() & vars(tokenizer.special).values()


def test_pieces_of_words_have_no_bytes(wordpiece):
    with pytest.raises(ValueError, match="made of bytes"):
        token_bytes(wordpiece)


# -- Bytes ----------------------------------------------------------------------------


def test_bytes_and_their_words():
    encoded = ByteTokenizer().encode_batch(["ab_1 c..", "x是不é"])
    assert encoded.tokens.tolist() == [*b"ab_1 c..", *"x是不é".encode()]
    starts = [1, 0, 0, 0, 1, 1, 1, 0]  # ab_1, space, c, ..
    # x, three bytes of 是, three of 不, and é goes on the word.
    assert encoded.word_starts.tolist() == [*starts, 1, 1, 0, 0, 1, 0, 0, 0, 0]


def test_bytes_have_ids_of_their_own_for_special_tokens():
    tokenizer = ByteTokenizer()
    assert min(tokenizer.special.ids) == 256
    assert max(tokenizer.special.ids) == tokenizer.size - 1


# -- WordPiece ------------------------------------------------------------------------


def words_of(text, lowercase=True):
    """BERT's basic tokenization: Devlin's tokenization.py, from its description."""
    text = "".join(
        " "
        if c in "\t\n\r" or unicodedata.category(c) == "Zs"
        else ""
        if unicodedata.category(c) in ("Cc", "Cf") or c == "\ufffd"
        else c
        for c in text
    )
    if lowercase:
        text = unicodedata.normalize("NFD", text.lower())
        text = "".join(c for c in text if unicodedata.category(c) != "Mn")
    out = ""
    for c in text:
        symbol = 33 <= ord(c) < 127 and not c.isalnum()
        alone = symbol or unicodedata.category(c)[0] == "P" or 0x4E00 <= ord(c) < 0xA000
        out += f" {c} " if alone else c
    return out.split()


def greedy(word, vocabulary):
    pieces, rest, prefix = [], word, ""
    while rest:
        ends = [n for n in range(len(rest), 0, -1) if prefix + rest[:n] in vocabulary]
        if not ends:
            return ["[UNK]"]
        pieces.append(prefix + rest[: ends[0]])
        rest, prefix = rest[ends[0] :], "##"
    return pieces


def test_wordpiece_is_greedy_longest_match(wordpiece):
    vocabulary = wordpiece.inner.get_vocab()
    for text in [*HARD, *TEXTS]:
        pieces = [greedy(word, vocabulary) for word in words_of(text)]
        expected = [vocabulary[p] for word in pieces for p in word]
        starts = [i == 0 for word in pieces for i in range(len(word))]
        encoded = wordpiece.encode_batch([text])
        assert encoded.tokens.tolist() == expected
        assert encoded.word_starts.tolist() == starts


def test_wordpiece_cuts_chinese_into_characters(wordpiece):
    ids = wordpiece.encode("不亦樂乎")
    assert [wordpiece.inner.id_to_token(i) for i in ids] == list("不亦樂乎")
    assert wordpiece.encode_batch(["不亦樂乎"]).word_starts.all()
    assert not any(t.startswith("##不") for t in wordpiece.inner.get_vocab())


def test_wordpiece_ids_have_no_gaps_and_begin_with_berts_special_tokens(wordpiece):
    assert sorted(wordpiece.inner.get_vocab().values()) == list(range(700))
    assert wordpiece.special == SpecialTokens(0, 1, 2, 3, 4, bos=2, eos=3)
    # All the texts' characters have tokens.
    assert 1 not in wordpiece.encode(" ".join(TEXTS))
    assert wordpiece.encode("Ж").tolist() == [1]


def test_wordpiece_keeps_capitals_if_asked():
    tokenizer = train_wordpiece(["Ab ab Ab"], 40, lowercase=False)
    assert tokenizer.encode("Ab").tolist() != tokenizer.encode("ab").tolist()


def test_a_vocabulary_without_room_is_refused():
    with pytest.raises(ValueError, match="vocab_size must be at least 12"):
        # 5 special tokens, 4 characters, and b, c, d inside words.
        train_wordpiece(["abcd"], 11)
    assert train_wordpiece(["abcd"], 12).size == 12
    with pytest.raises(ValueError, match="at least 261"):
        train_bpe(["abcd"], 260)


def test_rare_characters_can_be_left_out():
    tokenizer = train_wordpiece(["aa b aa b c"], 20, max_characters=2)
    assert tokenizer.encode("c").tolist() == [tokenizer.special.unk]
    assert tokenizer.special.unk not in tokenizer.encode("aa b")


# -- BPE ------------------------------------------------------------------------------


def byte_characters():
    """GPT-2's bytes_to_unicode: printable bytes for themselves, then the rest."""
    table = {}
    for byte in range(256):
        char = chr(byte)
        # 0xAD is the soft hyphen, 0xA0 and 0x20 are spaces.
        if unicodedata.category(char)[0] not in "CZ":
            table[byte] = char
    for n, byte in enumerate(b for b in range(256) if b not in table):
        table[byte] = chr(256 + n)
    return table


def merge(word, ranks):
    """Sennrich et al. 2016, algorithm 1: the earliest merge first, everywhere."""
    table = byte_characters()
    symbols = [table[byte] for byte in word.encode()]
    while True:
        pairs = {p for p in itertools.pairwise(symbols) if p in ranks}
        if not pairs:
            return symbols
        first = min(pairs, key=ranks.__getitem__)
        merged, i = [], 0
        while i < len(symbols):
            pair = tuple(symbols[i : i + 2])
            merged.append("".join(pair) if pair == first else symbols[i])
            i += 2 if pair == first else 1
        symbols = merged


def test_bpe_merges_in_order(bpe):
    model = json.loads(bpe.inner.to_str())["model"]
    ranks = {tuple(pair): i for i, pair in enumerate(model["merges"])}
    # Cut by hand as GPT-2's pattern does.
    words = ["The", " statements", "'s", " (", "x", "+=", "12", ")", " ", " not", "\n"]
    words += ["Chinese", " ", " 不亦樂乎", "？"]
    pieces = [merge(word, ranks) for word in words]
    encoded = bpe.encode_batch(["".join(words)])
    assert encoded.tokens.tolist() == [model["vocab"][p] for w in pieces for p in w]
    starts = [i == 0 for word in pieces for i in range(len(word))]
    at = sum(map(len, pieces[:13]))
    got = encoded.word_starts.tolist()
    assert got[:at] == starts[:at]
    for piece, start in zip(pieces[13], got[at:], strict=False):
        first = {c: b for b, c in byte_characters().items()}[piece[0]]
        assert start == (first == 0x20 or first >= 0xE3)


# -- Loading --------------------------------------------------------------------------


def test_bert_folder(wordpiece, tmp_path):
    vocabulary = sorted(wordpiece.inner.get_vocab().items(), key=lambda item: item[1])
    vocab = "".join(f"{token}\n" for token, _ in vocabulary)
    (tmp_path / "vocab.txt").write_text(vocab, encoding="utf-8")
    loaded = load_tokenizer(tmp_path)
    assert loaded.special == wordpiece.special
    for text in [*HARD, *TEXTS]:
        assert loaded.encode(text).tolist() == wordpiece.encode(text).tolist()
    # As transformers reads the same folder.
    transformers = pytest.importorskip("transformers")
    theirs = transformers.BertTokenizerFast(
        vocab_file=str(tmp_path / "vocab.txt"), vocab=str(tmp_path / "vocab.txt")
    )
    for text in TEXTS[:3]:
        ids = theirs(text, add_special_tokens=False)["input_ids"]
        assert loaded.encode(text).tolist() == ids
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    assert 1 in load_tokenizer(tmp_path).encode("The")
    assert 1 not in load_tokenizer(tmp_path, lowercase=True).encode("The")
    # Capitals in a vocabulary say nothing: bert-base-chinese has some.
    (tmp_path / "tokenizer_config.json").unlink()
    (tmp_path / "vocab.txt").write_text(vocab + "The\n")
    expected = wordpiece.encode("the").tolist()
    assert load_tokenizer(tmp_path).encode("The").tolist() == expected
    assert load_tokenizer(tmp_path, lowercase=False).encode("The").tolist() == [700]


WORDS = "the The über uber Über 我是 我 是 foo#bar foo # bar"
PIECES = [*WORDPIECE_SPECIALS, *WORDS.split()]


def bert_folder(folder, pieces=PIECES, **settings):
    (folder / "vocab.txt").write_text("\n".join(pieces), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


@pytest.mark.parametrize(
    ("settings", "pieces"),
    [
        ({}, "the uber 我 是 foo # bar"),
        ({"do_lower_case": None, "strip_accents": None}, "the uber 我 是 foo # bar"),
        ({"do_lower_case": False}, "The Über 我 是 foo # bar"),
        ({"strip_accents": False}, "the über 我 是 foo # bar"),
        ({"tokenize_chinese_chars": False}, "the uber 我是 foo # bar"),
        ({"never_split": ["foo#bar", "nowhere", "[MASK]"]}, "the uber 我 是 foo#bar"),
    ],
)
def test_berts_settings(settings, pieces, tmp_path):
    loaded = load_tokenizer(bert_folder(tmp_path, **settings))
    ids = loaded.encode("The Über 我是 foo#bar")
    assert [PIECES[i] for i in ids] == pieces.split()
    assert loaded.encode("[MASK]").tolist() != [PIECES.index("[MASK]")]
    # A tokenizer.json beside them is overruled in the same way, and kept so.
    default = load_tokenizer(bert_folder(tmp_path))
    default.save(tmp_path / "tokenizer.json")
    bert_folder(tmp_path, **settings)
    again = load_tokenizer(tmp_path)
    assert again.encode("The Über 我是 foo#bar").tolist() == ids.tolist()
    again.save(tmp_path / "kept" / "tokenizer.json")
    kept = load_tokenizer(tmp_path / "kept")
    assert kept.encode("The Über 我是 foo#bar").tolist() == ids.tolist()


def test_what_is_never_split_is_what_transformers_never_splits(tmp_path):
    transformers = pytest.importorskip(
        "transformers.models.bert.tokenization_bert_legacy",
        reason="this version of transformers has no tokenizer that knows never_split",
    )
    settings = {"never_split": ["foo#bar", "Über"], "strip_accents": False}
    bert_folder(tmp_path, **settings)
    theirs = transformers.BertTokenizerLegacy(str(tmp_path / "vocab.txt"), **settings)
    ours = load_tokenizer(tmp_path)
    for text in ("The foo#bar Über", "foo#bars Übers foo # bar", "foo#bar"):
        ids = theirs.convert_tokens_to_ids(theirs.tokenize(text))
        assert ours.encode(text).tolist() == ids


def test_special_tokens_with_other_names(tmp_path):
    pieces = ["<0>", "<1>", "<2>", "<3>", "<4>", "the", "[PAD]", "[SEP]"]
    names = dict(zip(("pad", "unk", "cls", "sep", "mask"), pieces, strict=False))
    settings = {f"{role}_token": name for role, name in names.items()}
    settings["mask_token"] = {"content": "<4>", "lstrip": True}  # as some are written
    bert_folder(tmp_path, pieces, **settings)
    (tmp_path / "special_tokens_map.json").write_text('{"pad_token": "[PAD]"}')
    loaded = load_tokenizer(tmp_path)
    assert loaded.special == SpecialTokens(0, 1, 2, 3, 4, bos=7, eos=7)
    assert loaded.encode("the Ж <4>").tolist()[:2] == [5, 1]
    assert 4 not in loaded.encode("the <4>")
    loaded.save(tmp_path / "kept" / "tokenizer.json")
    kept = load_tokenizer(tmp_path / "kept")
    assert (kept.special, kept.digest) == (loaded.special, loaded.digest)


def test_tokens_that_were_added(tmp_path):
    marks = ["[E0]", {"content": "[E1]", "lstrip": False}]  # both are found
    bert_folder(tmp_path, additional_special_tokens=marks)
    n = len(PIECES)
    added = tmp_path / "added_tokens.json"
    added.write_text(json.dumps({"Plain": n + 1, "[E1]": n}))
    loaded = load_tokenizer(tmp_path)
    assert loaded.size == n + 2
    assert loaded.encode("the plain").tolist() == [PIECES.index("the"), n + 1]
    assert n not in loaded.encode("[E1]")  # a special token: text is text
    added.write_text(json.dumps({"Plain": n + 1}))
    with pytest.raises(ValueError, match=f"'Plain'.* have the id {n + 1}, and would"):
        load_tokenizer(tmp_path)
    # GPT-2's way to have padding: a name that is usual, and named nowhere.
    added.write_text(json.dumps({"<|pad|>": n}))
    assert load_tokenizer(tmp_path).special.pad == PIECES.index("[PAD]")
    assert n not in load_tokenizer(tmp_path).encode("<|pad|>")
    added.unlink()
    decoder = {str(n): {"content": "Plain", "special": False, "normalized": False}}
    bert_folder(tmp_path, added_tokens_decoder=decoder)
    assert load_tokenizer(tmp_path).encode("Plain").tolist() == [n]


def test_a_prefix_space_if_the_folder_says_so(bpe, tmp_path):
    bpe.save(tmp_path / "tokenizer.json")
    expected = bpe.encode(" a b").tolist()
    assert load_tokenizer(tmp_path).encode("a b").tolist() != expected
    (tmp_path / "tokenizer_config.json").write_text('{"add_prefix_space": true}')
    assert load_tokenizer(tmp_path).encode("a b").tolist() == expected


def test_settings_that_cannot_be_read(tmp_path):
    bert_folder(tmp_path, word_tokenizer_type="mecab")
    with pytest.raises(ValueError, match=r"must be 'basic'.* got 'mecab'"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(ValueError, match=r"tokenizer_config\.json is not JSON"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("[]")
    with pytest.raises(ValueError, match="must hold an object, got list"):
        load_tokenizer(tmp_path)
    for key, value in (
        ("do_lower_case", "yes"),
        ("never_split", 3),
        ("added_tokens_decoder", [1]),
        ("added_tokens_decoder", {"x": {"content": "y"}}),
        ("added_tokens_decoder", {"99": "y"}),
        ("added_tokens_decoder", {"99": {"content": None}}),
    ):
        bert_folder(tmp_path, **{key: value})
        with pytest.raises(ValueError, match=f"{key} in|cannot be read|must have"):
            load_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("\ufeff{}", encoding="utf-8")
    load_tokenizer(tmp_path)
    (tmp_path / "vocab.txt").unlink()
    (tmp_path / "spiece.model").write_bytes(b"")
    with pytest.raises(ValueError, match=r"spiece\.model, .*SentencePiece.*Convert"):
        load_tokenizer(tmp_path)


def test_gpt2_folder(bpe, tmp_path):
    model = json.loads(bpe.inner.to_str())["model"]
    vocabulary = {t: i for t, i in model["vocab"].items() if t not in BPE_SPECIALS}
    vocabulary = {t: n for n, t in enumerate(vocabulary)}
    vocabulary["<|endoftext|>"] = end = len(vocabulary)
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    merges = "\n".join(["#version: 0.2", *(" ".join(m) for m in model["merges"])])
    (tmp_path / "merges.txt").write_text(merges + "\n", encoding="utf-8")
    loaded = load_tokenizer(tmp_path)
    assert set(vars(loaded.special).values()) == {end}
    for text in [*HARD, *TEXTS]:
        # Without its special tokens the vocabulary is moved by their number.
        expected = bpe.encode(text) - len(BPE_SPECIALS)
        assert loaded.encode(text).tolist() == expected.tolist()
    assert end not in loaded.encode("a<|endoftext|>b")
    assert loaded.decode([*loaded.encode("a b"), end]) == "a b"


def test_roberta_has_special_tokens_of_its_own(bpe, tmp_path):
    model = json.loads(bpe.inner.to_str())["model"]
    (tmp_path / "vocab.json").write_text(json.dumps(model["vocab"]), encoding="utf-8")
    merges = "\n".join(["#version: 0.2", *(" ".join(m) for m in model["merges"])])
    (tmp_path / "merges.txt").write_text(merges, encoding="utf-8")
    special = load_tokenizer(tmp_path).special
    assert special == SpecialTokens(0, 1, cls=2, sep=3, mask=4, bos=2, eos=3)


def test_folders_and_files_without_a_tokenizer(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no tokenizer\.json"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match="holds no tokenizer"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "vocab.txt").write_text("[PAD]\na\n")
    with pytest.raises(ValueError, match=r"lacks \[UNK\], \[CLS\]"):
        load_tokenizer(tmp_path)


def test_another_process_trains_the_same_and_may_fork(wordpiece, bpe):
    program = (
        "import os, signal\n"
        "from tests.data.test_tokenizers import TEXTS, train_bpe, train_wordpiece\n"
        "print(train_wordpiece(TEXTS, 700).digest)\n"
        "t = train_bpe(TEXTS[::-1], 600)\n"
        "print(t.digest, flush=True)\n"
        "t.encode_batch(TEXTS * 8)\n"
        "pid = os.fork()\n"
        "pid or signal.alarm(10)\n"
        "t.encode_batch(TEXTS * 2)\n"  # hangs in the child if it uses threads
        "pid or os._exit(0)\n"
        "assert os.waitpid(pid, 0)[1] == 0\n"
        "assert os.environ['TOKENIZERS_PARALLELISM'] == 'true'\n"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "TOKENIZERS_PARALLELISM": "true",
    }
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert result.stdout.split() == [wordpiece.digest, bpe.digest]
    assert result.stderr == ""
