"""Files of trials: a real folder, a full disk, killed writers, and a server that speaks S3."""

import errno
import io
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import optuna
import pytest
from optuna.artifacts.exceptions import ArtifactNotFound

from tests.db.conftest import start_process, wait_for
from tests.s3_server import new_bucket, serving
from tlsearch.artifacts import HALF_WRITTEN, Artifacts, open_artifacts, picture_attrs, shown_files
from tlsearch.errors import StorageError

NAME = "0b5c1d2e.safetensors"


@pytest.fixture(scope="module")
def s3_address() -> Iterator[str]:
    """Address of a server that speaks S3."""
    with serving() as address:
        yield address


@pytest.fixture
def s3(s3_address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new bucket, as the environment of its users says."""
    return new_bucket(s3_address, monkeypatch)


@pytest.fixture(params=["folder", "s3"])
def artifacts(request: pytest.FixtureRequest, tmp_path: Path) -> Artifacts:
    if request.param == "folder":
        return open_artifacts(str(tmp_path / "deep" / "artifacts"))
    return open_artifacts(f"s3://{request.getfixturevalue('s3')}/some/prefix/")


def test_save_read_remove(artifacts: Artifacts) -> None:
    assert artifacts.read(NAME) is None
    data = os.urandom(9 << 20)  # above the size at which an upload is cut into parts
    artifacts.save(NAME, data)
    assert artifacts.read(NAME) == data
    artifacts.save(NAME, b"")
    assert artifacts.read(NAME) == b""
    artifacts.remove(NAME)
    artifacts.remove(NAME)
    assert artifacts.read(NAME) is None
    with pytest.raises(ArtifactNotFound):
        artifacts.open_reader(NAME)


def test_optuna_stores_and_loads_there(artifacts: Artifacts, tmp_path: Path) -> None:
    study = optuna.create_study()
    (tmp_path / "note.txt").write_text("words")
    name = optuna.artifacts.upload_artifact(
        artifact_store=artifacts, file_path=str(tmp_path / "note.txt"), study_or_trial=study
    )
    copy = tmp_path / "copy.txt"
    optuna.artifacts.download_artifact(
        artifact_store=artifacts, artifact_id=name, file_path=str(copy)
    )
    assert copy.read_text() == "words"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "/etc/passwd", ".hidden", "a\n"])
def test_names_that_lead_elsewhere(artifacts: Artifacts, name: str) -> None:
    for act in (artifacts.read, artifacts.remove, lambda name: artifacts.save(name, b"")):
        with pytest.raises(ValueError, match="no name of an artifact"):
            act(name)


def test_where_files_lie(
    tmp_path: Path, private_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_artifacts().save(NAME, b"default")
    folder = private_home / "data" / "tlsearch" / "artifacts"
    assert (folder / NAME).read_bytes() == b"default"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    monkeypatch.setenv("TLSEARCH_ARTIFACTS", str(tmp_path / "of the variable"))
    open_artifacts().save(NAME, b"variable")
    assert (tmp_path / "of the variable" / NAME).read_bytes() == b"variable"
    open_artifacts(str(tmp_path / "given")).save(NAME, b"given")
    assert (tmp_path / "given" / NAME).read_bytes() == b"given"
    monkeypatch.setenv("HOME", str(tmp_path))
    open_artifacts("~/given").save("other", b"")
    assert sorted(os.listdir(tmp_path / "given")) == [NAME, "other"]


def test_places_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for where, words in {
        str(tmp_path / "file"): "File exists",
        str(tmp_path / "file" / "below"): "Not a directory",
        "/proc/tlsearch": "No such file",
        "gs://bucket": "cannot lie in gs://bucket",
        "s3://": "cannot lie in s3://",
    }.items():
        with pytest.raises(StorageError, match=words) as refused:
            open_artifacts(where)
        assert "\n" not in str(refused.value)


def test_a_folder_that_is_only_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / NAME).write_bytes(b"kept")
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)  # as another user
    with pytest.raises(StorageError, match=r"cannot be used \(no permission\); fix it, or"):
        open_artifacts(str(tmp_path))
    assert open_artifacts(str(tmp_path), writable=False).read(NAME) == b"kept"
    with pytest.raises(StorageError, match="No such file"):
        open_artifacts(str(tmp_path / "not mounted"), writable=False)
    assert os.listdir(tmp_path) == [NAME]


class FullDisk(io.BytesIO):
    """Content whose writing fails half way, as on a full disk."""

    def __init__(self) -> None:
        super().__init__()
        self._left = 3

    def read(self, size: int | None = -1) -> bytes:
        self._left -= 1
        if not self._left:
            raise OSError(errno.ENOSPC, "No space left on device")
        return b"x" * 1000


def test_full_disk(tmp_path: Path) -> None:
    artifacts = open_artifacts(str(tmp_path))
    artifacts.save(NAME, b"before")
    with pytest.raises(StorageError, match=r"cannot be written \(No space left on device\)"):
        artifacts.write(NAME, FullDisk())
    assert artifacts.read(NAME) == b"before"
    assert os.listdir(tmp_path) == [NAME]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small disk")
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", tmp_path], check=False
    ).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        artifacts = open_artifacts(str(tmp_path))
        artifacts.save(NAME, b"before")
        with pytest.raises(StorageError, match="No space left"):
            artifacts.save(NAME, b"x" * 200_000)
        assert artifacts.read(NAME) == b"before"
        assert os.listdir(tmp_path) == [NAME]
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def was_changed(path: Path, before: int) -> bool:
    return path.stat().st_mtime_ns != before


def test_killed_writers(tmp_path: Path) -> None:
    """Whenever a writer is killed, a reader finds a whole file."""
    code = (
        "from tlsearch.artifacts import open_artifacts\n"
        f"artifacts = open_artifacts({str(tmp_path)!r})\n"
        "n = 0\n"
        "while True:\n"
        f"    artifacts.save({NAME!r}, bytes([n % 256]) * 3_000_000); n += 1"
    )
    artifacts = open_artifacts(str(tmp_path))
    for _ in range(3):
        writer = start_process(code)
        changed = (tmp_path / NAME).stat().st_mtime_ns if (tmp_path / NAME).exists() else 0
        wait_for((tmp_path / NAME).exists)
        wait_for(partial(was_changed, tmp_path / NAME, changed))
        found = [artifacts.read(NAME) for _ in range(20)]
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        for data in (*found, artifacts.read(NAME)):
            assert data is not None
            assert len(data) == 3_000_000
            assert len(set(data)) == 1


def test_stale_files_are_removed_after_a_day(tmp_path: Path) -> None:
    for name in (old := f"{HALF_WRITTEN}1", young := f"{HALF_WRITTEN}2", "kept"):
        (tmp_path / name).write_bytes(b"half")
    day_ago = time.time() - 25 * 3600
    for name in (old, "kept"):
        os.utime(tmp_path / name, (day_ago, day_ago))
    open_artifacts(str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == [young, "kept"]


def test_buckets_that_cannot_be_used(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StorageError, match=r"s3://no-such-bucket/ cannot be used: .*Not Found"):
        open_artifacts("s3://no-such-bucket")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{probe.getsockname()[1]}"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", nobody)
    with pytest.raises(StorageError, match="Could not connect to the endpoint"):
        open_artifacts(f"s3://{s3}")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "nonsense")
    with pytest.raises(StorageError, match="Invalid endpoint"):
        open_artifacts(f"s3://{s3}")


def test_without_boto3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    monkeypatch.setitem(sys.modules, "boto3.exceptions", None)
    with pytest.raises(StorageError, match=r"need boto3, .* pip install boto3"):
        open_artifacts("s3://bucket")


def test_prefixes_are_apart(s3: str) -> None:
    one, other = open_artifacts(f"s3://{s3}/one"), open_artifacts(f"S3://{s3}/other/")
    one.save(NAME, b"one")
    assert other.read(NAME) is None
    other.remove(NAME)
    assert one.read(NAME) == b"one"
    assert open_artifacts(f"s3://{s3}").read(NAME) is None


def test_pictures_are_as_optuna_would_upload_them(artifacts: Artifacts, tmp_path: Path) -> None:
    attrs = picture_attrs(artifacts, {"curve.png": b"picture", "notes.xyzzy": b"else"})
    study = optuna.create_study()
    trial = study.ask()
    for key, value in attrs.items():
        study._storage.set_trial_system_attr(trial._trial_id, key, value)
    found = optuna.artifacts.get_all_artifact_meta(trial, storage=study._storage)
    assert [(meta.filename, meta.mimetype) for meta in found] == [
        ("curve.png", "image/png"),
        ("notes.xyzzy", "application/octet-stream"),
    ]
    assert artifacts.read(found[0].artifact_id) == b"picture"


def test_files_are_found_by_the_names_that_are_shown(artifacts: Artifacts) -> None:
    attrs = picture_attrs(artifacts, {"a.png": b"one", "b.csv": b"two"})
    others = {"artifacts:x": "no JSON", "artifacts:y": "[]", "origin": "tpe", "artifacts:z": 3}
    found = shown_files({**others, **attrs})
    assert {name: artifacts.read(file) for name, file in found.items()} == {
        "a.png": b"one",
        "b.csv": b"two",
    }


def test_pictures_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifacts = open_artifacts(str(tmp_path))

    def fill(half: Path, target: Path) -> None:
        if os.listdir(tmp_path) != [half.name]:
            raise OSError(errno.ENOSPC, "No space left on device")
        os.replace(half, target)

    monkeypatch.setattr(Path, "replace", fill)
    with pytest.raises(StorageError, match="No space left"):
        picture_attrs(artifacts, {"one.png": b"1", "two.png": b"2"})
    assert os.listdir(tmp_path) == []
