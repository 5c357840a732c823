"""Every way to hand in, honest, careless or hostile, ends as one Submission."""

import copy
import hashlib
import random

import pytest

from lmlib.grading.submissions import intake
from lmlib.grading.submissions.intake import NOTHING, collect
from tests.grading import sample_class
from tests.grading.submissions.samples import (
    ANSWERS,
    ASSIGNMENT,
    FLAT,
    NAME,
    NBGRADER,
    OTHER,
    RELEASED,
    WORK,
    all_of,
    answers,
    as_bytes,
    filled,
    lay,
    sources,
    tarred,
    zipped,
)


def test_an_honest_notebook_needs_no_repair(hand_in, source):
    submission = hand_in(filled())
    assert answers(submission) == ANSWERS
    assert submission.repairs == ()
    # Cell for cell the released notebook but for the answers.
    expected = [ANSWERS.get(c.id, c.source) for c in RELEASED.cells]
    assert sources(submission) == expected
    assert submission.path == "alice.ipynb"
    data = as_bytes(filled())
    assert submission.digest == hashlib.sha256(data).hexdigest()


def test_course_folder_is_looked_up_in_submitted(tmp_path, source):
    lay(tmp_path / "submitted", NBGRADER)
    lay(tmp_path / "source", {f"{ASSIGNMENT}/{NAME}": OTHER})
    found = all_of(tmp_path, source)
    assert list(found) == ["alice", "bob"]
    lay(tmp_path / "submitted", {f"submitted/{ASSIGNMENT}/{NAME}": WORK})
    for where in (tmp_path, tmp_path / "submitted"):
        assert list(all_of(where, source)) == ["alice", "bob", "submitted"]


def test_nothing_and_the_wrong_thing(tmp_path, source):
    files = {
        f"alice/{ASSIGNMENT}/{NAME}": WORK,
        f"bob/{ASSIGNMENT}": None,
        "carol/4.1-other/4.1-other.ipynb": WORK,
        f"dan/{ASSIGNMENT}/report.pdf": b"%PDF",
        f"erin/{ASSIGNMENT}/timestamp.txt": b"2024",
        "frank.pdf": b"%PDF",
        f"grace/{ASSIGNMENT}/{NAME}/x": b"x",
        "heidi.ipynb": None,
    }
    found = all_of(lay(tmp_path / "class", files), source)
    reasons = {student: submission.reason for student, submission in found.items()}
    assert reasons == {
        "alice": "",
        "bob": NOTHING,
        "carol": NOTHING,
        "dan": "`report.pdf` is not a notebook (.ipynb). Hand in the notebook "
        "itself, the file that ends in .ipynb.",
        "erin": NOTHING,
        "frank": "`frank.pdf` is not a notebook (.ipynb). Hand in the notebook "
        "itself, the file that ends in .ipynb.",
        "grace": f"`{NAME}` is a folder, not a notebook.",
        "heidi": "`heidi.ipynb` is a folder, not a notebook.",
    }


@pytest.mark.parametrize("name", ["nowhere", "file.txt", "empty.zip"])
def test_where_is_wrong(tmp_path, source, name):
    (tmp_path / "empty.zip").write_bytes(b"")
    (tmp_path / "file.txt").write_bytes(b"hello")
    if name != "empty.zip":
        with pytest.raises(ValueError, match="neither a folder nor an archive"):
            collect(tmp_path / name, ASSIGNMENT, source)
    else:
        (submission,) = all_of(tmp_path / name, source).values()
        assert submission.student == name
        assert submission.reason.startswith("The archive of the class is ")


ODD = [
    None,
    True,
    -1,
    10**400,
    1e308,
    "",
    "\ud800",
    [],
    {},
    [[]],
    [None],
    {"": {}},
    "x" * 99,
]


def mutate(value, rng: random.Random, places: list) -> None:
    """Changes one place in a tree of JSON."""
    container, key = rng.choice(places)
    action = rng.randrange(6)
    if action == 0:
        del container[key]
    elif action == 1:
        container[key] = rng.choice(ODD)
    elif action == 2:
        container[key] = copy.deepcopy(rng.choice(places)[0])
    elif action == 3 and isinstance(container, list):
        container.insert(
            rng.randrange(len(container) + 1), copy.deepcopy(container[key])
        )
    elif action == 4 and isinstance(container, list):
        rng.shuffle(container)
    elif isinstance(container, dict):
        container[rng.choice(["id", "source", "metadata", "x", "cell_type"])] = (
            rng.choice(ODD)
        )


def places_in(value, found: list) -> list:
    keys = range(len(value)) if isinstance(value, list) else list(value)
    for key in keys:
        found.append((value, key))
        if isinstance(value[key], dict | list):
            places_in(value[key], found)
    return found


def test_mutated_notebooks_never_raise(tmp_path, source):
    rng = random.Random(31)
    folder = tmp_path / "class"
    files = {}
    for number in range(250):
        notebook = filled()
        for _ in range(rng.choice([1, 1, 2, 5, 12])):
            if found := places_in(notebook, []):
                mutate(notebook, rng, found)
        files[f"s{number:03d}.ipynb"] = as_bytes(notebook)
    found = all_of(lay(folder, files), source)
    assert len(found) == len(files)
    good = [submission for submission in found.values() if submission.notebook]
    assert len(good) > 200
    for submission in good:
        names = [*answers(submission)]
        assert names == sample_class.EXERCISES
        # A cell is blank only where it was said.
        for name, text in answers(submission).items():
            if not text.strip():
                assert any(f"`{name}`" in said for said in submission.repairs)


def test_mutated_bytes_never_raise(tmp_path, source):
    rng = random.Random(32)
    packed = [zipped(FLAT), tarred(FLAT), tarred(FLAT, "w:gz"), WORK]
    files = {}
    for number in range(240):
        kind = number % len(packed)
        data = bytearray(packed[kind])
        for _ in range(rng.choice([1, 3, 20])):
            at = rng.randrange(len(data))
            if rng.random() < 0.5:  # headers lie at both ends
                at = rng.choice([at % 600, len(data) - 1 - at % 300])
            data[at] = rng.randrange(256)
        if rng.random() < 0.2:
            del data[rng.randrange(len(data)) :]
        suffix = [".zip", ".tar", ".tar.gz", ".ipynb"][kind]
        files[f"s{number:03d}{suffix}"] = bytes(data)
    found = all_of(lay(tmp_path / "class", files), source)
    assert len(found) == len(files)


def test_nothing_stumbles_unseen(hand_in, monkeypatch):
    """What `collect` cannot foresee costs one submission, and says so."""

    def broken(*_):
        raise RuntimeError

    monkeypatch.setattr(intake, "mend", broken)
    with pytest.raises(AssertionError):
        hand_in(WORK)
