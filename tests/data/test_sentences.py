"""Sentences against cuts made by hand (|), and properties of a partition."""

import random

import pytest

from lmlib.data.sentences import split_sentences

# Cut by hand; the rules were made with these in sight. A cut stands before white space.
BY_HAND = {
    "news": (
        "Dr. Smith went to Washington, D.C., on Jan. 5.| He met Mr. J. R. Jones of "
        "Acme Inc. in the U.S. Senate.| Was it late?| Yes!| The price rose 3.5 percent "
        "to $1.20.| It fell again, e.g. on Monday."
    ),
    "dialogue": (
        "`Well!' thought Alice to herself, `after such a fall as this, I shall think "
        "nothing of tumbling down stairs!|  How brave they'll all think me at home!|  "
        "Why, I wouldn't say anything about it, even if I fell off the top of the "
        "house!'| (Which was very likely true.)"
    ),
    "quotes": (
        'He asked, "Is it true?" and left.| "It is."| She said: "No.| Never!"| They '
        "agreed (more or less.)| Then they slept."
    ),
    "paper": (
        "We follow Vaswani et al. (2017).| See Fig. 3 and Sec. 2.1 for details.| The "
        "model, cf. eq. 4, has no bias.| The answer is no.| There are approx. 110 M "
        "parameters, i.e. four times as many... and more.| That is enough."
    ),
    "docstring": (
        "Return the sum of a and b.|\n\nThe result is a scalar, e.g. 3.0.| See\n"
        ":func:`numpy.add` for more.|\n\nParameters\n----------|\na : array_like\n"
        "    First input.|\nb : array_like\n    Second input.| Must be positive.|\n\n"
        "Returns\n-------|\nout : ndarray|\n\nExamples\n--------|\n"
        ">>> x = add(1, 2). Foo|\n>>> x\n3|\n\nNotes\n-----|\n1. First item.|\n"
        "2. Second item."
    ),
    "fields": (
        "Open a file.|\n\n:param name: its name.|\n:param mode: how.| Default 'r'.|\n"
        "- a point|\n- another\n  that goes on|\n* a star"
    ),
    "play": (
        "First Citizen:\nBefore we proceed any further, hear me speak.|\n\n"
        "All:\nSpeak, speak."
    ),
    "wikitext": (
        " = Homarus gammarus = | \n \n Homarus gammarus is a species of <unk> .| It "
        "may grow to 60 cm ( 24 in ) and 6 @.@ 1 kg .| \n \n = = Description = = "
    ),
    "analects": (
        "子曰：“学而时习之，不亦说乎？|有朋自远方来，不亦乐乎？|人不知而不愠，"
        "不亦君子乎？”|\n\n有子曰：“其为人也孝弟，而好犯上者，鲜矣；不好犯上而好作乱者，"
        "未之有也。|君子务本，本立而道生。|孝弟也者，其为仁之本与！”"
    ),
    "poem": "前不見古人，後不見來者。|\n念天地之悠悠，獨愴然而涕下。",
    "prose": (
        "So do I.| The U.S. has fifty states.| In the U.K. The Times is read.| Vitamin "
        "C is cheap; vitamin D. is not.| Prof. Li arrived at 5 p.m. on Friday.| It was "
        "No. 7.| He left at 6 a.m.| Nobody saw him.| What?!| Nothing.| See p. 12, "
        "ch. 3, and vol. 2 of Knuth et al.| The rest (cf. above) follows, etc.| "
        "Version 3.11.7 is older.| John F. Kennedy spoke.| iPhones sell."
    ),
    "reference": (
        "Assignment statements\n*********************|\n\nAssignment statements are "
        "used to (re)bind names to values and to\nmodify attributes or items of "
        'mutable objects:|\n\n   assignment_stmt ::= (target_list "=")+|\n\n(See '
        "section Primaries for the syntax definitions for *attributeref*.)|\n\n* If "
        "the target list is a single target, the object is assigned.| It\n  may be "
        "bound to another.|\n\n* Else: the object must be an iterable.|\n\nNote: this "
        "is so.| `x` is evaluated first.| *y* comes second."
    ),
    "torch": (
        "Computes ``input``'s log.| Works in-place, see :func:`torch.log_`.|\n\n"
        ".. math::\n    y_i = \\log_e (x_i)|\n\nArgs:\n    input (Tensor): the input."
        "|\n    dim (int, optional): the dim.| Default: None.|\n\n.. note:: Slow.| Use "
        "with care.|\n\nExample::|\n\n    >>> a = torch.rand(5) * 5\n"
        "    tensor([4.7767, 4.3234.])|\n    >>> torch.log(a)"
    ),
    "lists": (
        "There are three kinds:|\n1. Small ones.|\n2) Large ones.|\n(3) None.|\n\n"
        "| a | b |"
    ).replace("| a | b |", "• Dots"),
    "chinese news": (
        "他说：“我不去！”|然后走了。|价格上涨3.5%。|真的吗？！|“真的。”|她笑了……没有回答。|"
        "《红楼梦》（曹雪芹著。）|很好。"
    ),
    "mixed": "GPT-2 有 1.5 B 参数。|它用 BPE（见 2.2 节）！？|Yes.| 好。",
}


