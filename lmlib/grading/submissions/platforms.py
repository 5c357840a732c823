"""Whose is it: from the files of a class to one file for each student."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from lmlib.grading.submissions.archives import SUFFIXES, Item, is_archive
from lmlib.grading.submissions.notebooks import listed
from lmlib.grading.submissions.roster import Roster

#: Full Name_12345_assignsubmission_file_, with the student's file inside or behind.
_MOODLE = re.compile(
    r"(?P<name>.+?)_(?P<lms>\d+)_assignsubmission_[a-z]+_?(?P<file>.*)"
)
_MOODLE_SHORT = re.compile(r"(?P<name>[^_]+)_(?P<lms>\d+)_file_?(?P<file>.*)")
#: surnamegiven_LATE_12345_67890_filename-1.ipynb
_CANVAS = re.compile(
    r"(?P<name>[^_]+)_(?:LATE_)?(?P<lms>\d+)_(?P<upload>\d+)_(?P<file>.+)"
)
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


@dataclass(frozen=True)
class HandedIn:
    """The file of a student that counts, None if there is none.

    Attributes:
        notes: sentences for the student about how it was chosen.
    """

    student: str
    item: Item | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Claim:
    """Whose a file is, as its place says.

    Attributes:
        lms: the number by which the learning platform knows the student.
        file: the name that the student gave to the file; empty for a folder.
        version: of two files the larger one counts.
    """

    item: Item
    name: str
    file: str
    version: tuple[float, ...]
    lms: str = ""


def by_student(
    items: list[Item], assignment: str, is_folder: bool, roster: Roster | None
) -> list[HandedIn]:
    """What each student handed in, whatever the layout.

    Args:
        is_folder: we look into a folder that was named to us; an archive may have
            other folders around the class.
        roster: who is in the class. Others are kept, under the name that they have.
    """
    claims = list(_claims(_cleared(items), assignment, is_folder, roster))
    numbers = defaultdict(set)
    for claim in claims:
        numbers[claim.name].add(claim.lms)
    known: dict[str, list[_Claim]] = defaultdict(list)
    unknown: dict[str, list[_Claim]] = defaultdict(list)
    for claim in claims:
        student, on_roster, version = _identify(claim, roster)
        if not on_roster and len(numbers[claim.name]) > 1:
            student = f"{student}_{claim.lms}"
        claim = replace(claim, version=(version, *claim.version))
        (known if on_roster else unknown)[student].append(claim)
    found = [
        HandedIn(student, *latest(own, assignment)) for student, own in known.items()
    ]
    taken = set(roster.students if roster else ())
    for student, own in sorted(unknown.items()):
        item, notes = latest(own, assignment)
        if roster is not None:
            notes += (
                f"The name {listed([student])} is not on the list of the class; the "
                "work was graded under it all the same.",
            )
        name = _as_folder_name(student, taken)
        taken.add(name)
        found.append(HandedIn(name, item, notes))
    return found


def notebook_inside(
    items: list[Item], assignment: str
) -> tuple[Item | None, tuple[str, ...]]:
    """The notebook in what one student handed in as an archive."""
    claims = [_in_own_folder(item, "", assignment) for item in _cleared(items)]
    return latest([c for c in claims if is_notebook(c.file)], assignment)


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
        if any(map(_LITTER.match, item.parts)):
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
        if match := _platform(parts[0]):
            claim = _in_own_folder(item, match["name"], assignment)
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


def _platform(name: str) -> dict[str, str] | None:
    for pattern in (_MOODLE, _CANVAS, _MOODLE_SHORT):
        if match := pattern.fullmatch(name):
            return match.groupdict()
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


def _identify(claim: _Claim, roster: Roster | None) -> tuple[str, bool, float]:
    """The student, whether the roster knows them, and the number of the version."""
    name = claim.name
    if roster and (student := roster.find(name, claim.lms)):
        return student, True, 0.0
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


def _as_folder_name(student: str, taken: set[str]) -> str:
    """A name that can be a file's, and nobody else's."""
    name = unicodedata.normalize("NFC", student)
    name = re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff/\\:*?\"<>|]", "_", name)
    name = name.strip().lstrip(".-")[:100] or "unnamed"
    number, unique = 2, name
    while unique in taken:
        unique, number = f"{name}-{number}", number + 1
    return unique
