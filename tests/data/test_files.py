"""Files become documents, byte for byte, or the error says which and where."""

import pytest

from lmlib.data.files import read_files


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "b" / "two.md").write_bytes("二\r\n\r\n三\n \nfour\nfive\n".encode())
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\n")
    (tmp_path / "empty.txt").write_bytes(b" \n")
    (tmp_path / ".hidden.txt").write_bytes(b"hidden")
    (tmp_path / ".git" / "x.txt").write_bytes(b"hidden")
    (tmp_path / "image.png").write_bytes(b"\x89PNG")
    return tmp_path


def test_a_folder_is_its_files_in_order_of_name(folder):
    got = [(d.name, d.text) for d in read_files(folder)]
    assert got == [
        ("a.txt", "one\n"),
        ("b/two.md", "二\r\n\r\n三\n \nfour\nfive\n"),
    ]


def test_blocks_are_between_empty_lines(folder):
    got = [(d.name, d.text) for d in read_files(folder / "b", unit="block")]
    assert got == [("two.md:0", "二"), ("two.md:1", "三"), ("two.md:2", "four\nfive")]


def test_one_file(folder):
    (document,) = read_files(folder / "a.txt")
    assert (document.name, document.text) == ("a.txt", "one\n")


def test_what_is_not_utf8_is_refused_with_its_place(folder):
    (folder / "c.txt").write_bytes("好\n坏".encode("gb18030"))
    with pytest.raises(ValueError, match=r"c\.txt is not UTF-8 at byte 0, line 1"):
        read_files(folder)
    (folder / "c.txt").write_bytes(b"ok\nna\xefve")
    with pytest.raises(ValueError, match="at byte 5, line 2"):
        read_files(folder)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_byte_order_marks_say_the_encoding_and_are_no_text(folder, encoding):
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    (folder / "a.txt").write_bytes((mark + "好\r\nyes").encode(encoding))
    assert read_files(folder / "a.txt")[0].text == "好\r\nyes"
    (folder / "a.txt").write_bytes(b"\xff\xfea")
    with pytest.raises(ValueError, match="not the UTF-16 that it begins as"):
        read_files(folder / "a.txt")


def test_nothing_there(folder):
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        read_files(folder / "nowhere")
    with pytest.raises(FileNotFoundError, match="matches"):
        read_files(folder, patterns=["*.tex"])
    with pytest.raises(ValueError, match="no text"):
        read_files(folder / "empty.txt")
