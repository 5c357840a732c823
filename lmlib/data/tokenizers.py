"""Tokenizers: bytes, WordPiece (BERT) and byte-level BPE (GPT-2).

Training and encoding of the latter two is the `tokenizers` package's; here are the
settings, the roles of the special tokens, and what the corpus wants to know besides
the ids: where words begin. Special tokens in a text are text: "[MASK]" in a document
about BERT never becomes the mask.

Sources: Devlin et al. 2019 for BERT's WordPiece; Sennrich et al. 2016 for BPE and
Radford et al. 2019, section 2.2, for BPE over bytes.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import tokenizers
from numpy.typing import ArrayLike, NDArray
from tokenizers import (
    AddedToken,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from lmlib.data.cache import replacing
from lmlib.data.corpus import SpecialTokens

WORDPIECE_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
BPE_SPECIALS = ("<pad>", "<unk>", "<s>", "</s>", "<mask>")

# What a role is called, in the order of preference.
_NAMES = {
    "pad": ("[PAD]", "<pad>", "<|pad|>"),
    "unk": ("[UNK]", "<unk>"),
    "cls": ("[CLS]", "<s>", "<cls>"),
    "sep": ("[SEP]", "</s>", "<sep>"),
    "mask": ("[MASK]", "<mask>"),
    "bos": ("[BOS]", "<s>", "<bos>", "[CLS]", "<|endoftext|>"),
    "eos": ("[EOS]", "</s>", "<eos>", "[SEP]", "<|endoftext|>"),
}


@dataclass(frozen=True)
class Encoded:
    """Several texts, one after the other, without special tokens.

    Attributes:
        tokens: int32 [n_tokens].
        lengths: int64 [n_texts], the number of tokens of each.
        word_starts: bool [n_tokens]. A Chinese character is a word by itself.
    """

    tokens: NDArray[np.int32]
    lengths: NDArray[np.int64]
    word_starts: NDArray[np.bool_]


@runtime_checkable
class Tokenizer(Protocol):
    """What corpora and models ask of a tokenizer."""

    @property
    def special(self) -> SpecialTokens: ...

    @property
    def size(self) -> int:
        """One more than the largest id, special tokens included."""

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides what `encode` gives."""

    def encode(self, text: str) -> NDArray[np.int32]:
        """The ids of one text, without special tokens."""

    def encode_batch(self, texts: Sequence[str]) -> Encoded:
        """The ids of many texts, and where their words begin."""

    def decode(self, ids: ArrayLike) -> str:
        """The text of ids; special tokens are left out."""

    def save(self, path: Path) -> None:
        """Write what `load_tokenizer` reads, to the file `path`."""


# -- Bytes ----------------------------------------------------------------------------


class ByteTokenizer:
    """Each byte of the text in UTF-8 is a token: nothing to train, nothing unknown.

    Ids below 256 are the bytes; 256 pads, 257 begins, 258 ends or separates, 259 masks.
    """

    special = SpecialTokens(
        pad=256, unk=256, cls=257, sep=258, mask=259, bos=257, eos=258
    )
    size = 260
    digest = hashlib.sha256(b"lmlib bytes").hexdigest()

    def encode(self, text: str) -> NDArray[np.int32]:
        return np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int32)

    def encode_batch(self, texts: Sequence[str]) -> Encoded:
        """See `Tokenizer`. Runs of letters, of white space and of others are words."""
        pieces = [text.encode() for text in texts]
        lengths = np.array([len(piece) for piece in pieces], dtype=np.int64)
        data = np.frombuffer(b"".join(pieces), dtype=np.uint8)
        kind = _BYTE_KINDS[data]
        starts = _BEGINS_CHARACTER[data]
        starts[1:] |= kind[1:] != kind[:-1]
        starts[_firsts(lengths)] = True
        return Encoded(data.astype(np.int32), lengths, starts)

    def decode(self, ids: ArrayLike) -> str:
        return bytes(i for i in np.asarray(ids).tolist() if i < 256).decode(
            "utf-8", errors="replace"
        )

    def save(self, path: Path) -> None:
        with replacing(path) as temporary:
            temporary.write_text(json.dumps({"lmlib": "bytes"}), encoding="utf-8")


