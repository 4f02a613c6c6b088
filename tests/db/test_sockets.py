"""Where the embedded server's socket is: odd, long, shared and closed folders."""

import os
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from tests.db.conftest import as_root, ask, postmaster, socket_folder, start_process
from tlsearch.errors import StorageError
from tlsearch.postgres import cluster, embedded

pytestmark = pytest.mark.usefixtures("no_server_left")


@pytest.mark.parametrize(
    "name",
    ["long é path/" * 20, "q'u\"o $x `y` \\ % {z} ü &=#?", "comma,s"],
    ids=["long", "quotes", "comma"],
)
def test_odd_folders(home: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(home / name))
    assert len(str(home / name)) > 200 or "path" not in name
    url = embedded.ensure_running()
    assert ask(url, "SELECT 1") == 1
    assert str(ask(url, "SHOW data_directory")) == str(embedded.data_folder())
    psql = [str(cluster.binary("psql")), url, "-Atc", "SELECT 1"]
    assert subprocess.run(psql, capture_output=True, check=True).stdout == b"1\n"
    os.kill(postmaster(), signal.SIGKILL)
    assert embedded.ensure_running() == url
    assert embedded.stop() is True
    assert (socket_folder(url) == embedded.data_folder()) == name.startswith("q")


def test_another_temporary_folder_finds_the_same_server(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(home / ("long" * 30)))
    url = embedded.ensure_running()
    other = home / "tmp"
    other.mkdir()
    process = start_process(env=os.environ | {"TMPDIR": str(other)})
    assert process.communicate(timeout=60)[0] == url + "\n"


def test_open_socket_folder_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(home / ("long" * 30)))
    folder = socket_folder(embedded.ensure_running())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    embedded.stop()
    folder.chmod(0o755)
    with pytest.raises(StorageError, match="0700: remove it") as caught:
        embedded.ensure_running()
    assert str(folder) in str(caught.value)
    folder.rmdir()
    folder.symlink_to(home)
    with pytest.raises(StorageError, match="0700: remove it"):
        embedded.ensure_running()
    folder.unlink()
    embedded.ensure_running()


@as_root
def test_root_with_a_private_temporary_folder(home: Path) -> None:
    temporary = home / "private" / "tmp"
    temporary.mkdir(mode=0o700, parents=True)
    more = {"TMPDIR": str(temporary), "XDG_DATA_HOME": str(home / ("long" * 30))}
    url = start_process(env=os.environ | more).communicate(timeout=60)[0]
    assert socket_folder(url.strip()).parent == temporary
    assert ask(url.strip(), "SELECT 1") == 1
    stop = "from tlsearch.postgres.embedded import stop; print(stop())"
    assert start_process(stop, env=os.environ | more).communicate(timeout=60)[0] == "True\n"


def test_folders_that_hand_down_their_group(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (shared := home / "shared", temporary := home / "tmp"):
        folder.mkdir()
        folder.chmod(0o2755)
    temporary.chmod(0o3777)
    for data in (shared, shared / ("long" * 30)):
        monkeypatch.setenv("XDG_DATA_HOME", str(data))
        more = os.environ | {"TMPDIR": str(temporary)}
        url = start_process(env=more).communicate(timeout=60)[0].strip()
        assert ask(url, "SELECT 1") == 1
        assert embedded.stop() is True
    assert socket_folder(url).parent == temporary
