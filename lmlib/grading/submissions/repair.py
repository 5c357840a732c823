"""A student's cells put back into the form of the assignment.

What is graded: the student's answer cells and whatever cells they added, between the
assignment's own locked and test cells. An answer is found by nbgrader's name for the
cell, else by the cell's id, else by the names it defines, else by its place. Whatever
had to be decided on the way is said in a sentence for the student.
"""

import copy
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import nbformat
from nbformat import NotebookNode

from lmlib.grading.submissions.notebooks import MAX_TEXT, Cell, Malformed, listed

_DEFINITION = re.compile(
    r"^(?:(?:async +)?def|class) +(\w+)|^(\w+) *(?::[^=\n]+)?=(?!=)", re.MULTILINE
)
_RUNS_THE_REST = re.compile(r"\s*%%(?:time|capture|prun)\b.*\n")

_BEGINS_INSIDE = re.compile(r"(?:[ \t]*\n)*(?:[ \t]+\S|[)\]}])")
_ENDS_INSIDE = re.compile(r"[ \t]|.*[:,(\[{\\]$")


@dataclass
class Part:
    """A cell of the assignment that nbgrader knows.

    Attributes:
        released: what the student was given.
        defines: the top-level names in it, by which an answer can be recognised.
    """

    cell: NotebookNode
    is_answer: bool
    released: str = field(init=False)
    defines: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self.released = tidy(self.cell.source)
        self.defines = defined(self.released)


class Assignment:
    """What was handed out, as nbgrader makes it from the instructor's notebook."""

    def __init__(self, source: NotebookNode) -> None:
        from nbgrader.preprocessors import ClearHiddenTests, ClearSolutions  # slow

        released = copy.deepcopy(source)
        for preprocessor in (ClearSolutions(), ClearHiddenTests()):
            released, _ = preprocessor.preprocess(released, {})
        self.metadata = released.metadata
        self.parts = {
            cell.metadata.nbgrader.grade_id: Part(
                cell, bool(cell.metadata.nbgrader.get("solution"))
            )
            for cell in released.cells
            if "nbgrader" in cell.metadata
        }
        self.answers = [name for name, part in self.parts.items() if part.is_answer]
        self.by_id = {part.cell.id: name for name, part in self.parts.items()}
        self.by_text = {
            (part.cell.cell_type, part.released): name
            for name, part in self.parts.items()
            if part.released
        }


def tidy(text: str) -> str:
    """Text without what editors change on their own."""
    return "\n".join(line.rstrip() for line in text.strip("\n").split("\n")).rstrip()


def last_line(text: str) -> str:
    return text.rstrip().rpartition("\n")[2]


def run_code(text: str) -> str:
    """What of a cell runs among the notebook's names.

    All but a first line such as `%%time`; nothing where that line is `%%writefile` or
    another magic that does something else with the rest.
    """
    while begins := _RUNS_THE_REST.match(text):
        text = text[begins.end() :]
    return "" if text.lstrip().startswith("%%") else text


def defined(text: str) -> set[str]:
    """Names that are defined at the top level; the text need not be valid Python."""
    found = _DEFINITION.findall(run_code(text))
    return {function or name for function, name in found}


def mend(cells: list[Cell], assignment: Assignment) -> tuple[NotebookNode, list[str]]:
    """The notebook to be graded, and what was mended in it.

    Returns:
        A valid notebook of format 4.5 with all cells of the assignment in its order.
        The locked ones are the assignment's, without hidden tests; the answers are the
        student's, empty where there is none; the cells that the student added follow
        the cells that they followed.

    Raises:
        Malformed: no answer cell of the assignment was found.
    """
    return _Mending(cells, assignment).result()


