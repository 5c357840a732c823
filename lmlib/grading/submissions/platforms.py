"""Whose is it: from the files of a class to one file for each student."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from lmlib.grading.submissions.archives import SUFFIXES, Item, is_archive
from lmlib.grading.submissions.notebooks import listed
from lmlib.grading.submissions.roster import Roster

#: Full Name_12345_assignsubmission_file_, a folder of Moodle's. Students choose the
#: name that they show, and the platform adds the rest: so the last number counts.
_MOODLE = re.compile(r"(?P<name>.+)_(?P<lms>\d+)_(?:assignsubmission_[a-z]+|file)_?")
#: The same with the student's file behind it; and Canvas's
#: surnamegiven_LATE_12345_67890_filename-1.ipynb.
_FLAT = re.compile(
    r"(?P<name>.+?)_(?:LATE_)?(?P<lms>\d+)_"
    r"(?:(?:assignsubmission_[a-z]+|file)(?:_(?P<file>.*))?"
    r"|(?P<upload>\d+)_(?P<canvas>.+))"
)
#: Where the name of the student may end there; several overlap.
_CUT = re.compile(r"(?<=.)(?=_\d+_(?:assignsubmission_[a-z]|file(?:_|$)|\d+_.))")
#: What browsers and Jupyter put behind the name of a second file, and what people do.
_COPY = re.compile(r"(.+?)(?: ?\((\d{1,4})\)|-Copy(\d{1,4}))")
_VERSION = re.compile(r"(.+?)[-_ ]v?(\d{1,3})")
_NOTEBOOK = re.compile(r"\.ipynb(\.txt|\.json)?$", re.IGNORECASE)
#: What people hand in instead of a notebook, in a folder where anything may lie.
_OTHER_WORK = re.compile(r"\.(py|pdf|html?|docx?|odt|rar|7z|gz)$", re.IGNORECASE)
#: Left behind by Jupyter, macOS, Windows and nbgrader.
_LITTER = re.compile(
    r"\.|(__MACOSX|Thumbs\.db|desktop\.ini|timestamp\.txt)$", re.IGNORECASE
)

UNCLEAR = (
    "It is not clear whose {} is: a student's name may end at more than one place in "
    "it. Graded under a name of its own; rename the file if it is somebody's."
)


@dataclass(frozen=True)
class HandedIn:
    """The file of a student that counts, None if there is none.

    Attributes:
        notes: sentences for the student about how it was chosen.
        platform: the number by which the learning platform knows the student.
        needs_person: why it is not sure whose it is, for the instructor.
    """

    student: str
    item: Item | None
    notes: tuple[str, ...]
    platform: str = ""
    needs_person: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Claim:
    """Whose a file is, as its place says.

    Attributes:
        lms: the number by which the learning platform knows the student.
        file: the name that the student gave to the file; empty for a folder.
        version: of two files the larger one counts.
        doubt: why it cannot be told whose it is.
    """

    item: Item
    name: str
    file: str
    version: tuple[float, ...]
    lms: str = ""
    doubt: str = ""


def by_student(
    items: list[Item], assignment: str, is_folder: bool, roster: Roster | None
) -> list[HandedIn]:
    """What each student handed in, whatever the layout.

    Args:
        is_folder: we look into a folder that was named to us; an archive may have
            other folders around the class.
        roster: who is in the class. Others are kept, under the name that they have.

    Students choose names, of themselves and of files. So nobody's work is replaced by
    that of somebody with another number on the platform, and where it is not sure
    whose a file is, it gets a name of its own and a person has to look.
    """
    claims = list(_claims(_cleared(items), assignment, is_folder, roster))
    found: list[HandedIn] = []
    known: dict[str, list[_Claim]] = defaultdict(list)
    unknown: dict[tuple[str, str], list[_Claim]] = defaultdict(list)
    for student, on_roster, claim in _told_apart(claims, roster):
        if on_roster:
            known[student].append(claim)
        else:
            unknown[student, claim.lms].append(claim)
    for student, own in known.items():
        found.append(_handed_in(student, own, assignment))
    taken = set(roster.students if roster else ())
    # Who can keep their name as it is comes first: nobody else takes it.
    order = sorted(unknown, key=lambda key: (_cleaned(key[0]) != key[0], key))
    for student, number in order:
        own = unknown[student, number]
        name = _as_folder_name(student, taken)
        taken.add(name)
        one = _handed_in(name, own, assignment)
        if roster is not None:
            note = (
                f"The name {listed([student])} is not on the list of the class; the "
                "work was graded under it all the same."
            )
            one = replace(one, notes=(*one.notes, note))
        found.append(one)
    return found


def _handed_in(student: str, own: list[_Claim], assignment: str) -> HandedIn:
    item, notes = latest(own, assignment)
    platform = next((claim.lms for claim in own if claim.lms), "")
    doubts = tuple(dict.fromkeys(claim.doubt for claim in own if claim.doubt))
    return HandedIn(student, item, notes, platform, doubts)


def notebook_inside(
    items: list[Item], assignment: str
) -> tuple[Item | None, tuple[str, ...]]:
    """The notebook in what one student handed in as an archive."""
    claims = [_in_own_folder(item, "", assignment) for item in _cleared(items)]
    return latest([c for c in claims if is_notebook(c.file)], assignment)


def is_litter(item: Item) -> bool:
    """Whether programs left it behind, and no student handed it in."""
    return any(map(_LITTER.match, item.parts))


def is_notebook(name: str) -> bool:
    return _NOTEBOOK.search(name) is not None


def latest(
    claims: list[_Claim], assignment: str
) -> tuple[Item | None, tuple[str, ...]]:
    """The file that counts, and what to say about the others."""
    files = [claim for claim in claims if claim.file]
    if not files:
        return None, ()
    fitting = (
        [claim for claim in files if is_notebook(claim.file)]
        or [claim for claim in files if is_archive(claim.file)]
        or files
    )
    sound = [claim for claim in fitting if not claim.item.problem] or fitting
    best = max(sound, key=lambda claim: (claim.version, claim.item.position))
    others = [claim.item for claim in fitting if claim is not best]
    if not others or not (is_notebook(best.file) or is_archive(best.file)):
        return best.item, ()
    ignored = listed(sorted({item.name for item in others}), most=5)
    return best.item, (
        f"More than one file was handed in; {listed([best.item.name])} counts, as the "
        f"latest or by its name, and {ignored} was not looked at.",
    )


# -- The place of a file --------------------------------------------------------------


def _cleared(items: Iterable[Item]) -> list[Item]:
    """Without litter, and with folders that are called like notebooks as such."""
    cleared: dict[tuple[object, ...], Item] = {}
    for item in items:
        if is_litter(item):
            continue
        for depth, part in enumerate(item.parts, 1):
            if is_notebook(part) and (depth < len(item.parts) or item.is_folder):
                problem = "is a folder, not a notebook"
                parts = item.parts[:depth]
                item = replace(item, parts=parts, problem=problem, is_folder=False)
                cleared.setdefault((parts,), item)
                break
        else:
            # An archive may have two members of one name.
            cleared[item.parts, item.position] = item
    return list(cleared.values())


def _claims(
    items: list[Item], assignment: str, is_folder: bool, roster: Roster | None
) -> Iterator[_Claim]:
    top = 0 if is_folder else _depth_of_class(items, assignment)
    # Where students have a folder for each assignment, the others are not looked at.
    many = any(
        item.parts[top + 1 : top + 2] == (assignment,)
        and (item.is_folder or len(item.parts) > top + 2)
        and not _platform(item.parts[top])
        for item in items
    )
    for item in items:
        parts = item.parts[top:]
        if not parts:
            continue
        in_folder = len(parts) > 1 or item.is_folder
        if match := _platform(parts[0], in_folder):
            claim = _in_own_folder(item, match["name"], assignment)
            if not match["lms"]:
                claim = replace(claim, doubt=UNCLEAR.format(listed([parts[0]])))
            if len(parts) == 1:
                upload = float(match.get("upload") or 0)
                number = _number(_stem(match["file"]))
                version = (upload, number, item.time)
                file = match["file"] or parts[0]
                claim = replace(claim, file=file, version=version)
                if item.is_folder:
                    claim = replace(claim, file="")
            yield replace(claim, lms=match["lms"])
        elif len(parts) == 1 and not item.is_folder:
            name = _without(assignment, _stem(parts[0]))
            if (
                is_notebook(parts[0])
                or is_archive(parts[0])
                or _OTHER_WORK.search(parts[0])
                or item.problem
                or (roster is not None and roster.find(name))
            ):
                yield _Claim(item, name, parts[0], (item.time,))
        elif many and len(parts) > 2 and parts[1] != assignment:
            yield _Claim(item, parts[0], "", ())
        else:
            yield _in_own_folder(item, parts[0], assignment)


def _in_own_folder(item: Item, name: str, assignment: str) -> _Claim:
    exact = item.name == f"{assignment}.ipynb"
    version = (float(exact), _number(_stem(item.name)), item.time)
    return _Claim(item, name, "" if item.is_folder else item.name, version)


def _platform(name: str, is_folder: bool = True) -> dict[str, str] | None:
    """The parts of a name that a platform has made; without a number if in doubt."""
    if is_folder and (match := _MOODLE.fullmatch(name)):
        return {**match.groupdict(), "file": "", "upload": ""}
    cuts = len(_CUT.findall(name))
    if cuts > 1 and not is_folder:
        # The student's own name ends at one of them, and the other is in their name or
        # in the file's, which are both of their choice.
        return {"name": _stem(name), "lms": "", "file": name, "upload": ""}
    if cuts == 1 and (match := _FLAT.fullmatch(name)):
        found = {key: value or "" for key, value in match.groupdict().items()}
        return {**found, "file": found["file"] or found["canvas"]}
    return None


def _depth_of_class(items: list[Item], assignment: str) -> int:
    """How many folders of an archive lie around the whole class."""
    notebook = f"{assignment}.ipynb"
    depth = 0
    while True:
        inner = [item for item in items if len(item.parts) > depth]
        tops = {item.parts[depth] for item in inner}
        loose = any(len(i.parts) == depth + 1 and not i.is_folder for i in inner)
        if loose or len(tops) != 1 or _platform(top := tops.pop()):
            return depth
        inside = {item.parts[depth + 1 :] for item in inner}
        if top != assignment and inside & {(notebook,), (assignment, notebook)}:
            return depth  # the folder of the only student
        depth += 1


# -- Names ----------------------------------------------------------------------------


def _told_apart(
    claims: list[_Claim], roster: Roster | None
) -> Iterator[tuple[str, bool, _Claim]]:
    """For each claim the student, and whether the roster knows them."""
    identified = []
    numbers: dict[str, set[str]] = defaultdict(set)
    spellings: dict[str, set[str]] = defaultdict(set)
    for claim in claims:
        student, on_roster, version = _identify(claim, roster)
        identified.append((student, on_roster, version, claim))
        numbers[student].add(claim.lms)
        if not claim.lms:
            spellings[unicodedata.normalize("NFC", claim.name)].add(claim.name)
    for student, on_roster, version, claim in identified:
        name, number, doubt = claim.name, claim.lms, claim.doubt
        claim = replace(claim, version=(version, *claim.version))
        sure = roster is not None and roster.by_number.get(number) == student
        others = numbers[student] - {number}
        theirs = roster.numbers_of(student) if roster and on_roster else set()
        if number and not sure and theirs:
            doubt = (
                f"{listed([name])} has the number {number} on the platform, and on "
                f"the roster {student} has another: graded under a name of its own."
            )
        elif number and not sure and others:
            doubt = (
                f"{listed([name])} was handed in from several numbers of the platform, "
                f"one of them {number}: each graded under a name of its own."
            )
        elif len(spellings[unicodedata.normalize("NFC", name)]) > 1 and not number:
            doubt = (
                f"The name {listed([name])} is there twice, and differs in the form of "
                "its Unicode characters alone: each graded for itself."
            )
            yield name, on_roster and name == student, replace(claim, doubt=doubt)
            continue
        if doubt != claim.doubt:
            yield f"{name}_{number}", False, replace(claim, doubt=doubt)
        else:
            yield student, on_roster, claim


def _identify(claim: _Claim, roster: Roster | None) -> tuple[str, bool, float]:
    """The student, whether the roster knows them, and the number of the version."""
    name = claim.name
    if claim.doubt:
        return name, False, 0.0
    if roster and (student := roster.find(name, claim.lms)):
        return student, True, 0.0
    if claim.lms:  # a person's name, and not a file's
        return name, False, 0.0
    for pattern in (_COPY, _VERSION):
        if match := pattern.fullmatch(name):
            version = _number(name)
            if roster and (student := roster.find(match[1])):
                return student, True, version
            # Without a roster, anna-2 may be somebody else than anna.
            if pattern is _COPY:
                return match[1], False, version
    return name, False, 0.0


def _number(stem: str) -> float:
    for pattern in (_COPY, _VERSION):
        if match := pattern.fullmatch(stem):
            return float(next(filter(None, match.groups()[1:]), 0))
    return 0.0


def _stem(name: str) -> str:
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    if is_notebook(name):
        return _NOTEBOOK.sub("", name)
    return name.rpartition(".")[0] or name


def _without(assignment: str, stem: str) -> str:
    """alice_3.1-self-attention is alice."""
    rest = stem.replace(assignment, "", 1).strip(" _-") if assignment else stem
    return rest or stem


def _cleaned(student: str) -> str:
    # Not brought to one Unicode form: two students would then have one name.
    name = re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff/\\:*?\"<>|]", "_", student)
    # No formula to a spreadsheet: nbgrader's export has no guard.
    return name.strip().lstrip(".-=+@＝＋－＠")[:100] or "unnamed"


def _as_folder_name(student: str, taken: set[str]) -> str:
    """A name that can be a file's, and nobody else's."""
    name = _cleaned(student)
    number, unique = 2, name
    while unique in taken:
        unique, number = f"{name}-{number}", number + 1
    return unique
