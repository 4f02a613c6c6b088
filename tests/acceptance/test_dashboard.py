"""`tlsearch dashboard` as a real process: over HTTP, and in a real browser."""

import json
import os
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import optuna_dashboard
import pytest

from tests.acceptance.conftest import wait_until
from tests.acceptance.study_rows import add_trial, measure, pictures
from tests.conftest import free_port
from tlsearch.artifacts import open_artifacts
from tlsearch.dashboard.artifact_stores import open_stores
from tlsearch.dashboard.serve import _announce, _token
from tlsearch.records import BEING_CREATED_PREFIX
from tlsearch.store.connect import open_storage
from tlsearch.store.studies import find_study

TOKEN = "a-token-of-some-length"
CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
FLAGS += ["--window-size=1400,2400"]


@dataclass
class Answer:
    """What the server sent back."""

    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


class Dashboard:
    """A running dashboard."""

    def __init__(self, port: int, process: subprocess.Popen[str]) -> None:
        self.port = port
        self.process = process
        self.address = f"http://127.0.0.1:{port}"

    def ask(
        self, path: str, method: str = "GET", data: bytes | None = None, **headers: str
    ) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.address + path, data, named, method=method)
        opener = urllib.request.build_opener(_Stay, urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                return Answer(answer.status, answer.read(), dict(answer.headers))
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read(), dict(error.headers))

    def end(self, how: signal.Signals) -> tuple[int, str, str]:
        """Send a signal; return the exit code and what was printed."""
        self.process.send_signal(how)
        stdout, stderr = self.process.communicate(timeout=60)
        return self.process.returncode, stdout, stderr


@pytest.fixture
def study(tlsearch, tiny) -> Any:
    """A study with a prior, a default, and a best trial that has pictures."""
    tlsearch.run("create", str(tiny(measures="worker", trials=20)))
    storage = open_storage(tlsearch.storage_url)
    measure(storage, "tiny")
    found = find_study(storage, "tiny")
    add_trial(storage, found, 0.6, origin="default")
    add_trial(storage, found, 0.7421, origin="prior", params={"high_lr": 0.005})
    shown = pictures(open_artifacts(), found, 0.8837)
    add_trial(
        storage,
        found,
        0.8837,
        origin="draw",
        system_attrs=shown,
        user_attrs={"worker": "tower gpu 1"},
        params={"high_lr": 0.0123},
    )
    optuna.create_study(study_name=f"{BEING_CREATED_PREFIX}x", storage=storage)
    return optuna.load_study(study_name="tiny", storage=storage)


@pytest.fixture
def dashboard(tlsearch, monkeypatch) -> Iterator[Callable[..., Any]]:
    """Start a dashboard on a free port, and see that it is gone afterwards."""
    processes = []

    def start(*args: str, **env: str) -> Dashboard:
        port = free_port()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in env.items():
                patch.setenv(name, value)
            processes.append(tlsearch.start("dashboard", "--port", str(port), *args))
        started = Dashboard(port, processes[-1])
        wait_until(lambda: listens(started), "the dashboard answers", 60)
        return started

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def listens(dashboard: Dashboard) -> bool:
    assert dashboard.process.poll() is None, dashboard.process.communicate()
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", dashboard.port)) == 0


def test_studies_notes_and_files(study, dashboard):
    study_id = study._study_id
    shown = dashboard()
    assert shown.ask("/").headers["Location"] == "/dashboard"
    assert b"Optuna Dashboard" in shown.ask("/dashboard").body
    assert len(shown.ask("/static/bundle.js", Accept_Encoding="gzip").body) > 1_000_000
    names = {s["study_name"] for s in shown.ask("/api/studies").json["study_summaries"]}
    assert names == {"tiny", "tiny/measures"}
    found = wait_until(
        lambda: (
            answer
            if "88.4 %" in (answer := shown.ask(f"/api/studies/{study_id}").json)["note"]["body"]
            else None
        ),
        "the note is refreshed when the dashboard starts",
    )
    (best,) = found["best_trials"]
    assert (best["number"], best["values"]) == (study.best_trial.number, [0.8837])
    assert found["objective_names"] == ["val_accuracy"]
    assert {"key": "worker", "value": "tower gpu 1"} in best["user_attrs"]
    files = {file["filename"]: file for file in best["artifacts"]}
    assert set(files) == {"learning_curve.png", "confusion_matrix.png"}
    where = f"/artifacts/{study_id}/{best['trial_id']}/"
    picture = shown.ask(where + files["learning_curve.png"]["artifact_id"])
    assert (picture.status, picture.body[:4]) == (200, b"\x89PNG")
    assert "Access-Control-Allow-Origin" not in picture.headers
    open_artifacts().remove(files["learning_curve.png"]["artifact_id"])
    gone = shown.ask(where + files["learning_curve.png"]["artifact_id"])
    assert (gone.status, b"Traceback" in gone.body) == (404, False)

    body = json.dumps({"version": found["note"]["version"] + 1, "body": "Mine."}).encode()
    path = f"/api/studies/{study_id}/note"
    json_type = {"Content_Type": "application/json"}
    assert shown.ask(path, "PUT", body, Origin="http://evil.example", **json_type).status == 403
    assert shown.ask("/api/studies", Host="evil.example").status == 403
    assert shown.ask(path, "PUT", body, Origin=shown.address, **json_type).status == 204
    assert optuna_dashboard.get_note(study) == "Mine."
    code, stdout, stderr = shown.end(signal.SIGINT)
    assert (code, stderr) == (0, "")
    assert stdout == f"optuna-dashboard on {shown.address} (Ctrl-C stops it)\n"


