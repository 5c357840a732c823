"""Whose is it: from the files of a class to one file for each student."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from lmlib.grading.submissions.archives import (
    ESCAPES,
    SUFFIXES,
    Item,
    Unreadable,
    is_archive,
)
from lmlib.grading.submissions.gradescope import (
    EXPORT,
    FOLDER,
    METADATA,
    Handed,
    read_metadata,
)
from lmlib.grading.submissions.identities import (
    Claim,
    as_folder_name,
    cleaned,
    number_of,
    told_apart,
)
from lmlib.grading.submissions.notebooks import listed
from lmlib.grading.submissions.roster import Roster, plain

#: Full Name_12345_assignsubmission_file_, a folder of Moodle's. Students choose the
#: name that they show, and the platform adds the rest: so the last number counts. (See
#: its mod/assign/classes/downloader.php. Where students work in groups, Moodle before
#: 4.1 puts the group's name and a hyphen before theirs; later ones put the group's name
#: and number in the place of the student's: see `_groups`.)
_MOODLE = re.compile(r"(?P<name>.+)_(?P<lms>\d+)_(?:assignsubmission_[a-z]+|file)_?")
#: Those who are in no group hand in as one of that name, which has no number.
_DEFAULT = re.compile(r"(?P<name>[^_]+)_assignsubmission_[a-z]+(?:_(?P<file>.*))?")
#: The same with the student's file behind it; and Canvas's (lib/content_zipper.rb)
#: surnamegiven_LATE_12345_67890_filename-1.ipynb, and ..._12345_link.html or _text.html
#: where a link or a text was handed in.
_FLAT = re.compile(
    r"(?P<name>.+?)_(?P<late>LATE_)?(?P<lms>\d+)_"
    r"(?:(?:assignsubmission_[a-z]+|file)(?:_(?P<file>.*))?"
    r"|(?P<upload>\d+)_(?P<canvas>.+)|(?P<web>(?:link|text)\.html))"
)
#: Canvas's where graders must not know the names: LATE_anon_x7Kq2_67890_filename.ipynb.
_ANONYMOUS = re.compile(
    r"(?P<late>LATE_)?anon_(?P<lms>[A-Za-z0-9]+)_"
    r"(?:(?P<upload>\d+)_(?P<canvas>.+)|(?P<web>(?:link|text)\.html))"
)
#: Where the name of the student may end there; several overlap.
_CUT = re.compile(
    r"(?<=.)"
    r"(?=_\d+_(?:assignsubmission_[a-z]|file(?:_|$)|\d+_.|(?:link|text)\.html$))"
)
_NOTEBOOK = re.compile(r"\.ipynb(\.txt|\.json)?$", re.IGNORECASE)
#: What people hand in instead of a notebook, in a folder where anything may lie.
_OTHER_WORK = re.compile(r"\.(py|pdf|html?|docx?|odt|rar|7z|gz)$", re.IGNORECASE)
#: When it was handed in, as nbgrader's exchange notes it beside the notebook.
CLOCK = "timestamp.txt"
#: Left behind by Jupyter, git, macOS, Windows, nbgrader and Gradescope.
_LITTER = re.compile(
    r"\.|(__MACOSX|Thumbs\.db|desktop\.ini|timestamp\.txt|submission_metadata\.yml)$",
    re.IGNORECASE,
)

UNCLEAR = (
    "It is not clear whose {} is: a student's name may end at more than one place in "
    "it. Graded under a name of its own; rename the file if it is somebody's."
)
NAMELESS = (
    "{} is a folder of Gradescope's, and nothing tells whose: "
    f"{METADATA}, at the top of the export, is missing or does not name it. Give the "
    "whole export, as it was downloaded."
)
GROUP = (
    "{} has the name of a group, as Moodle writes it, and nothing tells who is in it: "
    "graded under that name. Give a roster with the column `group`, or as the roster "
    "Moodle's grading worksheet of this assignment, which has it."
)
OUTSIDE = "It is not clear whose {} is: its name leads out of the archive."


@dataclass(frozen=True)
class HandedIn:
    """The file of a student that counts, None if there is none.

    Attributes:
        notes: sentences for the student about how it was chosen.
        platform: the number by which the learning platform knows the student.
        needs_person: why it is not sure whose it is, for the instructor.
        clock, time, late, group: see `Claim`.
    """

    student: str
    item: Item | None
    notes: tuple[str, ...]
    platform: str = ""
    needs_person: tuple[str, ...] = ()
    clock: Item | None = None
    time: datetime | None = None
    late: bool | None = None
    group: str = ""


def by_student(
    items: list[Item], assignment: str, is_folder: bool, roster: Roster | None
) -> list[HandedIn]:
    """What each student handed in, whatever the layout.

    Args:
        is_folder: we look into a folder that was named to us; an archive may have
            other folders around the class.
        roster: who is in the class. Others are kept, under the name that they have.

    Nobody's work is replaced by that of somebody with another number on the platform,
    and where it is not sure whose a file is, it gets a name of its own (`told_apart`).
    """
    claims = list(_claims(items, assignment, is_folder, roster))
    inside = {claim.name for claim in claims if claim.item.problem != ESCAPES}
    for at, claim in enumerate(claims):
        item = claim.item
        if item.problem == ESCAPES and claim.name not in inside:
            doubt = OUTSIDE.format(listed([item.path]))
            file = "" if item.is_folder else item.name
            claims[at] = Claim(item, "_".join(item.parts), file, (), doubt=doubt)
    claims = [c for c in claims if c.item.problem != ESCAPES or c.file]
    found: list[HandedIn] = []
    known: dict[str, list[Claim]] = defaultdict(list)
    unknown: dict[tuple[str, str], list[Claim]] = defaultdict(list)
    for student, on_roster, claim in told_apart(claims, roster):
        if on_roster:
            known[student].append(claim)
        else:
            unknown[student, claim.lms].append(claim)
    for student, own in known.items():
        found.append(_handed_in(student, own, assignment))
    taken = set(roster.students if roster else ())
    # Who can keep their name as it is comes first: nobody else takes it.
    order = sorted(unknown, key=lambda key: (cleaned(key[0]) != key[0], key))
    for student, number in order:
        own = unknown[student, number]
        name = as_folder_name(student, taken)
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


def _handed_in(student: str, own: list[Claim], assignment: str) -> HandedIn:
    item, notes = latest(own, assignment)
    platform = next((claim.lms for claim in own if claim.lms), "")
    doubts = tuple(dict.fromkeys(claim.doubt for claim in own if claim.doubt))
    chosen = next((claim for claim in own if claim.item is item), own[0])
    of_item = (chosen.clock, chosen.time, chosen.late, chosen.group) if item else ()
    return HandedIn(student, item, notes, platform, doubts, *of_item)


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


def latest(claims: list[Claim], assignment: str) -> tuple[Item | None, tuple[str, ...]]:
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
    found: list[Item], assignment: str, is_folder: bool, roster: Roster | None
) -> Iterator[Claim]:
    clocks = {i.parts[:-1]: i for i in found if i.name == CLOCK and not i.is_folder}
    items = _cleared(found)
    sound = [item for item in items if item.problem != ESCAPES]
    if is_folder:  # the class lies in it, or the export of Gradescope
        tops = {item.parts[0] for item in sound}
        top = int(len(tops) == 1 and EXPORT.fullmatch(tops.pop()) is not None)
    else:
        top = _depth_of_class(sound, assignment)
    uploads = _of_gradescope(found, top)
    slug = _slug(found, top, roster)
    # Where students have a folder for each assignment, the others are not looked at.
    many = any(
        item.parts[top + 1 : top + 2] == (assignment,)
        and (item.is_folder or len(item.parts) > top + 2)
        and not _platform(item.parts[top])
        for item in sound
    )
    tops = {item.parts[top] for item in sound if len(item.parts) > top}
    shown = [match for name in tops if (match := _platform(name))]
    groups = _groups([match for match in shown if match["moodle"]], roster)
    grouped = all("-" in match["name"] for match in shown if match["moodle"])
    for item in items:
        parts = item.parts[top:]
        if not parts:  # a folder around the class
            continue
        in_folder = len(parts) > 1 or item.is_folder
        if match := _platform(parts[0], in_folder):
            claim = _in_own_folder(item, match["name"], assignment)
            group = match["name"] if match["moodle"] else ""
            if not match["lms"] and group not in groups:
                claim = replace(claim, doubt=UNCLEAR.format(listed([parts[0]])))
            if len(parts) == 1:
                upload = float(match.get("upload") or 0)
                number = number_of(_stem(match["file"]))
                version = (upload, number, item.time)
                file = match["file"] or parts[0]
                claim = replace(claim, file=file, version=version)
                if item.is_folder:
                    claim = replace(claim, file="")
            if match["canvas"] or match["web"]:  # it marks all that are late
                claim = replace(claim, late=bool(match["late"]))
            if group in groups:
                if not groups[group] or roster is None:
                    doubt = GROUP.format(listed([parts[0]]))
                    yield replace(claim, lms=match["lms"], doubt=doubt)
                    continue
                for student in groups[group]:
                    own = replace(claim, name=student, group=group)
                    if numbers := roster.numbers_of(student):
                        yield replace(own, lms=min(numbers))
                    else:
                        yield replace(own, lms=student, ids=(student,))
                continue
            if match["moodle"] and grouped:
                cuts = re.finditer("-", match["name"])
                may_be = tuple(match["name"][cut.end() :] for cut in cuts)
                claim = replace(claim, may_be=may_be)
            yield replace(claim, lms=match["lms"])
        elif in_folder and FOLDER.fullmatch(parts[0]):
            claim = _in_own_folder(item, parts[0], assignment)
            if parts[0] not in uploads:
                yield replace(claim, doubt=NAMELESS.format(listed([parts[0]])))
                continue
            submitters = uploads[parts[0]].submitters
            claim = replace(claim, group=parts[0] if len(submitters) > 1 else "")
            for who in submitters:
                ids = tuple(filter(None, (who.sid, who.email))) or (parts[0],)
                time = uploads[parts[0]].time
                yield replace(claim, name=who.name, lms=ids[0], ids=ids, time=time)
        elif len(parts) == 1 and not item.is_folder:
            name = _without(assignment, _stem(parts[0]))
            if (
                is_notebook(parts[0])
                or is_archive(parts[0])
                or _OTHER_WORK.search(parts[0])
                or item.problem
                or (roster is not None and roster.find(name))
            ):
                yield Claim(item, name, parts[0], (item.time,))
        elif many and len(parts) > 2 and parts[1] != assignment:
            yield Claim(item, parts[0], "", ())
        elif many:  # elsewhere, what tells the time may be of the student's making
            claim = _in_own_folder(item, parts[0], assignment)
            yield replace(claim, clock=clocks.get(item.parts[: top + 2]))
        else:
            name = parts[0].removeprefix(slug)
            yield _in_own_folder(item, _without(assignment, name), assignment)


def _in_own_folder(item: Item, name: str, assignment: str) -> Claim:
    exact = item.name == f"{assignment}.ipynb"
    version = (float(exact), number_of(_stem(item.name)), item.time)
    return Claim(item, name, "" if item.is_folder else item.name, version)


def _platform(name: str, is_folder: bool = True) -> dict[str, str] | None:
    """The parts of a name that a platform has made; without a number if in doubt."""
    parts = dict.fromkeys(
        ("name", "late", "lms", "file", "upload", "canvas", "web", "moodle"), ""
    )

    def of(match: re.Match[str]) -> dict[str, str]:
        found = parts | {key: value or "" for key, value in match.groupdict().items()}
        found["file"] = found["file"] or found["canvas"] or found["web"]
        is_canvas = found["canvas"] or found["web"]
        return found | {"moodle": "" if is_canvas else "yes"}

    if is_folder and (match := _MOODLE.fullmatch(name)):
        return of(match)
    cuts = len(_CUT.findall(name))
    anonymous = None if is_folder else _ANONYMOUS.fullmatch(name)
    if anonymous and cuts <= anonymous["lms"].isdigit():
        found = of(anonymous)
        return found | {"name": found["lms"]}
    if not is_folder and (cuts > 1 or anonymous):
        # The student's own name ends at one of them, and the other is in their name or
        # in the file's, which are both of their choice.
        return parts | {"name": _stem(name), "file": name}
    if cuts == 1 and (match := _FLAT.fullmatch(name)):
        return of(match)
    if not cuts and (match := _DEFAULT.fullmatch(name)):
        return of(match)
    return None


def _groups(
    shown: list[dict[str, str]], roster: Roster | None
) -> Mapping[str, tuple[str, ...]]:
    """Who is in each group that has handed in; () where nothing tells.

    A download of Moodle's is of groups or of students. Students show the names that
    they choose, but not all of them at once that of a group: so it is of groups if all
    names are a group's on the roster, or if none is a student's and most numbers are
    unknown as well.
    """
    names = {match["name"] for match in shown}
    default: Mapping[str, tuple[str, ...]] = {
        match["name"]: () for match in shown if not match["lms"]
    }
    if roster is None:
        return default
    # Two groups of one name are told apart by nothing that the roster has.
    several = Counter(name for name, _ in {(m["name"], m["lms"]) for m in shown})
    told = {n: roster.in_group(n) if several[n] == 1 else () for n in names}
    if names and all(who or name in default for name, who in told.items()):
        return told

    def is_student(name: str) -> bool:
        ends = [name, *(name[cut.end() :] for cut in re.finditer("-", name))]
        return any(roster.find(end) or roster.is_shared(end) for end in ends)

    known = sum(match["lms"] in roster.by_number for match in shown)
    has_names = any(who.last_name or who.first_name for who in roster.people.values())
    unknown = has_names and len(names) > 1 and 2 * known < len(shown)
    return told if unknown and not any(map(is_student, names)) else default


def _of_gradescope(found: list[Item], top: int) -> Mapping[str, Handed]:
    """What its export says of its folders, nothing if this is none.

    Only that of the folder around all others is Gradescope's own; a student may have
    handed in a file of that name.
    """
    for item in found:
        *above, name = item.parts
        if name == METADATA and len(above) == top and not item.problem:
            try:
                if not above or EXPORT.fullmatch(above[-1]):
                    return read_metadata(item.read())
            except (Unreadable, ValueError):
                pass
    return {}


def _slug(found: list[Item], top: int, roster: Roster | None) -> str:
    """What GitHub Classroom puts before all logins in the names of repositories.

    (gh-classroom, clone/student-repos: the assignment's name there, in words and
    hyphens, so that both it and a login may hold more of them.)
    """
    git = {i.parts[top] for i in found if i.parts[top + 1 : top + 2] == (".git",)}
    best, most = "", 0
    if roster is None or len(git) < 2:
        return best
    for cut in re.finditer("-", min(git)):
        slug = min(git)[: cut.end()]
        if all(name.startswith(slug) for name in git):
            known = sum(
                roster.find(name.removeprefix(slug)) is not None for name in git
            )
            best, most = max((best, most), (slug, known), key=lambda pair: pair[1])
    return best


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
        if FOLDER.fullmatch(top):
            return depth
        inside = {item.parts[depth + 1 :] for item in inner}
        if top != assignment and inside & {(notebook,), (assignment, notebook)}:
            return depth  # the folder of the only student
        depth += 1


def _stem(name: str) -> str:
    for suffix in SUFFIXES:
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    if is_notebook(name):
        return _NOTEBOOK.sub("", name)
    return name.rpartition(".")[0] or name


def _without(assignment: str, stem: str) -> str:
    """alice_3.1-self-attention is alice, and so is 3-1-self-attention-alice."""
    rest = stem.replace(assignment, "", 1).strip(" _-") if assignment else stem
    if rest == stem:
        for cut in re.finditer("[ _-]", stem):
            if plain(stem[: cut.start()]) == plain(assignment):
                rest = stem[cut.end() :]
    return rest or stem
