"""Which assignment is it: by the names of files and folders, else by the cells."""

from collections.abc import Callable, Iterable, Sequence

from lmlib.grading.submissions.archives import Item, Unreadable
from lmlib.grading.submissions.notebooks import Malformed, read_cells
from lmlib.grading.submissions.platforms import is_litter, is_notebook

CellsOf = Callable[[str], frozenset[str]]


def assignment_of(item: Item, names: Sequence[str], cells_of: CellsOf) -> str | None:
    """The assignment among `names` that a file is for, None if nothing tells.

    Args:
        cells_of: nbgrader's names of the cells of an assignment.
    """
    for part in reversed(item.parts):
        if named := [name for name in names if name in part]:
            return max(named, key=len)
    if item.is_folder or item.problem or not is_notebook(item.name):
        return None
    try:
        found = {cell.grade_id for cell in read_cells(item.read())[0]}
    except (Malformed, Unreadable):
        return None
    # Some names (of the imports, say) are those of every assignment.
    shared = sorted((len(found & cells_of(name)), name) for name in names)
    best, name = shared[-1]
    others = max((count for count, _ in shared[:-1]), default=0)
    return name if best > others else None


def assignments_in(
    items: Iterable[Item], names: Sequence[str], cells_of: CellsOf
) -> tuple[list[str], list[Item]]:
    """The assignments that the files are for, in the order of `names`, and the rest.

    The rest are files of which nothing tells it: not a notebook, or one without the
    names of its cells.
    """
    found, rest = set(), []
    for item in items:
        if item.is_folder or is_litter(item):
            continue
        name = assignment_of(item, names, cells_of)
        if name is None:
            rest.append(item)
        else:
            found.add(name)
    return [name for name in names if name in found], rest
