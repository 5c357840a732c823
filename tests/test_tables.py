import pytest

from lmlib.tables import Table


def test_text_is_aligned_numbers_to_the_right() -> None:
    table = Table([{"name": "a", "n": 5}, {"name": "long", "n": "1,024"}])
    assert repr(table) == "name      n\na         5\nlong  1,024"


def test_html_escapes_and_aligns() -> None:
    html = Table([{"<a>": "x & y", "n": 1.5}])._repr_html_()
    assert "<th>&lt;a&gt;</th>" in html
    assert "<td>x &amp; y</td>" in html
    assert '<td style="text-align: right">1.5</td>' in html


@pytest.mark.parametrize("rows", [[], [{"a": 1}, {"b": 1}], [{"a": 1}, {}]])
def test_rows_that_make_no_table(rows: list[dict[str, object]]) -> None:
    with pytest.raises(ValueError, match="heading"):
        Table(rows)
