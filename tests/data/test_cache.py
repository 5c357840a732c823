"""Files are whole or not there."""

import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from lmlib.data import cache
from lmlib.data.cache import cache_folder, kept_if_possible, replacing


def test_the_folder_is_the_first_that_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("LMLIB_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("LMLIB_CACHE")
    assert cache_folder() == tmp_path / "xdg" / "lmlib"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == Path(tmp_path, ".cache", "lmlib")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no permissions of this kind")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_the_umask_decides_who_may_read(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        with replacing(tmp_path / "weights") as temporary:
            save_file({"a": np.zeros(3)}, temporary)
    finally:
        os.umask(before)
    assert (tmp_path / "weights").stat().st_mode & 0o777 == mode


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "folder" / "file"
    with replacing(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(KeyError), replacing(path) as temporary:  # noqa: PT012
        temporary.write_text("ne")
        assert path.read_text() == "old"
        raise KeyError
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_what_cannot_be_kept_is_said_once(tmp_path, caplog):
    cache._go_without.cache_clear()
    (tmp_path / "file").touch()
    for _ in range(2):
        with kept_if_possible(), replacing(tmp_path / "file" / "below") as temporary:
            temporary.write_text("never")
    (said,) = caplog.messages
    assert f"cannot be written ({tmp_path / 'file'}: File exists): LMLIB_CACHE" in said
    with pytest.raises(KeyError), kept_if_possible():
        raise KeyError


def test_without_a_home_there_is_a_folder_for_this_process(monkeypatch, caplog):
    cache._go_without.cache_clear()
    monkeypatch.delenv("LMLIB_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "~nobody-of-this-name/cache")
    folder = cache_folder()
    assert folder.is_dir()
    assert folder == cache_folder()
    assert "cannot be written" in caplog.text
