"""`tlsearch report` on a real database, looked at in a real browser."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState, create_trial

import tlsearch as api
from tests.acceptance.conftest import storage_at
from tests.acceptance.study_rows import add_trial, measure, pictures
from tests.acceptance.test_dashboard import browser
from tests.unit.report.made import HOSTILE
from tlsearch.artifacts import open_artifacts
from tlsearch.store.studies import find_study

NAME = HOSTILE.replace("\n", " ")[:150]
WIDTHS = (400, 1400)
RATES = (0.002, 0.004, 0.01, 0.03, 0.06)


@pytest.fixture
def study(tlsearch, tiny, storage_url, tmp_path, monkeypatch):
    """A measured study with a hostile name, whose trials are of many kinds."""
    monkeypatch.setenv("TLSEARCH_ARTIFACTS", str(tmp_path / "artifacts"))
    tlsearch.run("create", str(tiny("x", measures="worker", trials=100)))
    storage = storage_at(storage_url)
    measure(storage, "x")
    found = find_study(storage, "x")
    add_trial(storage, found, 0.6, origin="default", user_attrs={"energy_joules": 3.6e6})
    for n in range(40):
        params = {"high_lr": RATES[n % 5], "reinit_layers": 1 + n % 2, "low_layers": n % 4}
        params |= {"low_lr_ratio": 0.1 + 0.1 * (n % 9), "l2sp_layers": n % 5, "alpha": 1e-3}
        state = TrialState.PRUNED if n % 10 == 9 else TrialState.COMPLETE
        accuracy = 0.5 + 0.005 * n + 0.02 * (n % 2)
        add_trial(storage, found, accuracy, params=params, state=state)
    shown = pictures(open_artifacts(), found, 0.9)
    add_trial(storage, found, 0.9, params={"high_lr": 0.02}, system_attrs=shown)
    with storage.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE studies SET study_name = %s WHERE study_name = 'x'", (NAME,)
        )
    return find_study(storage, NAME)


@pytest.fixture
def own_study(tlsearch, tiny):
    """A study whose trials real workers run on a real network."""
    tlsearch.run("create", str(tiny(trials=3)))
    return "tiny"


def test_a_report_of_real_trials(tlsearch, own_study, tmp_path, storage_url):
    out = tmp_path / "report"
    refused = tlsearch.run("report", own_study, "--out", str(out), rc=2)
    assert "no complete trial yet" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not out.exists()
    tlsearch.run("worker", own_study)
    told = tlsearch.json("report", own_study, "--out", str(out))
    assert told == {"study": own_study, "page": f"{out}/index.html", "folder": str(out)}
    page = (out / "index.html").read_text()
    assert "tlsearch finalists tiny" in page
    assert {p.name for p in out.iterdir()} >= {"figures", "tables", "pictures", "index.html"}
    assert any("predictions" in path.name for path in (out / "pictures").iterdir())
    assert api.write_report(own_study, out, storage_url) == out / "index.html"  # replaces it
    (out / "mine").write_text("mine")
    refused = tlsearch.run("report", own_study, "--out", str(out), rc=2)
    assert "'mine'" in refused.stderr
    assert (out / "mine").exists()
    assert "no-study" in tlsearch.run("report", "no-study", "--out", str(out), rc=2).stderr


def test_failed_trials_alone_are_one_sentence(tlsearch, tiny, storage_url, tmp_path):
    tlsearch.run("create", str(tiny()))
    storage = storage_at(storage_url)
    found = find_study(storage, "tiny")
    for _ in range(2):
        storage.create_new_trial(found.study_id, create_trial(state=TrialState.FAIL))
    refused = tlsearch.run("report", "tiny", "--out", str(tmp_path / "r"), rc=2)
    assert "no complete trial yet (2 failed)" in refused.stderr
    assert not (tmp_path / "r").exists()


def test_in_a_browser(study, tlsearch, tmp_path):
    """Set TLSEARCH_SCREENSHOTS to a folder to look at the pages yourself."""
    out = tmp_path / "report"
    tlsearch.run("report", NAME, "--out", str(out))
    shots = os.environ.get("TLSEARCH_SCREENSHOTS")
    with browser(tmp_path / "profile") as page:
        page.execute_cdp_cmd("Network.enable", {})
        for width in WIDTHS:
            for scheme in ("light", "dark"):
                look(page, out / "index.html", width, scheme)
                if shots:
                    shoot(page, Path(shots) / f"report-{width}-{scheme}.png", width)
        printed = page.execute_cdp_cmd("Page.printToPDF", {})["data"]
        messages = [entry["message"] for entry in page.get_log("browser")]
    assert messages == []
    assert base64.b64decode(printed).startswith(b"%PDF")


def look(page: Any, path: Path, width: int, scheme: str) -> None:
    """Open a page as a browser of this width and scheme does, and check what it shows."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    page.get(path.as_uri())
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    assert (
        page.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
        == []
    )
    sizes = page.execute_script(
        "return [...document.querySelectorAll('figure svg, figure img')].map(e => {"
        "const box = e.getBoundingClientRect(); return [e.closest('figure').id, box.width,"
        " box.height, e.tagName == 'IMG' ? e.naturalWidth : 1]})"
    )
    assert len(sizes) > 10
    for name, wide, high, natural in sizes:
        assert wide > 250, name
        assert high > 100, name
        assert natural, name
        assert wide <= width, name
    small = page.execute_script(
        "return Math.min(...[...document.querySelectorAll('figure svg text')]"
        ".map(e => e.getBoundingClientRect().height))"
    )
    assert small > 6  # pixels
    ink = page.execute_script("return getComputedStyle(document.body).color")
    light = sum(map(int, ink.removeprefix("rgb(").rstrip(")").split(","))) > 3 * 128
    assert light == (scheme == "dark")
    assert page.execute_script("return document.querySelector('h1').textContent").startswith("<sc")


def shoot(page: Any, path: Path, width: int) -> None:
    high = page.execute_script("return document.documentElement.scrollHeight")
    size = {"width": width, "height": high, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    path.parent.mkdir(exist_ok=True)
    page.save_screenshot(str(path))


def test_files_beside_the_page(study, tlsearch, tmp_path):
    out = tmp_path / "report"
    assert tlsearch.run("report", NAME, "--out", str(out)).stdout == f"{out}/index.html\n"
    page = (out / "index.html").read_text()
    assert "<script" not in page
    assert "http:" not in page.replace("http://www.w3.org/", "")
    assert "https:" not in page
    assert "took 1 kWh" in page
    listed = set(json.loads((out / ".tlsearch-report.json").read_text())["files"])
    there = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    assert there - {".tlsearch-report.json"} == listed
    for path in listed - {"index.html"}:
        assert f'href="{path}"' in page
