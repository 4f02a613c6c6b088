"""The user that the embedded server runs as."""

import os
import pwd
import signal
import stat
import subprocess
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.db.conftest import NOBODY, as_root, ask, postmaster, run, stale_pid_file
from tlsearch.errors import StorageError
from tlsearch.postgres import cluster, embedded

pytestmark = pytest.mark.usefixtures("no_server_left")


def as_nobody(work: Callable[[], None]) -> None:
    """Run in a fork as an ordinary user, who may not be able to read this Python's folder."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@as_root
def test_root_opens_the_way_only_where_needed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed, grouped = home / "closed", home / "closed" / "open"
    grouped.mkdir(parents=True)
    closed.chmod(0o700)
    grouped.chmod(0o751)
    monkeypatch.setenv("XDG_DATA_HOME", str(grouped))
    url = embedded.ensure_running()
    assert stat.S_IMODE(closed.stat().st_mode) == 0o701
    assert stat.S_IMODE(grouped.stat().st_mode) == 0o751
    assert Path(f"/proc/{postmaster()}").stat().st_uid == embedded.data_folder().stat().st_uid != 0
    assert ask(url, "SELECT 1") == 1


@as_root
@pytest.mark.parametrize("name", ["short", "long" * 40])
def test_as_an_ordinary_user(home: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = home / name
    folder.mkdir()
    os.chown(folder, NOBODY, NOBODY)
    home.chmod(0o755)
    monkeypatch.setenv("XDG_DATA_HOME", str(folder))

    def live() -> None:
        url = embedded.ensure_running()
        run(url, "CREATE TABLE kept AS SELECT 7 AS n")
        os.kill(postmaster(), signal.SIGKILL)
        assert embedded.ensure_running() == url
        stale_pid = subprocess.Popen(["sleep", "300"])
        assert embedded.stop() is True
        stale_pid_file(stale_pid.pid)
        assert embedded.ensure_running() == url
        assert ask(url, "SELECT n FROM kept") == 7
        assert postmaster() != stale_pid.pid
        stale_pid.kill()
        assert Path(f"/proc/{postmaster()}").stat().st_uid == NOBODY

    as_nobody(live)
    # Root goes on with the same server, and starts it as the same user.
    assert ask(embedded.ensure_running(), "SELECT n FROM kept") == 7
    assert embedded.stop() is True
    assert ask(embedded.ensure_running(), "SELECT n FROM kept") == 7
    assert Path(f"/proc/{postmaster()}").stat().st_uid == NOBODY


@as_root
def test_another_users_server_in_the_pid_file(
    home: Path, tcp_server, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "short").mkdir()
    os.chown(home / "short", NOBODY, NOBODY)
    home.chmod(0o755)
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "short"))
    other = int((tcp_server.socket_folder / "postmaster.pid").read_text().split()[0])

    def live() -> None:
        embedded.ensure_running()
        assert embedded.stop() is True
        stale_pid_file(other)
        assert embedded.stop() is False
        assert ask(embedded.ensure_running(), "SELECT 1") == 1

    as_nobody(live)


def test_the_server_gets_no_secrets_of_the_environment(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_TOKEN", "geheim")
    embedded.ensure_running()
    assert "geheim" not in Path(f"/proc/{postmaster()}/environ").read_text()


@as_root
@pytest.mark.parametrize("made", ["touch made", "true"])
def test_user_that_another_process_makes(
    home: Path, monkeypatch: pytest.MonkeyPatch, made: str
) -> None:
    program = home / "useradd"
    program.write_text(f"#!/bin/sh\ncd {home}; {made}\necho 'useradd: it exists' >&2; exit 9\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(home), prepend=os.pathsep)

    def getpwnam(name: str) -> tuple[object, ...]:
        if name == "tlsearch" and (home / "made").exists():
            return (name, "x", 123, 456)
        raise KeyError(name)

    monkeypatch.setattr(pwd, "getpwnam", getpwnam)
    if made == "true":
        with pytest.raises(StorageError, match=r"cannot make the system user tlsearch: .* exists"):
            cluster.server_user(home / "nothing")
    else:
        assert cluster.server_user(home / "nothing") == (123, 456)
