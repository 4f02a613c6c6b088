"""A report's folder: written whole or not at all, and never over anything else."""

import errno
import os
import subprocess
from pathlib import Path

import pytest

from tlsearch.errors import InputError
from tlsearch.report.page.folder import MARKER, check_folder, write_folder

FILES = {"index.html": b"page", "figures/a.png": b"a", "tables/t.csv": b"t"}


def tree(path: Path) -> dict[str, bytes]:
    return {
        each.relative_to(path).as_posix(): each.read_bytes()
        for each in path.rglob("*")
        if each.is_file() and each.name != MARKER
    }


def test_new_empty_and_replaced(tmp_path):
    out = tmp_path / "deep" / "er" / "report"
    write_folder(out, "s", FILES, force=False)
    assert tree(out) == FILES
    write_folder(out, "s", {"index.html": b"new"}, force=False)
    assert tree(out) == {"index.html": b"new"}
    empty = tmp_path / "empty"
    empty.mkdir()
    write_folder(empty, "s", FILES, force=False)
    assert tree(empty) == FILES
    assert sorted(each.name for each in out.parent.iterdir()) == ["report"]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("what", ["file", "link", "other folder", "broken marker", "empty inside"])
def test_something_else_stays(tmp_path, what, force):
    out = tmp_path / "out"
    if what == "file":
        out.write_text("mine")
    elif what == "link":
        (tmp_path / "there").mkdir()
        out.symlink_to(tmp_path / "there")
    else:
        out.mkdir()
        if what == "empty inside":
            (out / "mine").mkdir()
        else:
            (out / "mine").write_text("mine")
    if what == "broken marker":
        (out / MARKER).write_text("[]")
    before = sorted(tmp_path.rglob("*"))
    for act in (check_folder, lambda *args: write_folder(out, "s", FILES, force)):
        with pytest.raises(InputError) as refused:
            act(out, "s", force)
        assert str(refused.value).startswith(str(out))
        assert "\n" not in str(refused.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_another_study_and_additions_need_force(tmp_path):
    write_folder(tmp_path / "r", "other", FILES, force=False)
    with pytest.raises(InputError, match=r"the report of study 'other'.*--force"):
        write_folder(tmp_path / "r", "s", FILES, force=False)
    (tmp_path / "r" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds 'notes.txt'.*--force"):
        write_folder(tmp_path / "r", "other", FILES, force=False)
    write_folder(tmp_path / "r", "s", FILES, force=True)
    assert tree(tmp_path / "r") == FILES


def test_what_was_there_stays_where_writing_fails(tmp_path, monkeypatch):
    out = tmp_path / "r"
    write_folder(out, "s", FILES, force=False)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match=r"No space left on device\); make room"):
        write_folder(out, "s", {"index.html": b"new"}, force=False)
    assert tree(out) == FILES
    assert [each.name for each in tmp_path.iterdir()] == ["r"]


def test_what_was_there_comes_back_where_the_exchange_fails(tmp_path, monkeypatch):
    out = tmp_path / "r"
    write_folder(out, "s", FILES, force=False)
    rename = Path.rename

    def fails(self: Path, target: Path) -> Path:
        if "half-written" in self.name:
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(InputError, match="Input/output error"):
        write_folder(out, "s", {"index.html": b"new"}, force=False)
    assert tree(out) == FILES
    assert [each.name for each in tmp_path.iterdir()] == ["r"]


def test_a_disk_that_is_really_full(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system cannot be mounted here")
    try:
        with pytest.raises(InputError, match="No space left on device"):
            write_folder(small / "r", "s", {"index.html": b"x" * 500_000}, force=False)
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_place_inside_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is inside something that is no folder"):
        write_folder(tmp_path / "file" / "r", "s", FILES, force=False)