def _byte_tables() -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    kinds = np.zeros(256, dtype=np.uint8)
    kinds[[i for i in range(128) if chr(i).isalnum() or chr(i) == "_"]] = 1
    kinds[128:] = 1
    kinds[[i for i in range(128) if chr(i).isspace()]] = 2
    # First bytes in UTF-8 of U+3000 … U+9FFF and of what lies beyond U+10000.
    begins = np.zeros(256, dtype=np.bool_)
    begins[[*range(0xE3, 0xEA), *range(0xF0, 0xF5)]] = True
    return kinds, begins


_BYTE_KINDS, _BEGINS_CHARACTER = _byte_tables()


def _firsts(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each text that is not empty begins."""
    return (np.cumsum(lengths) - lengths)[lengths > 0]


# -- WordPiece and BPE ----------------------------------------------------------------


class SubwordTokenizer:
    """A tokenizer of the `tokenizers` package, with the roles of its special tokens.

    Parameters:
        inner: the tokenizer; it is changed so that special tokens in a text are text.
        special: their ids; by default found by their usual names. A vocabulary that has
            no name for a role takes eos for it (GPT-2 has <|endoftext|> alone).

    Raises:
        ValueError: no special token has a usual name, and `special` isn't given.
    """

    def __init__(
        self, inner: tokenizers.Tokenizer, special: SpecialTokens | None = None
    ) -> None:
        # The digest is of what is saved; this flag is not.
        self._state = inner.to_str()
        inner.encode_special_tokens = True
        self.inner = inner
        special = special or _find_specials(inner)
        if special is None:
            raise ValueError(
                f"the tokenizer has none of {_NAMES['eos']}: give the ids of its "
                "special tokens as `special`"
            )
        self.special = special
        self.size = max(inner.get_vocab().values()) + 1
        self.digest = hashlib.sha256(self._state.encode()).hexdigest()
        self._begins_character = _character_tokens(inner, self.size)

    def encode(self, text: str) -> NDArray[np.int32]:
        ids = self.inner.encode(text, add_special_tokens=False).ids
        return np.array(ids, dtype=np.int32)

    def encode_batch(self, texts: Sequence[str]) -> Encoded:
        encodings = self.inner.encode_batch(list(texts), add_special_tokens=False)
        lengths = np.array([len(e) for e in encodings], dtype=np.int64)
        n = int(lengths.sum())
        tokens = np.fromiter(chain.from_iterable(e.ids for e in encodings), np.int32, n)
        words = np.fromiter(
            chain.from_iterable(e.word_ids for e in encodings), np.int64, n
        )
        starts = self._begins_character[tokens]
        starts[1:] |= words[1:] != words[:-1]
        starts[_firsts(lengths)] = True
        return Encoded(tokens, lengths, starts)

    def decode(self, ids: ArrayLike) -> str:
        return self.inner.decode(np.asarray(ids).tolist(), skip_special_tokens=True)

    def save(self, path: Path) -> None:
        """Write the tokenizer.json that Hugging Face's libraries read too.

        Special tokens that have other names than usual are named beside it, in
        special_tokens_map.json.
        """
        with replacing(path) as temporary:
            temporary.write_text(self._state, encoding="utf-8", newline="")
        if self.special != _find_specials(self.inner):
            names = {
                f"{role}_token": self.inner.id_to_token(i)
                for role, i in vars(self.special).items()
            }
            with replacing(path.with_name(_SPECIAL_NAMES)) as temporary:
                temporary.write_text(json.dumps(names), encoding="utf-8")


def _find_specials(
    inner: tokenizers.Tokenizer, settings: Mapping[str, Any] | None = None
) -> SpecialTokens | None:
    """The ids of special tokens: by the names in `settings`, or by their usual ones.

    None if not even a token that ends a text is found.
    """
    named = {
        role: (*_special_name(settings or {}, role), *names)
        for role, names in _NAMES.items()
    }
    found = {
        role: next((i for n in names if (i := inner.token_to_id(n)) is not None), None)
        for role, names in named.items()
    }
    if (eos := found["eos"]) is None:
        return None
    ids = {role: eos if i is None else i for role, i in found.items()}
    return SpecialTokens(**ids)


def _character_tokens(inner: tokenizers.Tokenizer, size: int) -> NDArray[np.bool_]:
    """[size], True for tokens of byte-level BPE that begin with a Chinese character."""
    begins = np.zeros(size, dtype=np.bool_)
    if isinstance(inner.decoder, decoders.ByteLevel):
        byte_of = {char: byte for byte, char in enumerate(_byte_alphabet())}
        for token, i in inner.get_vocab().items():
            begins[i] = bool(_BEGINS_CHARACTER[byte_of.get(token[:1], 0)])
    return begins


def _byte_alphabet() -> list[str]:
    """The character that stands for each byte in GPT-2's vocabulary.

    Printable Latin-1 stands for itself; the others are moved up to U+0100 and on.
    """
    itself = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in itself]
    return [
        chr(byte) if byte in itself else chr(256 + others.index(byte))
        for byte in range(256)
    ]


def token_bytes(tokenizer: Tokenizer) -> dict[int, bytes]:
    """The bytes that each token stands for; special tokens stand for none.

    Raises:
        ValueError: tokens are not made of bytes, as WordPiece's are not.
    """
    if isinstance(tokenizer, ByteTokenizer):
        return {i: bytes((i,)) for i in range(256)}
    inner = getattr(tokenizer, "inner", None)
    if inner is None or not isinstance(inner.decoder, decoders.ByteLevel):
        raise ValueError("the tokens must be made of bytes, as those of BPE are")
    byte_of = {char: byte for byte, char in enumerate(_byte_alphabet())}
    special = inner.get_added_tokens_decoder()
    return {
        i: bytes(byte_of[char] for char in token)
        for token, i in sorted(inner.get_vocab().items(), key=lambda item: item[1])
        if i not in special
    }


# -- Training -------------------------------------------------------------------------


def train_wordpiece(
    texts: Iterable[str],
    vocab_size: int = 8192,
    *,
    lowercase: bool = True,
    max_characters: int = 6000,
) -> SubwordTokenizer:
    """BERT's WordPiece, from single characters up; the same texts give the same.

    Text is cut at white space and punctuation, and around each Chinese character; with
    `lowercase` accents go as well, as in bert-base-uncased. Of the characters only the
    `max_characters` most frequent have tokens; a word with another one is unknown.

    Raises:
        ValueError: `vocab_size` has no room for the special tokens and characters.
    """
    texts = list(texts)
    inner = _wordpiece({}, lowercase=lowercase)
    alphabet, continuing = _characters(inner, texts, max_characters)
    needed = len(WORDPIECE_SPECIALS) + len(alphabet) + len(continuing)
    if vocab_size < needed:
        raise ValueError(
            f"vocab_size must be at least {needed}, for {len(alphabet)} characters, "
            f"{len(continuing)} of them inside words; got {vocab_size}"
        )
    # The trainer numbers "##x" in the order of a hash map, which differs from run to
    # run, unless it finds them among the special tokens.
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        special_tokens=[*WORDPIECE_SPECIALS, *continuing],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    inner.train_from_iterator(texts, trainer)
    return SubwordTokenizer(_wordpiece(_vocabulary(inner), lowercase=lowercase))


def train_bpe(texts: Iterable[str], vocab_size: int = 8192) -> SubwordTokenizer:
    """GPT-2's byte-level BPE: lossless, nothing is unknown; deterministic.

    Raises:
        ValueError: `vocab_size` has no room for the special tokens and 256 bytes.
    """
    needed = len(BPE_SPECIALS) + 256
    if vocab_size < needed:
        raise ValueError(f"vocab_size must be at least {needed}, got {vocab_size}")
    inner = tokenizers.Tokenizer(models.BPE())
    _make_byte_level(inner)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(BPE_SPECIALS),
        initial_alphabet=sorted(_byte_alphabet()),
        show_progress=False,
    )
    inner.train_from_iterator(texts, trainer)
    return SubwordTokenizer(inner)


def _wordpiece(
    vocabulary: dict[str, int],
    *,
    lowercase: bool,
    names: Sequence[str] = WORDPIECE_SPECIALS,
) -> tokenizers.Tokenizer:
    _, unk, cls, sep, _ = names
    inner = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token=unk))
    inner.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece()
    if vocabulary:
        named = [AddedToken(s, special=True) for s in names]
        inner.add_special_tokens([t for t in named if t.content in vocabulary])
        inner.post_processor = processors.BertProcessing(
            (sep, vocabulary[sep]), (cls, vocabulary[cls])
        )
    return inner


def _make_byte_level(
    inner: tokenizers.Tokenizer, *, add_prefix_space: bool = False
) -> None:
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    inner.decoder = decoders.ByteLevel()


def _vocabulary(inner: tokenizers.Tokenizer) -> dict[str, int]:
    return dict(sorted(inner.get_vocab().items(), key=lambda item: item[1]))


def _characters(
    inner: tokenizers.Tokenizer, texts: list[str], limit: int
) -> tuple[list[str], list[str]]:
    """The most frequent characters, and "##x" for those that continue a word."""
    counts: Counter[str] = Counter()
    pairs: set[tuple[str, str]] = set()
    for text in texts:
        normal = inner.normalizer.normalize_str(text)
        counts.update(normal)
        pairs.update(pairwise(normal))
    split = inner.pre_tokenizer.pre_tokenize_str
    visible = [(c, n) for c, n in counts.items() if split(c)]
    common = sorted(visible, key=lambda item: (-item[1], item[0]))[:limit]
    alphabet = sorted(c for c, _ in common)
    known = set(alphabet)
    continuing = {
        b
        for a, b in pairs
        if b in known and [piece for piece, _ in split(a + b)] == [a + b]
    }
    return alphabet, [f"##{c}" for c in sorted(continuing)]


# -- Loading --------------------------------------------------------------------------


_SPECIAL_NAMES = "special_tokens_map.json"
_SETTINGS: dict[str, type] = {
    "do_lower_case": bool,
    "strip_accents": bool,
    "tokenize_chinese_chars": bool,
    "add_prefix_space": bool,
    "never_split": list,
    "additional_special_tokens": list,
    "added_tokens_decoder": dict,
}


def load_tokenizer(path: str | Path, *, lowercase: bool | None = None) -> Tokenizer:
    """A tokenizer from a tokenizer.json, or from a folder in the Hugging Face layout.

    In a folder the first of these counts: tokenizer.json; vocab.txt (BERT's WordPiece);
    vocab.json with merges.txt (GPT-2's and RoBERTa's BPE). What tokenizer_config.json,
    special_tokens_map.json and added_tokens.json say counts as in `transformers`: the
    names of special tokens and tokens that were added; of WordPiece `do_lower_case`,
    `strip_accents`, `tokenize_chinese_chars` and `never_split`; of BPE
    `add_prefix_space`. No text is cut here, so `model_max_length` has no part.

    Parameters:
        lowercase: of WordPiece, whatever the folder says. A vocab.txt of which it says
            nothing is taken for lower case, as in `transformers`.

    Raises:
        FileNotFoundError: the folder has none of these.
        ValueError: a file is not what its name says, or a setting that lmlib lacks.
    """
    path = Path(path)
    settings = _read_settings(path) if path.is_dir() else {}
    if lowercase is not None:
        settings["do_lower_case"] = lowercase
    if path.is_dir():
        if (path / "tokenizer.json").is_file():
            path = path / "tokenizer.json"
        elif (path / "vocab.txt").is_file():
            return _load_bert(path, settings)
        elif (path / "vocab.json").is_file() and (path / "merges.txt").is_file():
            return _load_gpt2(path, settings)
        elif found := sorted(file.name for file in path.glob("*.model")):
            raise ValueError(
                f"{path} has no tokenizer.json, but {found[0]}, a vocabulary of "
                "SentencePiece, which lmlib does not read. Convert it once, where "
                "transformers and sentencepiece are installed: "
                "AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"
            )
        else:
            raise FileNotFoundError(
                f"{path} has no tokenizer.json, no vocab.txt, and no vocab.json with "
                "merges.txt"
            )
    text = path.read_text(encoding="utf-8")
    try:
        if json.loads(text) == {"lmlib": "bytes"}:
            return ByteTokenizer()
        inner = tokenizers.Tokenizer.from_str(text)
    except Exception as error:  # the package raises nothing narrower
        raise ValueError(f"{path} holds no tokenizer: {error}") from None
    inner.no_padding()
    inner.no_truncation()
    _apply(settings, inner)
    return SubwordTokenizer(inner, _find_specials(inner, settings))


def _load_bert(folder: Path, settings: Mapping[str, Any]) -> SubwordTokenizer:
    lines = (folder / "vocab.txt").read_text(encoding="utf-8-sig").split("\n")
    if lines[-1] == "":
        lines.pop()
    # BERT's own loader lets the last of equal lines win.
    vocabulary = {line.rstrip("\r"): i for i, line in enumerate(lines)}
    if (words := settings.get("word_tokenizer_type", "basic")) != "basic":
        raise ValueError(
            f"word_tokenizer_type in {folder / 'tokenizer_config.json'} must be "
            f"'basic', all that lmlib has; got {words!r}"
        )
    roles = ("pad", "unk", "cls", "sep", "mask")
    names = [
        next(iter(_special_name(settings, role)), usual)
        for role, usual in zip(roles, WORDPIECE_SPECIALS, strict=True)
    ]
    if missing := [name for name in names if name not in vocabulary]:
        raise ValueError(f"{folder / 'vocab.txt'} lacks {', '.join(missing)}")
    inner = _wordpiece(vocabulary, lowercase=True, names=names)
    _apply(settings, inner)
    _add_tokens(folder, settings, inner)
    return SubwordTokenizer(inner, _find_specials(inner, settings))


def _load_gpt2(folder: Path, settings: Mapping[str, Any]) -> SubwordTokenizer:
    if (name := str(settings.get("tokenizer_class", ""))).startswith("Qwen"):
        raise ValueError(
            f"a {name} cuts words in another way than GPT-2, and needs its "
            f"tokenizer.json, which is not in {folder}"
        )
    try:
        model = models.BPE.from_file(
            str(folder / "vocab.json"), str(folder / "merges.txt")
        )
    except Exception as error:  # the package raises nothing narrower
        raise ValueError(f"{folder} holds no vocabulary of BPE: {error}") from None
    inner = tokenizers.Tokenizer(model)
    _make_byte_level(inner)
    _apply(settings, inner)
    known = _special_names(settings) & inner.get_vocab().keys()
    inner.add_special_tokens([AddedToken(s, special=True) for s in sorted(known)])
    _add_tokens(folder, settings, inner)
    return SubwordTokenizer(inner, _find_specials(inner, settings))


def _read_settings(folder: Path) -> dict[str, Any]:
    """What the JSON files beside a vocabulary say of it; null says nothing."""
    settings: dict[str, Any] = {}
    for name in (_SPECIAL_NAMES, "tokenizer_config.json"):
        for key, value in _read_object(folder / name).items():
            if value is None:
                continue
            kind = _SETTINGS.get(key, object)
            if not isinstance(value, kind):
                raise ValueError(
                    f"{key} in {folder / name} must be a {kind.__name__}, got {value!r}"
                )
            settings[key] = value
    return settings


def _read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; an empty one if there is no file."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold an object, got {type(content).__name__}")
    return content


def _special_name(settings: Mapping[str, Any], role: str) -> list[str]:
    """The name that `settings` give to the token of a role: one or none."""
    return _content(settings.get(f"{role}_token"))


def _special_names(settings: Mapping[str, Any]) -> set[str]:
    """The names of all roles, usual and given."""
    named = {name for role in _NAMES for name in _special_name(settings, role)}
    return named.union(*_NAMES.values())


def _content(token: object) -> list[str]:
    """A token, which may be written with the options of an AddedToken: one or none."""
    content = token.get("content") if isinstance(token, dict) else token
    return [content] if isinstance(content, str) else []


def _apply(settings: Mapping[str, Any], inner: tokenizers.Tokenizer) -> None:
    """Let `settings` have their way; what they leave out stays as it is."""
    given = inner.normalizer
    if isinstance(given, normalizers.BertNormalizer):
        inner.normalizer = normalizers.BertNormalizer(
            clean_text=given.clean_text,
            handle_chinese_chars=settings.get(
                "tokenize_chinese_chars", given.handle_chinese_chars
            ),
            strip_accents=settings.get("strip_accents", given.strip_accents),
            lowercase=settings.get("do_lower_case", given.lowercase),
        )
        whole = [word for x in settings.get("never_split", ()) for word in _content(x)]
        inner.add_tokens(  # which leaves those that are special so
            [
                AddedToken(word, single_word=True, normalized=False)
                for word in whole
                if inner.token_to_id(word) is not None
            ]
        )
    given = inner.pre_tokenizer
    if isinstance(given, pre_tokenizers.ByteLevel) and "add_prefix_space" in settings:
        given.add_prefix_space = settings["add_prefix_space"]


def _add_tokens(
    folder: Path, settings: Mapping[str, Any], inner: tokenizers.Tokenizer
) -> None:
    """The tokens that were added to the vocabulary in `folder`, with their ids."""
    special = _special_names(settings).union(
        *map(_content, settings.get("additional_special_tokens", ()))
    )
    added: dict[str, Any] = {
        str(i): {"content": name, "special": name in special}
        for name, i in _read_object(folder / "added_tokens.json").items()
    }
    added |= settings.get("added_tokens_decoder", {})
    try:
        tokens = {
            int(i): AddedToken(**{k: v for k, v in token.items() if k != "__type"})
            for i, token in added.items()
        }
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"the tokens that were added to the vocabulary in {folder} cannot be read: "
            f"{error}"
        ) from None
    for i, token in sorted(tokens.items()):
        (inner.add_special_tokens if token.special else inner.add_tokens)([token])
        if inner.token_to_id(token.content) != i:
            raise ValueError(
                f"the token {token.content!r} that was added to the vocabulary in "
                f"{folder} must have the id {i}, and would have "
                f"{inner.token_to_id(token.content)}"
            )


# -- Forks ----------------------------------------------------------------------------


def _without_threads_in_children() -> None:
    """Encode with one thread after a fork, whatever TOKENIZERS_PARALLELISM says.

    Threads don't survive a fork, and with "true" an encoding in a child waits for them
    for ever; unset, some versions of the package warn.
    """
    name = "TOKENIZERS_PARALLELISM"
    before: list[str | None] = []

    def forking() -> None:
        before.append(os.environ.get(name))
        os.environ[name] = "false"

    def restore() -> None:
        value = before.pop()
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=forking, after_in_parent=restore)


_without_threads_in_children()