def test_files_where_the_spec_says(tlsearch, tiny, dashboard, tmp_path):
    folder = tmp_path / "files of trials"
    spec = tiny(more=f'\n[checkpoints]\nfolder = "{folder}"\n')
    tlsearch.run("create", str(spec))
    gone = tmp_path / "gone"
    tlsearch.run("create", str(tiny("gone", more=f'\n[checkpoints]\nfolder = "{gone}"\n')))
    storage = open_storage(tlsearch.storage_url)
    found = find_study(storage, "tiny")
    attrs = pictures(open_artifacts(str(folder)), found, 0.9)
    number = add_trial(storage, found, 0.9, system_attrs=attrs)
    trial_id = storage.get_trial_id_from_study_id_trial_number(found.study_id, number)
    path = f"/artifacts/{found.study_id}/{trial_id}/{next(iter(attrs)).removeprefix('artifacts:')}"
    shown = dashboard()
    assert shown.ask(path).body[:4] == b"\x89PNG"
    stderr = shown.end(signal.SIGTERM)[2]
    assert "WARNING tlsearch.dashboard.artifact_stores: files of some studies cannot" in stderr
    assert f"be shown: artifact folder {gone}" in stderr
    assert not gone.exists()
    (only,) = open_stores(storage, str(tmp_path / "other"), read_only=False)
    assert only.read(path.rsplit("/", 1)[1]) is None


def test_token_and_read_only(study, dashboard, monkeypatch):
    path = f"/api/studies/{study._study_id}"
    shown = dashboard("--read-only", TLSEARCH_DASHBOARD_TOKEN=TOKEN)
    assert shown.ask(path).status == 401
    page = shown.ask("/dashboard", Accept="text/html")
    assert (page.status, b'<form method="post" action="/login">' in page.body) == (401, True)
    assert shown.ask(path, Authorization=f"Bearer {TOKEN}").json["name"] == "tiny"
    assert shown.ask("/login", "POST", b"token=wrong").status == 401
    entered = shown.ask("/login", "POST", f"token={TOKEN}".encode())
    cookie = entered.headers["Set-Cookie"].split(";")[0]
    assert (entered.status, entered.headers["Location"]) == (303, "/dashboard")
    assert shown.ask(path, Cookie=cookie).json["name"] == "tiny"
    assert shown.ask(path, "DELETE", Cookie=cookie).status == 403
    assert shown.ask(path, "DELETE").status == 401
    assert study.study_name == "tiny"
    code, stdout, stderr = shown.end(signal.SIGTERM)
    assert (code, stderr) == (143, "")
    assert TOKEN not in stdout
    assert "read-only, with the token" in stdout
    monkeypatch.setenv("MINE", TOKEN)
    assert (_token("MINE"), _token(None)) == (TOKEN, None)


def test_listening_to_other_machines(dashboard, caplog):
    shown = dashboard("--host", "0.0.0.0")
    assert shown.ask("/api/meta", Host="a.name.of.this.machine").status == 200
    stderr = shown.end(signal.SIGTERM)[2]
    assert "can see, change and delete every study: set TLSEARCH_DASHBOARD_TOKEN" in stderr
    for has_token, read_only, words in [
        (
            False,
            True,
            "everybody who reaches [::]:80 can see every study: set TLSEARCH_DASH",
        ),
        (True, False, "the token is sent over the network unencrypted: put TLS in front"),
    ]:
        _announce("::", 80, has_token, read_only)
        assert words in caplog.messages[-1]


