"""Files and archives that are traps cost their owner alone."""

import base64
import gzip
import io
import lzma
import os
import random
import socket
import stat
import struct
import tarfile
import zipfile
from pathlib import Path
from zlib import crc32

import pytest

from lmlib.grading.submissions import archives
from lmlib.grading.submissions.intake import NOTHING, collect
from tests.grading.submissions.samples import (
    ANSWERS,
    ASSIGNMENT,
    FLAT,
    OTHER,
    WORK,
    all_of,
    answers,
    lay,
    special,
    tarred,
    zipped,
)

# -- Hostile files --------------------------------------------------------------------


def test_links_fifos_sockets_and_large_files(tmp_path, source, monkeypatch):
    secret = tmp_path / "secret.ipynb"
    secret.write_bytes(WORK)
    folder = lay(tmp_path / "class", {"honest.ipynb": WORK, "zero.ipynb": b""})
    (folder / "link.ipynb").symlink_to(secret)
    (folder / "dangling.ipynb").symlink_to(tmp_path / "nowhere")
    (folder / "loop.ipynb").symlink_to(folder / "loop.ipynb")
    (folder / "linked").symlink_to(tmp_path, target_is_directory=True)
    lay(folder, {"inner/x.txt": b"x"})
    (folder / "inner" / ASSIGNMENT).symlink_to(tmp_path, target_is_directory=True)
    os.mkfifo(folder / "fifo.ipynb")
    (folder / "device.ipynb").symlink_to("/dev/zero")
    server = socket.socket(socket.AF_UNIX)
    monkeypatch.chdir(folder)  # the name of a socket must be short
    server.bind("socket.ipynb")
    with (folder / "large.ipynb").open("wb") as file:
        file.truncate(200 << 20)
    found = all_of(folder, source)
    server.close()
    link = "is a link to another place, not a file; hand in the file itself."
    special = "is not an ordinary file; hand in the notebook as a file."
    assert {s: f.reason for s, f in found.items() if s != "inner"} == {
        "honest": "",
        "link": f"`link.ipynb` {link}",
        "dangling": f"`dangling.ipynb` {link}",
        "loop": f"`loop.ipynb` {link}",
        "linked": f"`linked` {link}",
        "device": f"`device.ipynb` {link}",
        "fifo": f"`fifo.ipynb` {special}",
        "socket": f"`socket.ipynb` {special}",
        "zero": "The file is empty (0 bytes). Save the notebook and hand it in again.",
        "large": "`large.ipynb` is 200.0 MiB large, and at most 20 MiB are accepted; "
        "clear the outputs of the notebook, save it, and hand it in again.",
    }
    assert found["inner"].notebook is None


def test_a_link_does_not_hide_the_notebook_beside_it(tmp_path, source):
    folder = lay(tmp_path / "class", {"alice/a.ipynb": WORK})
    (folder / "alice" / "z (9).ipynb").symlink_to("/etc/passwd")
    (submission,) = all_of(folder, source).values()
    assert answers(submission) == ANSWERS


def test_a_file_that_turns_into_a_fifo_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "x")
    with pytest.raises(archives.Unreadable, match="not an ordinary file"):
        archives._read_file(tmp_path / "x")
    (tmp_path / "y").symlink_to("/etc/passwd")
    with pytest.raises(archives.Unreadable, match="cannot be read"):
        archives._read_file(tmp_path / "y")


def test_unreadable_files_and_folders(tmp_path, source, monkeypatch):
    folder = lay(tmp_path / "class", {"a.ipynb": WORK, "b/x.ipynb": WORK})
    real_open, real_scandir = os.open, os.scandir

    def refuse(real):
        def refusing(path, *rest):
            if Path(path).name in ("a.ipynb", "b"):
                raise PermissionError(13, "Permission denied")
            return real(path, *rest)

        return refusing

    # As root, every file is readable.
    monkeypatch.setattr(os, "open", refuse(real_open))
    monkeypatch.setattr(os, "scandir", refuse(real_scandir))
    found = all_of(folder, source)
    assert found["a"].reason == (
        "`a.ipynb` cannot be read by the grader (permission denied); ask your "
        "instructor."
    )
    assert found["b"].reason == (
        "`b` is a folder that the grader is not allowed to open."
    )


