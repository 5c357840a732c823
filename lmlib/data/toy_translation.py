"""A small language pair, English to Chinese, with the true alignment (section 6.2).

A grammar writes both sides at once, and so knows which word stands for which. What is
hard between the two languages is in it: a measure word that the noun decides (three
books, 三本书), a relative clause before its noun, place and time before the verb, no
plural, 了 for the past but not beside 没, 吗 for a question, and words that have two
translations.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

import numpy as np

Split = Literal["train", "test", "combinations", "longer"]
SHORT, LONG = 12, 24  # English words, at most, of "longer" and of all others


@dataclass(frozen=True)
class Pair:
    """A sentence and its translation, in words.

    Attributes:
        links: (i, j) where `chinese[j]` stands for `english[i]`. Words that only one of
            the two grammars asks for, such as "the" and 了, have none.
    """

    english: tuple[str, ...]
    chinese: tuple[str, ...]
    links: frozenset[tuple[int, int]]


# -- Words ----------------------------------------------------------------------------

THINGS = {  # by their measure words; a plural without s after a stroke
    "本": "book 书, novel 小说, magazine 杂志, notebook 笔记本",
    "张": "table 桌子, map 地图, ticket 票, bed 床, photo 照片",
    "把": "chair 椅子, knife/knives 刀, umbrella 伞, key 钥匙, guitar 吉他, "
    "violin 小提琴",
    "辆": "car 汽车, bicycle 自行车, truck 卡车",
    "条": "rope 绳子, towel 毛巾, scarf/scarves 围巾, skirt 裙子",
    "件": "shirt 衬衫, coat 大衣, sweater 毛衣, gift 礼物",
    "只": "cat 猫, bird 鸟, rabbit 兔子, chicken 鸡",
    "个": "apple 苹果, bag 包, box/boxes 箱子, ball 球, egg 鸡蛋",
    "支": "pen 钢笔, pencil 铅笔, candle 蜡烛",
    "台": "computer 电脑, camera 照相机",
    "朵": "flower 花, rose 玫瑰",
    "块": "cake 蛋糕, stone 石头, watch/watches 手表",
    "头": "cow 牛, pig 猪, elephant 大象",
    "匹": "horse 马",
    "封": "letter 信",
    "幅": "painting 画",
    "顶": "hat 帽子, tent 帐篷",
    "架": "piano 钢琴",
}
PEOPLE = {
    "个": "teacher 老师, student 学生, doctor 医生, farmer 农民, cook 厨师, "
    "driver 司机, child/children 孩子, girl 女孩, boy 男孩, friend 朋友, "
    "singer 歌手, artist 画家",
}
PRONOUNS = "I me 我, you you 你, he him 他, she her 她, we us 我们, they them 他们"
OWNERS = "my 我 的, your 你 的, his 他 的, our 我们 的, their 他们 的"
NUMBERS = (
    "two 两, three 三, four 四, five 五, six 六, seven 七, eight 八, nine 九, ten 十"
)
ADJECTIVES = (
    "big 大, small 小, new 新, old 旧, red 红色, green 绿色, blue 蓝色, "
    "beautiful 漂亮, expensive 贵, cheap 便宜, strange 奇怪, heavy 重"
)
OF_PEOPLE = "young 年轻, old 老, clever 聪明, famous 有名, strange 奇怪, tall 高"
WITH_THINGS = (
    "buy bought 买, sell sold 卖, wash washed 洗, draw drew 画, borrow borrowed 借, "
    "hide hid 藏, steal stole 偷, choose chose 选, repair repaired 修, move moved 搬, "
    "push pushed 推, touch touched 摸, count counted 数, bring brought 带, "
    "look:for looked:for 找, watch watched 看, send sent 送, throw threw 扔"
)
WITH_PEOPLE = (
    "help helped 帮助, visit visited 拜访, thank thanked 感谢, invite invited 邀请, "
    "teach taught 教, know knew 认识"
)
BY_OBJECT = {  # one English verb, and as many Chinese ones as there are kinds of object
    "wear wore": "穿 shirt coat sweater skirt, 戴 hat scarf watch",
    "play played": "弹 piano guitar, 拉 violin",
}
PLACES = (
    "garden 花园, kitchen 厨房, school 学校, library 图书馆, shop 商店, "
    "park 公园, station 车站, hospital 医院, hotel 饭店"
)
WHERE = "in 里, behind 后面, near 附近, beside 旁边"
TIMES = {"past": "yesterday 昨天", "now": "every:day 每天", "future": "tomorrow 明天"}


@dataclass(frozen=True, eq=False)  # each is one: they are looked for by the thousand
class Noun:
    one: str
    more: str
    chinese: str
    measure: str
    number: int  # of its list; odd ones never meet odd verbs in training


@dataclass(frozen=True)
class Verb:
    base: str
    past: str
    chinese: str
    objects: tuple[Noun, ...]
    number: int

    def held_out(self, noun: Noun) -> bool:
        return self.number % 2 == 1 and noun.number % 2 == 1


@cache
def entries(text: str) -> tuple[list[str], ...]:
    return tuple(entry.split() for entry in text.split(","))


def nouns(table: dict[str, str]) -> tuple[Noun, ...]:
    found: list[Noun] = []
    for measure, text in table.items():
        for word, chinese in entries(text):
            one, _, more = word.partition("/")
            found.append(Noun(one, more or f"{one}s", chinese, measure, len(found)))
    return tuple(found)


_THINGS, _PEOPLE = nouns(THINGS), nouns(PEOPLE)


def _verbs() -> tuple[Verb, ...]:
    found = []
    for text, objects in ((WITH_THINGS, _THINGS), (WITH_PEOPLE, _PEOPLE)):
        for i, (base, past, chinese) in enumerate(entries(text)):
            found.append(Verb(base, past, chinese, objects, i))
    for forms, senses in BY_OBJECT.items():
        for chinese, *names in entries(senses):
            these = tuple(noun for noun in _THINGS if noun.one in names)
            base, past = forms.split()
            found.append(Verb(base, past, chinese, these, 0))
    return tuple(found)


_VERBS = _verbs()


# -- Phrases --------------------------------------------------------------------------


@dataclass(eq=False)  # two words with the same letters are two words
class Word:
    text: str


@dataclass
class Phrase:
    """English words, and Chinese ones, each with the English that it stands for."""

    english: list[Word]
    chinese: list[tuple[str, list[Word]]]


def phrase(english: str = "", chinese: str = "") -> Phrase:
    """Words that stand for each other; with one side empty, for nothing."""
    words = [Word(text) for text in re.split("[ :]", english) if text]
    return Phrase(words, [(text, words) for text in chinese.split()])


def ordered(english: list[Phrase], chinese: list[Phrase]) -> Phrase:
    """Phrases put together, in an order for each language."""
    return Phrase(
        [word for part in english for word in part.english],
        [word for part in chinese for word in part.chinese],
    )


NOTHING = phrase()


def third_person(base: str) -> str:
    verb, colon, rest = base.partition(":")
    return verb + ("es" if verb.endswith(("s", "sh", "ch")) else "s") + colon + rest


class Writer:
    """Writes sentences, and notes whether a verb met a noun that is kept from it."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.held_out = False

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def entry(self, text: str) -> list[str]:
        found = entries(text)
        return found[self.rng.integers(len(found))]

    def verb(self, of: tuple[Verb, ...] = _VERBS) -> Verb:
        return of[self.rng.integers(len(of))]

    def lexical(self, text: str) -> Phrase:
        english, *chinese = self.entry(text)
        return phrase(english, " ".join(chinese))

    def noun_phrase(self, noun: Noun, depth: int) -> tuple[Phrase, bool]:
        """As in: three big books that she bought, 她 买 的 三 本 大 的 书.

        Beside the phrase whether it is of one.
        """
        person = noun in _PEOPLE
        kind = self.rng.integers(8)
        one = bool(kind < 3 or (kind in (3, 4) and self.chance(0.5)))
        head = phrase(noun.one if one else noun.more, noun.chinese)
        adjective = of = clause = that = which = NOTHING
        if self.chance(0.3):
            adjective = self.lexical(OF_PEOPLE if person else ADJECTIVES)
            of = phrase(chinese="的")
        measure = phrase(chinese=noun.measure)
        if kind == 0:
            first = (adjective if adjective.english else head).english[0].text
            determiner = phrase("an" if first[0] in "aeiou" else "a", "一")
        elif kind in (1, 2):
            determiner = phrase(*(("this", "这"), ("that", "那"))[kind - 1])
        elif kind in (3, 4):
            determiner, measure = phrase("the"), NOTHING
            if kind == 4:
                determiner = self.lexical(OWNERS)
        elif kind == 5:
            determiner = phrase(*(("these", "这"), ("those", "那"))[self.chance(0.5)])
            measure = phrase(chinese="些")
        else:
            determiner = self.lexical(NUMBERS)
        if depth and self.chance(0.25):
            that, which = phrase("that"), phrase(chinese="的")
            clause = self.relative(noun, person, depth - 1)
        return ordered(
            [determiner, adjective, head, that, clause],
            [clause, which, determiner, measure, adjective, of, head],
        ), one

    def relative(self, noun: Noun, person: bool, depth: int) -> Phrase:
        """What stands after "that": who did something, or to whom it was done."""
        if person and self.chance(0.5):
            verb = self.verb()
            what = self.object(verb, depth)
            done = phrase(verb.past, verb.chinese)
            return ordered([done, what], [done, phrase(chinese="了"), what])
        verb = self.verb(tuple(v for v in _VERBS if noun in v.objects))
        self.held_out |= verb.held_out(noun)
        who, _ = self.subject(depth)
        done = phrase(verb.past, verb.chinese)
        return ordered([who, done], [who, done])

    def subject(self, depth: int) -> tuple[Phrase, bool]:
        """A phrase, and whether its verb takes the s of the third person."""
        if self.chance(0.4):
            nominative, _, chinese = self.entry(PRONOUNS)
            return phrase(nominative, chinese), nominative in ("he", "she")
        return self.noun_phrase(_PEOPLE[self.rng.integers(len(_PEOPLE))], depth)

    def object(self, verb: Verb, depth: int) -> Phrase:
        if verb.objects is _PEOPLE and self.chance(0.3):
            _, accusative, chinese = self.entry(PRONOUNS)
            return phrase(accusative, chinese)
        noun = verb.objects[self.rng.integers(len(verb.objects))]
        self.held_out |= verb.held_out(noun)
        found, _ = self.noun_phrase(noun, depth)
        if depth and self.chance(0.15):
            also = phrase("and", "和")
            parts = [found, also, self.object(verb, depth - 1)]
            found = ordered(parts, parts)
        return found

    def sentence(self) -> Phrase:
        """As in: did she buy the book in the shop ?, 她 在 商店 里 买 了 书 吗 ？"""
        verb = self.verb()
        who, third = self.subject(2)
        what = self.object(verb, 2)
        tense = tuple(TIMES)[self.rng.integers(len(TIMES))]
        question, negated = self.chance(0.25), self.chance(0.25)
        negated &= not question
        where = when = will = no = after = asked = NOTHING
        if self.chance(0.3):
            where = self.place()
        if self.chance(0.3):
            when = self.lexical(TIMES[tense])
        if tense == "future":
            will = phrase("will", "会")
        elif question or negated:
            will = phrase("did" if tense == "past" else "does" if third else "do")
        form = verb.base
        if not will.english:
            past, now = verb.past, third_person(form) if third else form
            form = past if tense == "past" else now
        if negated:
            no = phrase("not", "没" if tense == "past" else "不")
        elif tense == "past":
            after = phrase(chinese="了")
        done = phrase(form, verb.chinese)
        stop = phrase("?", "？") if question else phrase(".", "。")
        front = [will, who] if question else [who, will]
        if question:
            asked = phrase(chinese="吗")
        return ordered(
            [*front, no, done, what, where, when, stop],
            [who, when, no, will, where, done, after, what, asked, stop],
        )

    def place(self) -> Phrase:
        """As in: behind the school, 在 学校 后面, where two words are "behind"."""
        preposition, chinese = self.entry(WHERE)
        at, the, name = phrase(preposition), phrase("the"), self.lexical(PLACES)
        words = at.english
        return Phrase(
            [*words, *the.english, *name.english],
            [("在", words), *name.chinese, (chinese, words)],
        )


