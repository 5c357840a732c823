"""Tables that code makes, so that the numbers in a page cannot drift from it."""

import re
from collections.abc import Mapping, Sequence
from html import escape

_NUMBER = re.compile(r"[−+-]?[\d,.]+(e[+-]?\d+)?( ± [\d.]+)?( ?(×|%|[KMG]iB))?")


class Table:
    """Rows as a table: HTML in a notebook, aligned text elsewhere.

    Parameters:
        rows: one mapping from column heading to cell for each row; the first row's
            headings are the table's, in its order. Numbers are aligned to the right.

    Raises:
        ValueError: there is no row, or a row has other headings than the first.
    """

    def __init__(self, rows: Sequence[Mapping[str, object]]) -> None:
        if not rows or any(list(row) != list(rows[0]) for row in rows):
            raise ValueError("rows must not be empty, and all must have one heading")
        self.head = list(rows[0])
        self.body = [[str(cell) for cell in row.values()] for row in rows]
        self.right = [
            all(_NUMBER.fullmatch(cell) for cell in column if cell)
            for column in zip(*self.body, strict=True)
        ]

    def _repr_html_(self) -> str:
        def line(tag: str, cells: list[str]) -> str:
            styles = (
                ' style="text-align: right"' if right else "" for right in self.right
            )
            return "<tr>{}</tr>".format(
                "".join(
                    f"<{tag}{style}>{escape(cell)}</{tag}>"
                    for style, cell in zip(styles, cells, strict=True)
                )
            )

        head, body = (
            line("th", self.head),
            "".join(line("td", row) for row in self.body),
        )
        # The theme's own names: a wide table scrolls in its box, not with the page.
        return (
            '<div class="pst-scrollable-table-container"><table class="table">'
            f"<thead>{head}</thead><tbody>{body}</tbody></table></div>"
        )

    def __repr__(self) -> str:
        lines = [self.head, *self.body]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(cells, widths, self.right, strict=True)
            ).rstrip()
            for cells in lines
        )