def test_every_file_is_read_once_at_most(tmp_path, source, monkeypatch):
    reads = []
    real = archives._read_file
    monkeypatch.setattr(
        archives, "_read_file", lambda path: (reads.append(path.name), real(path))[1]
    )
    folder = lay(tmp_path / "class", FLAT | {"alice (1).ipynb": WORK})
    all_of(folder, source)
    assert sorted(reads) == ["alice (1).ipynb", "bob.ipynb"]


# -- Hostile archives -----------------------------------------------------------------


def test_members_that_are_no_files(tmp_path, source):
    where = tmp_path / "class.tar"
    kinds = {
        "sym": special("sym.ipynb", tarfile.SYMTYPE, "/etc/passwd"),
        "hard": special("hard.ipynb", tarfile.LNKTYPE, "honest.ipynb"),
        "fifo": special("fifo.ipynb", tarfile.FIFOTYPE),
        "char": special("char.ipynb", tarfile.CHRTYPE),
        "block": special("block.ipynb", tarfile.BLKTYPE),
        "dir": special("dir.ipynb", tarfile.DIRTYPE),
    }
    where.write_bytes(tarred({"honest.ipynb": WORK} | kinds))
    found = all_of(where, source)
    assert answers(found["honest"]) == ANSWERS
    for name in ("sym", "hard"):
        assert "is a link" in found[name].reason
    for name in ("fifo", "char", "block"):
        assert "is not an ordinary file" in found[name].reason
    assert "is a folder, not a notebook" in found["dir"].reason


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_names_that_lead_out(tmp_path, source, pack):
    names = ["../evil.ipynb", "/tmp/evil.ipynb", "..\\..\\evil.ipynb", "C:/evil.ipynb"]
    for name in names:
        where = tmp_path / "class"
        where.write_bytes(pack({"honest.ipynb": WORK, name: WORK}))
        found = all_of(where, source)
        assert answers(found.pop("honest")) == ANSWERS
        (submission,) = found.values()
        assert "has a name that leads out of the archive" in submission.reason


def test_a_name_that_leads_out_does_not_replace_a_good_one(tmp_path, source):
    where = tmp_path / "class.zip"
    where.write_bytes(zipped({"alice.ipynb": WORK, "../alice.ipynb": OTHER}))
    (submission,) = all_of(where, source).values()
    assert answers(submission) == ANSWERS


