"""Who a file is from: what its place claims, against the roster and the other files.

Students choose names, of themselves and of files; the platform and the roster choose
numbers, ids and e-mail addresses. So where it is not sure whose a file is, it gets a
name of its own and a person has to look.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from lmlib.grading.submissions.archives import Item
from lmlib.grading.submissions.encodings import INVISIBLE
from lmlib.grading.submissions.notebooks import listed
from lmlib.grading.submissions.roster import Roster

#: What browsers and Jupyter put behind the name of a second file, and what people do.
_COPY = re.compile(r"(.+?)(?: ?\((\d{1,4})\)|-Copy(\d{1,4}))")
_VERSION = re.compile(r"(.+?)[-_ ]v?(\d{1,3})")


@dataclass(frozen=True)
class Claim:
    """Whose a file is, as its place says.

    Attributes:
        file: the name that the student gave to the file; empty for a folder.
        version: of two files the larger one counts.
        lms: the number by which the learning platform knows the student.
        ids: what else the platform knows them by: Gradescope's sid and e-mail address.
        may_be: other names, of which the roster may know one.
        doubt: why it cannot be told whose it is.
        clock: nbgrader's file with the time at which it was handed in.
        time: that time in UTC, where the platform tells.
        late: whether the platform marks it as late, None where it marks nothing.
        group: those who hand it in together, as the platform calls them; "" for one.
    """

    item: Item
    name: str
    file: str
    version: tuple[float, ...]
    lms: str = ""
    ids: tuple[str, ...] = ()
    may_be: tuple[str, ...] = ()
    doubt: str = ""
    clock: Item | None = None
    time: datetime | None = None
    late: bool | None = None
    group: str = ""


@dataclass(frozen=True)
class _Found:
    """Who it is by the roster, or else by the name alone.

    Attributes:
        base: the name without the number of a version.
        sure: found by what students do not choose.
    """

    student: str
    on_roster: bool = False
    version: float = 0.0
    base: str = ""
    sure: bool = False
    doubt: str = ""

    @property
    def key(self) -> tuple[bool, str]:
        """Equal for those that must not be mixed up."""
        name = self.student if self.on_roster else self.base
        return self.on_roster, unicodedata.normalize("NFC", name)


def told_apart(
    claims: list[Claim], roster: Roster | None
) -> Iterator[tuple[str, bool, Claim]]:
    """For each claim the student, and whether the roster knows them."""
    identified = [(_identify(claim, roster), claim) for claim in claims]
    numbers: dict[str, set[str]] = defaultdict(set)
    names: dict[tuple[bool, str], set[str]] = defaultdict(set)
    sure: set[str] = set()
    for found, claim in identified:
        numbers[found.student].add(claim.lms)
        if not claim.lms:
            names[found.key].add(found.base)
        if found.sure:
            sure.add(found.student)
    for found, claim in identified:
        student, on_roster = found.student, found.on_roster
        name, number = claim.name, claim.lms
        claim = replace(claim, version=(found.version, *claim.version))
        theirs: set[str] = set()
        if roster and on_roster:
            mail = roster.people[student].email
            if claim.ids:
                theirs = {mail} if mail and any("@" in i for i in claim.ids) else set()
            else:
                theirs = roster.numbers_of(student)
        doubt = claim.doubt or found.doubt
        if doubt:
            pass
        elif number and not found.sure and theirs:
            doubt = (
                f"{listed([name])} has the number {number} on the platform, and on "
                f"the roster {student} has another: graded under a name of its own."
            )
        elif number and not found.sure and numbers[student] - {number}:
            doubt = (
                f"{listed([name])} was handed in from several numbers of the platform, "
                f"one of them {number}: each graded under a name of its own."
            )
        elif not number and on_roster and student in sure:
            doubt = (
                f"{listed([name])} is {student} by its name, and somebody else is by "
                "the number of the platform: graded under a name of its own."
            )
        elif not number and len(names[found.key]) > 1:
            if not on_roster or found.base.casefold() == student.casefold():
                doubt = (
                    f"The name {listed([name])} is there twice, and differs in the "
                    "form of its Unicode characters alone: each graded for itself."
                )
            else:
                several = listed(sorted(names[found.key]))
                doubt = (
                    f"The roster knows {student} by several of the names that are "
                    f"there, {several}: each graded for itself."
                )
            by_id = on_roster and found.base == student
            yield student if by_id else name, by_id, replace(claim, doubt=doubt)
            continue
        if not doubt:
            if claim.ids and on_roster:  # not the number of another platform
                claim = replace(claim, lms="")
            yield student, on_roster, claim
        else:
            own = f"{name}_{number}" if number and not claim.doubt else name
            yield own, False, replace(claim, doubt=doubt)


def _identify(claim: Claim, roster: Roster | None) -> _Found:
    name = claim.name
    if claim.doubt:
        return _Found(name, base=name)
    if roster:
        if claim.ids:
            known = {who for text in claim.ids if (who := roster.with_id(text))}
            if len(known) > 1:
                doubt = (
                    f"What the platform says of {listed([name])} fits several students "
                    f"of the roster, {listed(sorted(known))}."
                )
                return _Found(name, base=name, doubt=doubt)
            if known:
                return _Found(known.pop(), True, base=name, sure=True)
        elif claim.lms in roster.by_number:
            return _Found(roster.by_number[claim.lms], True, base=name, sure=True)
        if student := roster.find(name):
            return _Found(student, True, base=name)
        others = {who for text in claim.may_be if (who := roster.find(text))}
        if len(others) == 1:
            return _Found(others.pop(), True, base=name)
        if others or roster.is_shared(name):
            doubt = f"Several students of the roster may be {listed([name])}."
            return _Found(name, base=name, doubt=doubt)
    if claim.lms:  # a person's name, and not a file's
        return _Found(name, base=name)
    for pattern in (_COPY, _VERSION):
        if match := pattern.fullmatch(name):
            version = number_of(name)
            if roster and (student := roster.find(match[1])):
                return _Found(student, True, version, match[1])
            # Without a roster, anna-2 may be somebody else than anna.
            if pattern is _COPY:
                return _Found(match[1], False, version, match[1])
    return _Found(name, base=name)


def number_of(stem: str) -> float:
    """Of the version, as the name of a file ends in it."""
    for pattern in (_COPY, _VERSION):
        if match := pattern.fullmatch(stem):
            return float(next(filter(None, match.groups()[1:]), 0))
    return 0.0


def cleaned(student: str) -> str:
    """A name that can be a file's."""
    # Not brought to one Unicode form: two students would then have one name.
    name = INVISIBLE.sub("_", student)
    name = re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff/\\:*?\"<>|]", "_", name)
    # No formula to a spreadsheet: nbgrader's export has no guard.
    return name.strip().lstrip(".-=+@＝＋－＠")[:100] or "unnamed"


def as_folder_name(student: str, taken: set[str]) -> str:
    """A name that can be a file's, and nobody else's."""
    name = cleaned(student)
    number, unique = 2, name
    while unique in taken:
        unique, number = f"{name}-{number}", number + 1
    return unique
