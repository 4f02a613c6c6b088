"""Data sets of the hub by name, against a server on localhost that speaks what the hub speaks."""

import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet
import pytest

from tests.unit.data.test_data_huggingface import FEATURES, table
from tlsearch.errors import SpecError
from tlsearch.spec import load_spec

SHA = "1" * 40
LOAD = """
import sys
from tlsearch.data import load_catalog
from tlsearch.errors import DataError
from tlsearch.spec import DataSpec
for path in sys.argv[1:]:
    try:
        found = load_catalog(DataSpec(path=path))
        print(found.class_names, len(found.train), len(found.val), len(found.test))
    except DataError as error:
        print(error)
"""


def parquet(start: int, n: int, features: object = FEATURES) -> bytes:
    rows = table(start, n)
    info = json.dumps({"info": {"features": features}})
    out = io.BytesIO()
    pa.parquet.write_table(rows.replace_schema_metadata({"huggingface": info}), out)
    return out.getvalue()


TEXTS = {"image": {"_type": "Value"}, "label": {"_type": "ClassLabel", "names": ["a", "b"]}}
REPOSITORIES = {
    "me/pets": {
        "default/train/0000.parquet": parquet(0, 20),
        "default/train/0001.parquet": parquet(20, 20),
        "default/test/0000.parquet": parquet(40, 10),
        "large/train/0000.parquet": parquet(100, 30),
    },
    "me/two": {"a/train/0.parquet": b"PAR1", "b/train/0.parquet": b"PAR1"},
    "me/texts": {"default/train/0000.parquet": parquet(0, 20, TEXTS)},
    "me/huge": {"default/partial-train/0000.parquet": parquet(0, 20)},
}


class Hub(BaseHTTPRequestHandler):
    """What is asked of it: a revision, the tree of one, and files."""

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        name = next((name for name in REPOSITORIES if f"/{name}/" in path), None)
        if name is None:
            code = "RevisionNotFound" if "me/plain" in path else "RepoNotFound"
            return self.answer(404, b"{}", {"X-Error-Code": code})
        files = REPOSITORIES[name]
        if path.startswith(f"/api/datasets/{name}/revision/"):
            siblings = [{"rfilename": file} for file in files]
            return self.answer(200, {"id": name, "sha": SHA, "siblings": siblings})
        if path.startswith(f"/api/datasets/{name}/tree/"):
            rows = [
                {"type": "file", "path": file, "size": len(data), "oid": oid(data)}
                for file, data in files.items()
            ]
            return self.answer(200, rows)
        data = files[path.removeprefix(f"/datasets/{name}/resolve/{SHA}/")]
        self.server.asked.append(path)  # type: ignore[attr-defined]
        return self.answer(200, data, {"ETag": f'"{oid(data)}"', "X-Repo-Commit": SHA})

    def do_HEAD(self) -> None:
        self.do_GET()

    def answer(self, code: int, body: object, headers: dict[str, str] | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


def oid(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


@pytest.fixture(scope="module")
def hub() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.asked = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def load(home: Path, endpoint: str, *paths: str, **variables: str) -> list[str]:
    """Load data sets in a process that has its own caches; return a line of each."""
    environment = {
        **os.environ, "HF_HOME": str(home / "hf"), "XDG_CACHE_HOME": str(home / "cache"),
        "HF_ENDPOINT": endpoint, "NO_PROXY": "127.0.0.1", **variables,
    }  # fmt: skip
    command = [sys.executable, "-c", LOAD, *paths]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_by_name_then_from_the_cache_then_without_a_network(hub, tmp_path):
    endpoint = f"http://127.0.0.1:{hub.server_port}"
    sets = ["hf:me/pets", "hf:me/pets:large"]
    bad = ["hf:me/none", "hf:me/plain", "hf:me/two", "hf:me/pets:x", "hf:me/texts", "hf:me/huge"]
    lines = load(tmp_path, endpoint, *sets, *bad, "hf:a b/c/d")
    assert lines[0].startswith("('dog', 'cat') ")
    assert sum(map(int, lines[0].split()[2:])) == 50
    assert lines[0].endswith(" 10")
    assert sum(map(int, lines[1].split()[2:])) == 30
    for line, said in zip(
        lines[2:],
        [
            "hf:me/none: the hub has no data set 'me/none', or it is private",
            "hf:me/plain: the hub has no Parquet files of it; save it by the package datasets",
            "hf:me/two: has several configurations; append one of a, b, as in hf:NAME:a",
            "hf:me/pets:x: has no configuration 'x'; append one of default, large",
            "hf:me/texts: has no column of images; its columns are image, label",
            "hf:me/huge: is so large that the hub has Parquet files of a part alone",
            "hf:a b/c/d: is no name of a data set",
        ],
        strict=True,
    ):
        assert line.startswith(said)
    asked = len(hub.asked)
    nowhere = "http://127.0.0.1:1"
    assert load(tmp_path, nowhere, *sets) == lines[:2]
    (tmp_path / "cache").rename(tmp_path / "gone")  # as after hf download alone
    assert load(tmp_path, nowhere, *sets, HF_HUB_OFFLINE="1")[1] == lines[1]
    assert len(hub.asked) == asked
    (line,) = load(tmp_path / "other", nowhere, "hf:me/pets", HF_HUB_OFFLINE="1")
    assert line.startswith("hf:me/pets: is not in the hub's cache, and cannot be downloaded (")
    assert "hf download me/pets --repo-type dataset --revision refs/convert/parquet" in line


def test_a_name_is_no_path(tmp_path):
    spec = tmp_path / "x.toml"
    spec.write_text('name = "x"\ndata.path = "hf:me/pets"\nbackbone.model = "resnet18"')
    assert load_spec(spec).data.path == "hf:me/pets"
    spec.write_text('name = "x"\ndata.path = "hf:"\nbackbone.model = "resnet18"')
    with pytest.raises(SpecError, match="hf:NAME"):
        load_spec(spec)
