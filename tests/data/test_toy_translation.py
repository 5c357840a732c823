"""The toy language pair against translations and links written by hand."""

import zlib
from inspect import unwrap
from itertools import chain

import pytest

from lmlib.data import toy_translation as toy
from lmlib.data.toy_translation import PEOPLE, THINGS, sentences, third_person

# English words with their places, below each the Chinese that stand for them.
BY_HAND = {
    "did we push nine cameras ?": ("我们 推 了 九 台 照相机 吗 ？", "10 21 33 45 57"),
    "that young child counted this knife .": (
        "那 个 年轻 的 孩子 数 了 这 把 刀 。",
        "00 12 24 35 47 59 6a",
    ),
    "he will not borrow the pencils tomorrow .": (
        "他 明天 不 会 借 铅笔 。",
        "00 13 22 34 55 61 76",
    ),
    "did she look for the green knife near the park ?": (
        "她 在 公园 附近 找 了 绿色 的 刀 吗 ？",
        "10 24 34 56 68 71 73 92 aa",
    ),
    "the young boys touched these rabbits that you watched .": (
        "年轻 的 男孩 摸 了 你 看 的 这 些 兔子 。",
        "10 22 33 48 5a 75 86 9b",
    ),
    "this driver that knew them pushes nine tickets every day .": (
        "认识 了 他们 的 这 个 司机 每天 推 九 张 票 。",
        "04 16 30 42 58 69 7b 87 97 ac",
    ),
    "you did not send that horse .": (
        "你 没 送 那 匹 马 。",
        "00 21 32 43 55 66",
    ),
    "my child will borrow your beautiful pen near the station tomorrow .": (
        "我 的 孩子 明天 会 在 车站 附近 借 你 的 漂亮 的 钢笔 。",
        "00 01 12 a3 24 75 77 96 38 49 4a 5b 6d be",
    ),
    "I will play four violins and a violin behind the hospital .": (
        "我 会 在 医院 后面 拉 四 把 小提琴 和 一 把 小提琴 。",
        "00 11 82 a3 84 25 36 48 59 6a 7c bd",
    ),
    "will two students visit me in the hospital tomorrow ?": (
        "两 个 学生 明天 会 在 医院 里 拜访 我 吗 ？",
        "04 10 22 38 49 55 57 76 83 9b",
    ),
}


@pytest.fixture(scope="module")
def written():
    # Sizes at which the sentences by hand are among the tests.
    return {
        split: sentences(n, split, 1000)
        for split, n in (
            ("train", 1000),
            ("test", 120),
            ("combinations", 200),
            ("longer", 100),
        )
    }


def test_translates_and_links_as_by_hand(written):
    pairs = [*sentences(10, "train", 1), *sentences(10, "test", 1), *written["test"]]
    found = {" ".join(pair.english): pair for pair in pairs}
    for english, (chinese, links) in BY_HAND.items():
        pair = found[english]
        assert " ".join(pair.chinese) == chinese
        assert pair.links == {(int(i, 36), int(j, 36)) for i, j in links.split()}


def test_only_words_of_grammar_have_no_link(written):
    alone = {"的", "了", "吗", "些", *THINGS, *PEOPLE}
    for pair in chain(*written.values()):
        linked = {j for _, j in pair.links}
        for j, word in enumerate(pair.chinese):
            owner = word == "的" and pair.chinese[j - 1] in "我你他们我们"
            assert (word in alone) != (j in linked) or owner


def test_vocabulary_is_small_and_of_two_senses(written):
    words = {word for pair in written["train"] for word in pair.english}
    assert 250 < len(words) < 300
    translations = {}
    for pair in written["train"]:
        for i, j in pair.links:
            translations.setdefault(pair.english[i], set()).add(pair.chinese[j])
    assert translations["play"] == {"弹", "拉"}
    assert translations["old"] == {"旧", "老"}
    assert translations["watches"] == {"看", "手表"}


def numbers(text):
    return {entry.split()[-1]: i for i, entry in enumerate(text.split(","))}


def test_odd_verbs_meet_odd_nouns_in_one_split_alone(written):
    """Read from the Chinese of sentences with one verb and one object."""
    met = {"train": 0, "test": 0, "combinations": 0, "longer": 0}
    for verbs, table in ((toy.WITH_THINGS, THINGS), (toy.WITH_PEOPLE, PEOPLE)):
        verbs, nouns = numbers(verbs), numbers(", ".join(table.values()))
        for split, pairs in written.items():
            for pair in pairs:
                if {"that", "and"} & set(pair.english):
                    continue
                places = [j for j, word in enumerate(pair.chinese) if word in verbs]
                after = places[0] if places else len(pair.chinese)
                objects = [w for w in pair.chinese[after:] if w in nouns]
                if objects:
                    verb = verbs[pair.chinese[places[0]]]
                    odd = verb % 2 == 1 and nouns[objects[-1]] % 2 == 1
                    assert odd == (split == "combinations")
                    met[split] += 1
    assert min(met[s] for s in ("train", "test", "combinations")) > 20


def test_that_holds_for_relative_clauses_too(written):
    """A verb before 的 is of a clause whose object is the noun that comes next."""
    verbs, nouns = numbers(toy.WITH_THINGS), numbers(", ".join(THINGS.values()))
    odd = dict.fromkeys(written, 0)
    for split, pairs in written.items():
        for pair in pairs:
            for j, word in enumerate(pair.chinese[:-1]):
                if word in verbs and pair.chinese[j + 1] == "的":
                    noun = next((w for w in pair.chinese[j:] if w in nouns), None)
                    odd[split] += verbs[word] % 2 == 1 and nouns.get(noun, 0) % 2 == 1
    assert odd.pop("combinations") > 5
    assert not any(odd.values())


def test_splits_share_no_sentence_and_have_their_lengths(written):
    english = {s: [pair.english for pair in pairs] for s, pairs in written.items()}
    for split, pairs in english.items():
        assert len(set(pairs)) == len(pairs)
        lengths = {len(words) for words in pairs}
        assert lengths <= set(range(13, 25) if split == "longer" else range(4, 13))
        assert len(lengths) > 5
    others = {words for split in english for words in english[split] if split != "test"}
    assert others.isdisjoint(english["test"])
    # Nor does another seed, whatever it writes: a digest decides.
    for split in ("train", "test"):
        for words in [*english[split], *(p.english for p in sentences(200, split, 1))]:
            tenth = zlib.crc32(" ".join(words).encode()) % 10 == 0
            assert tenth == (split == "test")


def test_a_seed_is_a_corpus():
    assert sentences(20, "train", 3) == sentences(30, "train", 3)[:20]
    assert sentences(20, "train", 3) != sentences(20, "train", 4)
    assert sentences(0) == []


def test_third_person():
    words = ["buy", "push", "teach", "look:for"]
    assert [third_person(w) for w in words] == [
        "buys",
        "pushes",
        "teaches",
        "looks:for",
    ]


def test_says_what_is_wrong():
    with pytest.raises(ValueError, match=r"split must be one of .*, got 'valid'"):
        unwrap(sentences)(1, "valid")  # past the checker of types
    with pytest.raises(ValueError, match="n must not be negative, got -1"):
        sentences(-1)
