"""Folders and manifests in a bucket: fetched once, as on the disk, faults in a sentence."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.s3_server import new_bucket, serving
from tests.unit.data.conftest import full_disk
from tlsearch.data import load_catalog, load_readable, load_training_data, write_clean_manifest
from tlsearch.errors import DataError, SpecError
from tlsearch.spec import DataSpec, RecipeSpec, load_spec


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving() as found:
        yield found


@pytest.fixture
def bucket(address, monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    return new_bucket(address, monkeypatch)


@pytest.fixture
def s3():
    import boto3

    return boto3.client("s3")


@pytest.fixture
def sets(bucket, make_folder, s3):
    """A folder here and the same one in a bucket, with other files beside."""
    root = make_folder({"cat": 9, "dog": 9})
    (root / "cat/notes.txt").write_text("x" * 100)
    upload(s3, bucket, root)
    s3.put_object(Bucket=bucket, Key="sets/pets/", Body=b"")
    s3.put_object(Bucket=bucket, Key="sets/pets2/cat/1.png", Body=b"of another set")
    return root, f"s3://{bucket}/sets/pets"


def upload(s3, bucket, root):
    for path in sorted(root.rglob("*.*")):
        key = f"sets/pets/{path.relative_to(root).as_posix()}"
        s3.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())


def kept(home: Path) -> set[Path]:
    return {path for path in (home / "tlsearch/objects").glob("??/*") if path.is_file()}


def test_a_folder_in_a_bucket_is_that_on_the_disk(sets, cache_home, s3, bucket):
    root, url = sets
    here, there = load_catalog(DataSpec(path=str(root))), load_catalog(DataSpec(path=url))
    assert there == here
    assert {ref.place for ref in there.train} == {f"{url}/{ref.name}" for ref in here.train}
    assert len(load_training_data(there, 16, 1.0).train) == len(here.train)
    before = {path: path.stat().st_mtime_ns for path in kept(cache_home)}
    assert len(before) == 18  # not the text
    assert load_catalog(DataSpec(path=f"{url}/")) == here
    assert {path: path.stat().st_mtime_ns for path in kept(cache_home)} == before
    (root / "cat/000.png").write_bytes((root / "dog/000.png").read_bytes())
    (root / "dog/003.png").unlink()
    s3.put_object(
        Bucket=bucket, Key="sets/pets/cat/000.png", Body=(root / "cat/000.png").read_bytes()
    )
    s3.delete_object(Bucket=bucket, Key="sets/pets/dog/003.png")
    assert load_catalog(DataSpec(path=url)) == load_catalog(DataSpec(path=str(root)))
    assert len(kept(cache_home)) == 19


def test_manifests_in_and_beside_a_bucket(sets, s3, bucket, tmp_path):
    root, url = sets
    rows = [f"{path.relative_to(root).as_posix()},{path.parent.name}" for path in pngs(root)]
    manifest = "\n".join(["path,label", *rows])
    (root / "all.csv").write_text(manifest)
    s3.put_object(Bucket=bucket, Key="sets/pets/all.csv", Body=manifest.encode())
    here = load_catalog(DataSpec(path=str(root / "all.csv")))
    assert load_catalog(DataSpec(path=f"{url}/all.csv")) == here
    mixed = [f"{url}/{row}" if k % 2 else f"images/{row}" for k, row in enumerate(rows)]
    (tmp_path / "mixed.csv").write_text("\n".join(["path,label", *mixed]))
    found = load_catalog(DataSpec(path=str(tmp_path / "mixed.csv")))
    contents = [
        {ref.digest() for ref in (*each.train, *each.val, *each.test)} for each in (found, here)
    ]
    assert contents[0] == contents[1]
    write_clean_manifest(DataSpec(path=url), tmp_path / "clean.csv", drop_duplicates=False)
    assert f"{url}/cat/000.png,cat," in (tmp_path / "clean.csv").read_text()
    for name, text, said in (
        ("gone.csv", f"{manifest}\nnone.png,cat", "1 file is not there: none.png (line 20)"),
        ("twice.csv", f"{manifest}\ncat/../dog/001.png,cat", "1 file is in two rows"),
    ):
        s3.put_object(Bucket=bucket, Key=f"sets/pets/{name}", Body=text.encode())
        refused(f"{url}/{name}", f"{url}/{name}: {said}")


def pngs(root):
    return sorted(root.rglob("*.png"))


def refused(path, sentence, **keys):
    with pytest.raises(DataError) as caught:
        load_catalog(DataSpec(path=path, **keys))
    said = str(caught.value)
    assert sentence in said
    assert "\n" not in said
    assert "secret" not in said
    return said


def test_damaged_objects_are_named_by_their_addresses(sets, s3, bucket):
    _, url = sets
    s3.put_object(Bucket=bucket, Key="sets/pets/cat/000.png", Body=b"")
    recipe = RecipeSpec(image_size=16)
    with pytest.raises(DataError, match=r"cannot be read: s3://bucket-.*/cat/000\.png \(is"):
        load_readable(DataSpec(path=url), recipe)
    found = load_readable(DataSpec(path=url, max_bad_fraction=0.1), recipe)
    assert [name for name, _ in found.left_out] == ["cat/000.png"]


def test_what_is_not_there(sets, monkeypatch, bucket):
    _, url = sets
    refused("s3://no-such-bucket/x", "s3://no-such-bucket/x: there is no such bucket")
    refused("s3://no-such-bucket/x.csv", "there is no such bucket")
    refused(f"s3://{bucket}/nothing", "there is nothing below")
    refused(f"s3://{bucket}/x.csv", "there is no such object")
    refused(f"s3://{bucket}/x.npz", "folders of images and manifests are read")
    refused("s3://", "is not s3://BUCKET/KEY")
    said = refused(f"s3://{bucket}", f"s3://{bucket}: ")
    assert "objects/trees" not in said
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    refused(url, f"{url}: there are no credentials for the bucket; set AWS_ACCESS_KEY_ID")


def test_a_bucket_that_cannot_be_reached(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    refused(f"s3://{bucket}/x", "the bucket cannot be reached")


def test_a_full_disk_leaves_nothing_half_fetched(sets, s3, bucket, cache_home):
    _, url = sets
    s3.put_object(Bucket=bucket, Key="sets/pets/cat/large.png", Body=bytes(9000))
    with full_disk():
        refused(url, "cannot be kept in")
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in kept(cache_home)}
    assert hashlib.sha256(bytes(9000)).hexdigest() not in digests
    assert not list((cache_home / "tlsearch/objects").rglob(".half-*"))


def test_no_keys_in_a_spec(tmp_path):
    spec = tmp_path / "x.toml"
    spec.write_text(
        'name = "x"\ndata.path = "s3://me:hunter2@bucket/x"\nbackbone.model = "resnet18"'
    )
    with pytest.raises(SpecError) as caught:
        load_spec(spec)
    assert "keys belong into the environment" in str(caught.value)
    assert "hunter2" not in str(caught.value)
