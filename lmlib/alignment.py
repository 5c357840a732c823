"""Which word stands for which: IBM model 1, and what it is good for (section 6.2).

Source: Brown et al. (1993), "The Mathematics of Statistical Machine Translation".
"""

from collections import defaultdict
from collections.abc import Sequence

from lmlib.data.toy_translation import Pair

NULL = "<null>"  # a source word for the target words that stand for none
Words = Sequence[str]
Dictionary = dict[str, dict[str, float]]  # t(target word | source word), both by word


def ibm1(pairs: Sequence[tuple[Words, Words]], rounds: int) -> Dictionary:
    """Probabilities t(f | e) that maximise those of the target sentences, by EM.

    The model: each target word f comes from one source word of its sentence, any of
    them with the same probability, and is drawn from t(· | e). A round shares each f
    out among the words e of its sentence in proportion to t(f | e), and makes the sums
    of the shares the new t. All t(f | e) begin alike. No round lowers the likelihood,
    which is concave and so has no lower maximum to stay in.

    Parameters:
        pairs: source and target sentences. Put NULL into the source for words that
            come from nowhere.

    Raises:
        ValueError: `rounds` is below 1, or words have no source to come from.
    """
    if rounds < 1:
        raise ValueError(f"rounds must be positive, got {rounds}")
    if any(target and not source for source, target in pairs):
        raise ValueError("pairs must not have an empty source beside a target")
    table: Dictionary = {}
    for n in range(rounds):
        shares: dict[str, defaultdict[str, float]] = {}
        for source, target in pairs:
            for f in target:
                t = [table[e][f] if n else 1.0 for e in source]
                total = sum(t)
                for e, part in zip(source, t, strict=True):
                    shares.setdefault(e, defaultdict(float))[f] += part / total
        table = {}
        for e, row in shares.items():
            total = sum(row.values())
            table[e] = {f: share / total for f, share in row.items()}
    return table


def align(table: Dictionary, source: Words, target: Words) -> list[int]:
    """For each target word the place of the source word that has most of it.

    The first of equal ones; a word that the table lacks has probability 0.
    """
    return [
        max(range(len(source)), key=lambda i: table.get(source[i], {}).get(f, 0.0))
        for f in target
    ]


def word_by_word(table: Dictionary, source: Words) -> list[str]:
    """The likeliest translation of each word, in the order of the source.

    Words that the table lacks are left out, and so are those whose likeliest
    translation comes more often from NULL.
    """
    found = []
    for e in source:
        row = table.get(e, {})
        if row:
            f = max(row, key=row.__getitem__)
            if row[f] >= table.get(NULL, {}).get(f, 0.0):
                found.append(f)
    return found


def alignment_error(pairs: Sequence[Pair], places: Sequence[Sequence[int]]) -> float:
    """The share of Chinese words with a link whose place is not one of their links.

    Words without a link do not count: no place would be right.

    Parameters:
        places: for each pair, and each of its Chinese words, a place in the English.

    Raises:
        ValueError: other numbers of places than of words, or no word has a link.
    """
    linked = wrong = 0
    for pair, chosen in zip(pairs, places, strict=True):
        if len(chosen) != len(pair.chinese):
            raise ValueError(
                "places must have a place for each Chinese word, got "
                f"{len(chosen)} for {len(pair.chinese)}"
            )
        for j, i in enumerate(chosen):
            if any(chinese == j for _, chinese in pair.links):
                linked += 1
                wrong += (i, j) not in pair.links
    if not linked:
        raise ValueError("no Chinese word has a link")
    return wrong / linked