def zip_of_type(mode: int) -> bytes:
    """A zip of one member that says which kind of file it is on Unix."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("x.ipynb")
        info.external_attr = (mode | 0o644) << 16
        archive.writestr(info, b"/etc/passwd")
    return buffer.getvalue()


def encrypted(data: bytes) -> bytes:
    """The same zip, said to be encrypted in both headers."""
    changed = bytearray(data)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        changed[data.index(mark) + offset] |= 1
    return bytes(changed)


ZEROS = bytes(15 << 20)
ONE = {"x.ipynb": WORK}
FULL_BLOCKS = -(-len(WORK) // 512) * 512
CRC = struct.pack("<I", crc32(WORK))
BOMBED = "would unpack to more than 100 times its size"


def lzma_with_large_dictionary() -> bytes:
    """The size is a field of the header, and the header has a checksum."""
    data = bytearray(lzma.compress(tarred(ONE)))
    at = data.index(b"\x21\x01", 12) + 2
    data[at] = 40  # 4 GiB - 1
    header = data[12 : 12 + (data[12] + 1) * 4 - 4]
    data[12 + len(header) : 16 + len(header)] = struct.pack("<I", crc32(bytes(header)))
    return bytes(data)


OWN_ARCHIVES = {
    "bomb.zip": (zipped({"x.ipynb": ZEROS}), BOMBED),
    "total.zip": (zipped({f"{i}.bin": ZEROS for i in range(20)} | ONE), BOMBED),
    "bomb.tar.gz": (tarred({"x.ipynb": ZEROS, "y.ipynb": WORK}, "w:gz"), BOMBED),
    "bomb.tar.bz2": (tarred({"x.ipynb": ZEROS}, "w:bz2"), BOMBED),
    "bomb.tar.xz": (tarred({"x.ipynb": ZEROS}, "w:xz"), BOMBED),
    "many.zip": (zipped({f"{i}.ipynb": b"" for i in range(1001)}), "more files than"),
    "many.tar": (tarred({f"{i}.ipynb": b"" for i in range(1001)}), "more files than"),
    "locked.zip": (encrypted(zipped(ONE)), "is protected by a password"),
    "nested.zip": (zipped({"y.zip": zipped(ONE)}), "another archive, which is not"),
    "nested.tar.gz": (tarred({"y.zip": zipped(ONE)}, "w:gz"), "another archive, which"),
    "empty.zip": (zipped({}), "holds no notebook"),
    "zero.zip": (b"", "is empty (0 bytes)"),
    "cut.zip": (zipped(ONE)[:-10], "is damaged or incomplete"),
    "cut.tar": (tarred(ONE)[:5000], "is damaged or incomplete"),
    "head.tar": (tarred(ONE | {"y": b""})[: 512 + FULL_BLOCKS + 100], "is damaged"),
    "cut.tar.gz": (tarred(ONE, "w:gz")[:-200], "is damaged or incomplete"),
    "cut.tar.bz2": (tarred(ONE, "w:bz2")[:-200], "is damaged or incomplete"),
    "cut.tar.xz": (tarred(ONE, "w:xz")[:-200], "is damaged or incomplete"),
    "text.zip": (b"PK but no zip", "is damaged or incomplete"),
    "text.tar": (b"this is no tar" * 100, "is damaged or incomplete"),
    "memory.tar.xz": (lzma_with_large_dictionary(), "is damaged or incomplete"),
    "bytes.zip": (zipped(ONE).replace(b"x.ipynb", b"\xff\0\n.ipyn"), ""),
    "link.zip": (zip_of_type(stat.S_IFLNK), "is a link"),
    "fifo.zip": (zip_of_type(stat.S_IFIFO), "is not an ordinary file"),
    "out.zip": (zipped({"../x.ipynb": WORK}), "leads out of the archive"),
    "crc.zip": (zipped(ONE).replace(CRC, b"1234"), "damaged"),
    "link.tar": (tarred({"x": special("x.ipynb", tarfile.SYMTYPE)}), "is a link"),
}  # fmt: skip


@pytest.mark.parametrize("name", OWN_ARCHIVES)
def test_hostile_archive_of_one_student(tmp_path, source, name):
    data, said = OWN_ARCHIVES[name]
    # The neighbours do not notice, in a folder or in a zip of the class.
    files = {f"mallory/{name}": data, "alice/x.ipynb": WORK}
    where = tmp_path / "class.zip"
    where.write_bytes(zipped(files))
    for place in (lay(tmp_path / "class", files), where):
        found = all_of(place, source)
        assert list(found) == ["alice", "mallory"]
        assert answers(found["alice"]) == ANSWERS
        assert found["alice"].repairs == ()
        assert said in found["mallory"].reason
        assert found["mallory"].notebook is None


def test_broken_archive_of_a_class(tmp_path, source):
    (tmp_path / "class.csv").write_text("id\nalice\nzoe\n")
    where = tmp_path / "class.tar.gz"
    noise = random.Random(0).randbytes(500_000)
    files = {"alice.ipynb": WORK, "noise": noise, "zoe.ipynb": WORK}
    where.write_bytes(tarred(files, "w:gz")[:-50_000])
    found = all_of(where, source, tmp_path / "class.csv")
    # What could be read is graded; of the others nobody says that they did nothing.
    assert answers(found["alice"]) == ANSWERS
    for name in ("zoe", "class.tar.gz"):
        assert found[name].reason == (
            "The archive of the class is damaged or incomplete. It was read as far as "
            "possible, and what follows in it is not graded."
        )


def test_tar_headers_that_claim_a_lot(tmp_path, source):
    """tarfile would read them into memory, or search in them for a long time."""
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.XGLTYPE):
        for size in (8 << 30, 1 << 20, 9000):
            info = special("x", kind)
            info.size = size
            block = info.tobuf(tarfile.GNU_FORMAT)
            data = tarred({"alice.ipynb": WORK})
            data = data[: 512 + FULL_BLOCKS] + block + b"1" * (1 << 20)
            where = tmp_path / "class.tar"
            where.write_bytes(data)
            found = all_of(where, source)
            assert answers(found["alice"]) == ANSWERS
            assert "damaged" in found["class.tar"].reason


def test_headers_full_of_digits(tmp_path, source):
    """Some versions of tarfile need a minute for these (CVE-2024-6232)."""
    info = special("x", tarfile.XHDTYPE)
    info.size = 8192
    block = info.tobuf(tarfile.GNU_FORMAT) + b"1" * 8192
    where = tmp_path / "class.tar"
    where.write_bytes((block + tarfile.TarInfo("y").tobuf()) * 900)
    (submission,) = all_of(where, source).values()
    assert "damaged" in submission.reason


def test_long_chain_of_tar_headers(tmp_path, source):
    info = special("x", tarfile.GNUTYPE_LONGNAME)
    info.size = 10
    block = info.tobuf(tarfile.GNU_FORMAT) + b"x" * 512
    where = tmp_path / "class.tar.gz"
    where.write_bytes(gzip.compress(block * 5000))
    (submission,) = all_of(where, source).values()
    assert "The archive of the class" in submission.reason


def test_sparse_member(tmp_path, source):
    info = special("x.ipynb", tarfile.GNUTYPE_SPARSE)
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[483:495] = b"77777777777\0"  # its real size, 8 GiB
    block[148:156] = b"%06o\0 " % tarfile.calc_chksums(bytes(block))[0]
    where = tmp_path / "class.tar"
    where.write_bytes(bytes(block) + bytes(10240))
    (submission,) = all_of(where, source).values()
    assert "is not an ordinary file" in submission.reason


# -- Archives as programs write them --------------------------------------------------


def as_written(names: list[bytes], data: bytes = WORK) -> bytes:
    """A zip whose names are these bytes, without the mark of UTF-8."""
    packed = zipped({f"{at:0{len(name)}d}": data for at, name in enumerate(names)})
    for at, name in enumerate(names):
        packed = packed.replace(f"{at:0{len(name)}d}".encode(), name)
    return packed


NAMES = "id,name\nmm,Max Müller\nwx,王小明\nlj,李喆\njo,Jo Doe\n"


@pytest.mark.parametrize(
    ("files", "encoding", "students", "guess"),
    [
        (["Mu\u0308ller Max.ipynb", "王小明.ipynb"], "utf-8", ["mm", "wx"], None),
        (["Müller Max.ipynb", "Jo Doe.ipynb"], "cp437", ["mm", "jo"], "IBM 437"),
        (
            ["王小明.ipynb", "李喆.ipynb", "Jo Doe.ipynb"],
            "gbk",
            ["wx", "lj", "jo"],
            "GBK",
        ),
    ],
)
def test_names_in_a_zip_that_do_not_say_their_encoding(
    tmp_path, source, files, encoding, students, guess
):
    where = tmp_path / "class.zip"
    where.write_bytes(as_written([name.encode(encoding) for name in files]))
    (tmp_path / "class.csv").write_text(NAMES, encoding="utf-8")
    lines: list[str] = []
    found = collect(where, ASSIGNMENT, source, tmp_path / "class.csv", say=lines.append)
    assert {one.student for one in found if one.notebook} == set(students)
    assert len(found) == 4
    assert len(lines) == (guess is not None)
    assert not guess or "The names in class.zip do not say" in lines[0]
    assert not guess or f"they were read as {guess}" in lines[0]


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize(
    "out", ["C:\\class\\", "../../", "/home/ann/", "\\\\server\\x\\"]
)
def test_a_class_that_was_packed_with_its_whole_path(tmp_path, source, pack, out):
    where = tmp_path / "class"
    sep = "\\" if "\\" in out else "/"
    files = {
        out + sep.join((who, ASSIGNMENT, f"{ASSIGNMENT}.ipynb")): WORK
        for who in ("ann", "bob")
    }
    where.write_bytes(pack(files))
    found = all_of(where, source)
    assert list(found) == ["ann", "bob"]
    assert all(answers(one) == ANSWERS for one in found.values())


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_some_names_that_lead_out_are_nobodys(tmp_path, source, pack):
    where = tmp_path / "class"
    inside = f"{ASSIGNMENT}/{ASSIGNMENT}.ipynb"
    names = (
        f"C:\\class\\a-case\\{inside}",
        f"..\\..\\up\\{inside}",
        f"x/../../ann/{inside}",
    )
    for files in (names, (*names, f"bob/{inside}"), (names[1], names[2])):
        where.write_bytes(pack(dict.fromkeys(files, WORK)))
        (tmp_path / "class.csv").write_text("id\nup\nann\nbob\n")
        found = all_of(where, source, tmp_path / "class.csv")
        assert {"C_", "up", "class", "a-case"} & set(found) == {"up"}
        assert found["up"].reason == found["ann"].reason == NOTHING
        assert (found["bob"].notebook is not None) == (len(files) == 4)
        strange = [one for one in found.values() if one.path and one.student != "bob"]
        assert len(strange) == (3 if "C:" in files[0] else 2)
        for one in strange:
            assert "its name leads out of the archive" in one.needs_person[0]
            assert "leads out of the archive" in one.reason


def test_tar_of_a_mac_with_large_attributes(tmp_path, source):
    """libarchive writes each extended attribute in two ways."""
    value = base64.b64encode(random.Random(3).randbytes(9000)).decode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for who in ("ann", "Zo\u00eb " + "z" * 120):
            info = tarfile.TarInfo(f"{who}.ipynb")
            info.size = len(WORK)
            info.pax_headers = {
                f"{kind}.xattr.com.apple.{name}": value
                for kind in ("LIBARCHIVE", "SCHILY")
                for name in ("macl", "metadata:kMDItemWhereFroms")
            }
            archive.addfile(info, io.BytesIO(WORK))
    for suffix, data in (
        ("tar", buffer.getvalue()),
        ("tgz", gzip.compress(buffer.getvalue())),
    ):
        where = tmp_path / f"class.{suffix}"
        where.write_bytes(data)
        found = all_of(where, source)
        assert [who[:4] for who in found] == ["Zo\u00eb ", "ann"]
        assert all(answers(one) == ANSWERS for one in found.values())


def pax(records: bytes) -> bytes:
    info = special("x", tarfile.XHDTYPE)
    info.size = len(records)
    block = info.tobuf(tarfile.GNU_FORMAT) + records + bytes(-len(records) % 512)
    return tarred({"ann.ipynb": WORK})[: 512 + FULL_BLOCKS] + block + bytes(10240)


@pytest.mark.parametrize(
    "records",
    [
        b"5 a=\n" * 40_000,  # as many as there is room for
        b"900000 path=" + b"x" * 899_987 + b"\n",  # one that is in use
        b"20000 a" + b"b" * 19_993,  # none at all
        b"99999999 a=" + b"b" * 20_000,  # that end somewhere else
        b"0 a=" + b"b" * 20_000,
    ],
)
def test_large_headers_of_another_kind_are_refused(tmp_path, source, records):
    where = tmp_path / "class.tar"
    where.write_bytes(pax(records))
    found = all_of(where, source)
    assert answers(found["ann"]) == ANSWERS
    assert "damaged" in found["class.tar"].reason