def cuts(parts):
    ends, at = set(), 0
    for part in parts[:-1]:
        at += len(part)
        ends.add(at)
    return ends


def by_hand(marked):
    # White space before a mark belongs to the next sentence.
    return [part for part in marked.split("|") if part]


def bare(parts):
    """Cut positions in the text without white space, which is where one can differ."""
    return cuts(["".join(part.split()) for part in parts])


def test_nineteen_of_twenty_cuts_are_those_made_by_hand():
    right = made = wanted = 0
    wrong = []
    for name, marked in BY_HAND.items():
        expected = bare(by_hand(marked))
        got = bare(split_sentences(marked.replace("|", "")))
        right += len(expected & got)
        made, wanted = made + len(got), wanted + len(expected)
        if expected != got:
            wrong.append((name, sorted(expected ^ got)))
    assert wanted > 90
    assert right / made >= 0.95, wrong
    assert right / wanted >= 0.95, wrong


@pytest.mark.parametrize(
    "text",
    [
        "Pi is 3.14 and e is 2.71.",
        "See numpy.linalg.svd() for it.",
        "J. S. Bach wrote it.",
        "He lived from ca. 1200 to 1250.",
        "It has e.g. Three parts.",
        "“Really?” he asked.",
        ">>> print('A. B. C')",
        "“今天天气很好，”他说，“我们去吧。”",
    ],
)
def test_one_sentence_stays_one(text):
    assert split_sentences(text) == [text]


def test_white_space_goes_to_the_next_sentence_and_the_last_keeps_its_own():
    assert split_sentences("  One.  Two.\n\nThree \n ") == [
        "  One.",
        "  Two.",
        "\n\nThree \n ",
    ]


def test_the_pieces_join_to_the_text_and_each_has_something_visible():
    rng = random.Random(0)
    alphabet = [
        *("a", "B", "e.g", "1", ".", ".", "!", "?", " ", " ", "\n", "\n\n", "\r\n"),
        *("    ", "- ", ">>> ", "---", '"', ")", "。", "”", "字", "\t", "|", "\u3000"),
    ]
    for _ in range(2000):
        text = "".join(rng.choices(alphabet, k=rng.randrange(30)))
        parts = split_sentences(text)
        assert "".join(parts) == text
        if text.strip():
            assert all(part.strip() for part in parts)
        else:
            assert parts == ([text] if text else [])


@pytest.mark.parametrize(
    "text", ["." * 300_000, "!?" * 100_000, "This is it. " * 400_000]
)
def test_long_rows_and_lines_come_to_an_end(text):
    """In a second or two; with steps of length², this would take hours."""
    parts = split_sentences(text)
    assert "".join(parts) == text
    assert len(parts) == (400_000 if " " in text else 1)