# -- Sentences ------------------------------------------------------------------------


def sentences(n: int, split: Split = "train", seed: int = 0) -> list[Pair]:
    """`n` different sentences of a split.

    "train" and "test" are of one distribution, have at most 12 English words and no
    sentence in common; no odd verb of its list meets an odd noun of its list there. In
    "combinations" one does, in "longer" there are 13 to 24 words.

    Raises:
        ValueError: an unknown split, or n below 0.
    """
    if split not in get_args(Split):
        raise ValueError(f"split must be one of {get_args(Split)}, got {split!r}")
    if n < 0:
        raise ValueError(f"n must not be negative, got {n}")
    found: dict[tuple[str, ...], Pair] = {}
    for pair, where in stream(seed):
        if len(found) == n:
            break
        if where == split:
            found.setdefault(pair.english, pair)
    return list(found.values())


def stream(seed: int) -> Iterator[tuple[Pair, Split]]:
    """Sentences for ever, with the splits that they belong to."""
    rng = np.random.default_rng(seed)
    while True:
        writer = Writer(rng)
        pair = paired(writer.sentence())
        n_words = len(pair.english)
        if n_words > LONG or (writer.held_out and n_words > SHORT):
            continue
        if writer.held_out:
            yield pair, "combinations"
        elif n_words > SHORT:
            yield pair, "longer"
        else:
            # By a digest, so that no seed has for training what another has for a test.
            tenth = zlib.crc32(" ".join(pair.english).encode()) % 10 == 0
            yield pair, "test" if tenth else "train"


def paired(whole: Phrase) -> Pair:
    place = {id(word): i for i, word in enumerate(whole.english)}
    return Pair(
        tuple(word.text for word in whole.english),
        tuple(text for text, _ in whole.chinese),
        frozenset(
            (place[id(word)], j)
            for j, (_, words) in enumerate(whole.chinese)
            for word in words
        ),
    )