def test_bad_input(tlsearch, storage_url, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused = tlsearch.run("dashboard", "--port", port, rc=2)
    assert f"cannot listen on 127.0.0.1:{port} (Address already in use)" in refused.stderr
    (tmp_path / "file").write_text("")
    for args, env, words in [
        (("--host", "no.such.host.invalid"), {}, "(no such address); choose another"),
        (("--artifacts", str(tmp_path / "file")), {}, "cannot be used (File exists)"),
        (("--artifacts", "gs://bucket"), {}, "artifacts cannot lie in gs://bucket"),
        (("--token-env", "NO_SUCH"), {}, "environment variable NO_SUCH is not set"),
        ((), {"TLSEARCH_DASHBOARD_TOKEN": "short"}, "TLSEARCH_DASHBOARD_TOKEN must have at"),
        (("--storage", "mysql://x"), {}, "mysql:// is not supported"),
    ]:
        refused = tlsearch.run("dashboard", *args, rc=2, **env)
        assert words in refused.stderr
        assert refused.stderr.count("\n") == 1


@contextmanager
def browser(profile: Path) -> Iterator[Any]:
    """A headless Chromium."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    for program in (CHROMIUM, DRIVER):
        if not program.exists():
            pytest.skip(f"{program} is not installed (apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(str(DRIVER))
    opened = webdriver.Chrome(options=options, service=service)
    try:
        yield opened
    finally:
        opened.quit()


class Reader:
    """Somebody who looks at pages."""

    def __init__(self, page: Any, address: str, shots: Path | None) -> None:
        self.page, self.address, self.shots = page, address, shots

    def sees(self, path: str, *words: str) -> str:
        """Open a page and wait until all words are on it; return its text."""
        if path not in self.page.current_url:
            self.page.get(self.address + path)
        try:
            wait_until(lambda: all(word in self.text() for word in words), f"{words}", 30)
        except AssertionError as error:
            raise AssertionError(f"{error}, but {self.text()}") from None
        if self.shots:
            name = re.sub(r"\W+", "-", path).strip("-")
            self.page.save_screenshot(str(self.shots / f"{name}.png"))
        return self.text()

    def text(self) -> str:
        from selenium.common.exceptions import StaleElementReferenceException

        try:
            return str(self.page.find_element("tag name", "body").text)
        except StaleElementReferenceException:
            return ""


def test_in_a_browser(study, dashboard, tmp_path, monkeypatch):
    """Set TLSEARCH_SCREENSHOTS to a folder to look at the pages yourself."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    shots = os.environ.get("TLSEARCH_SCREENSHOTS")
    shown = dashboard(TLSEARCH_DASHBOARD_TOKEN=TOKEN)
    best, study_id = study.best_trial.number, study._study_id
    with browser(tmp_path / "profile") as page:
        reader = Reader(page, shown.address, Path(shots) if shots else None)
        reader.sees("/dashboard", "Give the token")
        page.find_element("name", "token").send_keys(TOKEN)
        page.find_element("tag name", "button").click()
        page.get_log("browser")  # the 401 of the page before logging in
        assert BEING_CREATED_PREFIX not in reader.sees("/dashboard", "tiny", "tiny/measures")
        text = reader.sees(f"/dashboard/studies/{study_id}", "History", "Hyperparameter Importance")
        text = reader.sees(f"/dashboard/studies/{study_id}", f"Best Trial (number={best})")
        assert "0.8837" in text
        assert "high_lr: 0.0123" in text
        assert page.find_elements("css selector", ".js-plotly-plot .trace.scatter")
        text = reader.sees(f"/dashboard/studies/{study_id}/note", "88.4 %", "tlsearch worker tiny")
        assert "Fixed features beat training from random weights by 26.0 points" in text
        assert len(page.find_elements("css selector", "table")) == 3
        trial = f"/dashboard/studies/{study_id}/trials?numbers={best}"
        text = reader.sees(trial, f"Trial {best}", "learning_curve.png", "confusion_matrix.png")
        assert "worker tower gpu 1" in text
        assert "origin draw" in text
        wide = "return [...document.querySelectorAll('img')].map(i => i.naturalWidth)"
        wait_until(lambda: len([w for w in page.execute_script(wide) if w > 300]) == 2, "pictures")
        reader.sees(trial)
        messages = [entry["message"] for entry in page.get_log("browser")]
    assert messages == []
    assert shown.end(signal.SIGTERM)[2] == ""