class _Mending:
    def __init__(self, cells: list[Cell], assignment: Assignment) -> None:
        self.cells = cells
        self.assignment = assignment
        self.repairs: list[str] = []
        #: Which part of the assignment each of the student's cells is, if any.
        self.part_of: dict[int, str] = {}
        #: The student's answers: the cell, and its text.
        self.chosen: dict[str, int] = {}
        self.text: dict[str, str] = {}

    def result(self) -> tuple[NotebookNode, list[str]]:
        self._recognise()
        self._join_split_cells()
        self._choose()
        self._look_elsewhere()
        if self.assignment.answers and not self.text:
            raise Malformed(
                "None of the answer cells of this assignment is in the notebook. It "
                "may be the notebook of another assignment."
            )
        self._report_missing_and_locked()
        return self._build(), self.repairs

    def _changed(self, i: int, name: str) -> bool:
        """Whether the student wrote anything into the cell."""
        text = tidy(self.cells[i].source)
        return bool(text.strip()) and text != self.assignment.parts[name].released

    # -- Which cell is which ----------------------------------------------------------

    def _recognise(self) -> None:
        parts = self.assignment.parts
        for i, cell in enumerate(self.cells):
            if cell.grade_id is not None and cell.grade_id in parts:
                self.part_of[i] = cell.grade_id
        by_name = set(self.part_of.values())
        self._recognise_rest("its id", self._by_id(by_name))
        self._recognise_rest("its text", self._by_text())
        self._recognise_rest("the names that it defines", self._by_definition())
        self._recognise_rest("its place", self._by_place())

    def _recognise_rest(self, how: str, found: dict[int, str]) -> None:
        self.part_of |= found
        names = list(dict.fromkeys(found.values()))
        answers = [name for name in names if self.assignment.parts[name].is_answer]
        if len(answers) == 1:
            self.repairs.append(
                f"The cell {listed(answers)} had lost the name that nbgrader gives it, "
                f"and was recognised by {how}."
            )
        elif answers:
            self.repairs.append(
                f"The cells {listed(answers)} had lost the names that nbgrader gives "
                f"them; each was recognised by {how}."
            )

    def _free(self) -> list[int]:
        return [i for i in range(len(self.cells)) if i not in self.part_of]

    def _by_id(self, taken: set[str]) -> dict[int, str]:
        ids = self.assignment.by_id
        found = {i: ids.get(self.cells[i].id or "", "") for i in self._free()}
        return {i: name for i, name in found.items() if name and name not in taken}

    def _by_text(self) -> dict[int, str]:
        taken = set(self.part_of.values())
        found = {}
        for i in self._free():
            cell = self.cells[i]
            name = self.assignment.by_text.get((cell.kind, tidy(cell.source)))
            if name and name not in taken:
                found[i] = name
        return found

    def _wanted(self) -> list[str]:
        taken = set(self.part_of.values())
        return [name for name in self.assignment.answers if name not in taken]

    def _by_definition(self) -> dict[int, str]:
        found = {}
        wanted = self._wanted()
        for i in self._free():
            if self.cells[i].kind == "code":
                names = defined(self.cells[i].source)
                for name in wanted:
                    if names & self.assignment.parts[name].defines:
                        found[i] = name
                        break
        return found

    def _by_place(self) -> dict[int, str]:
        """The only cell between the neighbours of an answer is the answer."""
        order = list(self.assignment.parts)
        first = {name: i for i, name in sorted(self.part_of.items(), reverse=True)}
        found: dict[int, str] = {}
        for name in self._wanted():
            rank = order.index(name)
            before = [first[n] for n in order[:rank] if n in first]
            after = [first[n] for n in order[rank + 1 :] if n in first]
            if not before or not after:
                continue
            kind = self.assignment.parts[name].cell.cell_type
            between = [
                i
                for i in range(before[-1] + 1, after[0])
                if i not in self.part_of
                and self.cells[i].kind == kind
                and self.cells[i].source.strip()
            ]
            if len(between) == 1:
                found[between[0]] = name
        return found

    # -- Which of several, and with what ----------------------------------------------

    def _join_split_cells(self) -> None:
        """Sews an answer together that was cut inside a function."""
        sewn = set()
        kept: list[int] = []
        for i, cell in enumerate(self.cells):
            name = self.part_of.get(i)
            before = self.part_of.get(kept[-1]) if kept else None
            if (
                before is not None
                and self.assignment.parts[before].is_answer
                and name in (None, before)
                and cell.kind == "code" == self.cells[kept[-1]].kind
                and len(cell.source) + len(self.cells[kept[-1]].source) <= MAX_TEXT
                and _BEGINS_INSIDE.match(cell.source)
                and _ENDS_INSIDE.match(last_line(self.cells[kept[-1]].source))
            ):
                head = self.cells[kept[-1]]
                head.source = head.source.rstrip("\n") + "\n" + cell.source
                sewn.add(before)
            else:
                kept.append(i)
        if sewn:
            self.part_of = {
                new: self.part_of[old]
                for new, old in enumerate(kept)
                if old in self.part_of
            }
            self.cells = [self.cells[i] for i in kept]
            self._say(
                sewn, "had been split in the middle of its code and was joined again"
            )

    def _choose(self) -> None:
        copies = defaultdict(list)
        for i, name in sorted(self.part_of.items()):
            if self.assignment.parts[name].is_answer:
                copies[name].append(i)
        several, retyped = [], []
        for name, found in copies.items():
            part = self.assignment.parts[name]
            written = [i for i in found if self._changed(i, name)]
            right = [i for i in written if part.defines & defined(self.cells[i].source)]
            filled = [i for i in found if self.cells[i].source.strip()]
            best = (right or written or filled or found)[-1]
            self.chosen[name] = best
            self.text[name] = self.cells[best].source
            if len(found) > 1:
                several.append(name)
            if self.cells[best].kind != part.cell.cell_type:
                retyped.append(name)
            for i in found:
                if i != best and i in written:
                    del self.part_of[i]  # stays, as a cell that the student added
        self._say(
            several,
            "was there more than once; the last one that you wrote in counts, and the "
            "others were run as ordinary cells",
        )
        self._say(
            retyped,
            "had been turned into another type of cell; it was read all the same",
        )

    def _look_elsewhere(self) -> None:
        """An answer that was written into another cell counts where it belongs."""
        moved = {}
        texts = [tidy(cell.source) for cell in self.cells]
        names = [
            defined(cell.source) if cell.kind == "code" else set()
            for cell in self.cells
        ]
        for name in self.assignment.answers:
            part = self.assignment.parts[name]
            own = self.text.get(name, "")
            written = bool(own.strip()) and tidy(own) != part.released
            if not part.defines or (written and part.defines & defined(own)):
                continue
            for i in reversed(range(len(self.cells))):
                there, source = self.part_of.get(i), self.cells[i].source
                released = there and self.assignment.parts[there].released
                if (
                    there != name
                    and part.defines & names[i]
                    and texts[i] not in (released, part.released)
                ):
                    kept = written and run_code(own)
                    moved[name] = f"{own}\n\n{run_code(source)}" if kept else source
                    break
        self.text |= moved
        self._say(
            moved,
            "did not hold its answer, which was found in another cell and put there",
        )

    # -- What is said -----------------------------------------------------------------

    def _say(self, names: Iterable[str], what: str) -> None:
        for name in sorted(names, key=list(self.assignment.parts).index):
            self.repairs.append(f"The cell {listed([name])} {what}.")

    def _report_missing_and_locked(self) -> None:
        parts = self.assignment.parts
        missing = [name for name in self.assignment.answers if name not in self.text]
        self._say(missing, "was not in the notebook, so there is no answer to grade")
        empty = [name for name, text in self.text.items() if not text.strip()]
        self._say(empty, "was empty, so there is no answer to grade")
        locked = defaultdict(list)
        for i, name in self.part_of.items():
            if not parts[name].is_answer:
                locked[name].append(tidy(self.cells[i].source))
        edited = [n for n, texts in locked.items() if set(texts) != {parts[n].released}]
        if edited:
            self.repairs.append(
                f"Changes to locked cells do not count; {listed(edited)} "
                f"{'was' if len(edited) == 1 else 'were'} taken from the assignment."
            )
        deleted = [
            name
            for name, part in parts.items()
            if not part.is_answer
            and part.cell.cell_type == "code"
            and name not in locked
        ]
        if deleted:
            self.repairs.append(
                f"Locked cells were missing and were put back: {listed(deleted)}."
            )

    # -- The notebook -----------------------------------------------------------------

    def _build(self) -> NotebookNode:
        parts = self.assignment.parts
        added: dict[str, list[Cell]] = defaultdict(list)
        order: list[str] = []
        after = ""
        for i, cell in enumerate(self.cells):
            name = self.part_of.get(i)
            if name is None:
                added[after].append(cell)
            elif not parts[name].is_answer or self.chosen[name] == i:
                after = name
                if name not in order:
                    order.append(name)
        if order != sorted(order, key=list(parts).index):
            self.repairs.append(
                "The cells were in another order; they were run in the order of the "
                "assignment."
            )
        cells: list[NotebookNode] = []
        for cell in added[""]:
            cells.append(_added(cell, len(cells)))
        for name, part in parts.items():
            kept = copy.deepcopy(part.cell)
            if part.is_answer:
                kept.source = self.text.get(name, "")
            cells.append(kept)
            for cell in added[name]:
                cells.append(_added(cell, len(cells)))
        notebook = nbformat.v4.new_notebook(
            cells=cells, metadata=copy.deepcopy(self.assignment.metadata)
        )
        notebook.nbformat_minor = 5
        nbformat.validate(notebook)
        return notebook


def _added(cell: Cell, position: int) -> NotebookNode:
    new = {
        "code": nbformat.v4.new_code_cell,
        "markdown": nbformat.v4.new_markdown_cell,
        "raw": nbformat.v4.new_raw_cell,
    }[cell.kind]
    return new(cell.source, id=f"added-{position}")  # type: ignore[no-untyped-call]
