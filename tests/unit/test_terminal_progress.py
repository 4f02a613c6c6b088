"""What people see while something takes long: something moves."""

import io
import re
import time

import pytest
from rich.console import Console

from tlsearch.cli import slots_display, terminal_progress, ticker
from tlsearch.launcher import Slot


def wait_for(true, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "never happened"
        time.sleep(0.05)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A stream, no terminal, on which nothing is quiet for longer than a moment."""
    stream = io.StringIO()
    plain = Console(file=stream, markup=False, emoji=False, highlight=False, soft_wrap=True)
    for module in (terminal_progress, slots_display):
        monkeypatch.setattr(module, "console", plain)
        monkeypatch.setattr(module, "QUIET_SECONDS", 0.3)
        monkeypatch.setattr(module, "_SECONDS_UNSAID", 0.1)
    return stream


def test_a_line_that_stands_says_for_how_long(shown: io.StringIO) -> None:
    with terminal_progress.TerminalProgress() as progress:
        progress.preparing("loading the pretrained network")
        wait_for(lambda: shown.getvalue().count("\n") >= 4)
        progress.note("expected: about 3:00")
    lines = shown.getvalue().splitlines()
    assert lines[0] == "loading the pretrained network ..."
    assert lines[-1] == "expected: about 3:00"
    for line in lines[1:-1]:
        assert re.fullmatch(r"loading the pretrained network \.\.\. \(0:0\d so far\)", line)
    time.sleep(0.6)
    assert shown.getvalue().splitlines() == lines, "nothing is shown any more"


def test_the_launcher_too(shown: io.StringIO) -> None:
    slots = [Slot("cpu/1", "cpu"), Slot("cpu/2", "cpu")]
    event = {"event": "preparing", "study": "cars", "what": "reading the images"}
    with slots_display.SlotsDisplay(slots) as display:
        display.progress(slots[1], event)
        wait_for(lambda: "so far" in shown.getvalue())
        display.progress(slots[0], {"event": "note", "study": "cars", "what": "about 3:00"})
    assert "cpu/2  cars  reading the images ... (0:0" in shown.getvalue()
    assert "cpu/1  cars  about 3:00" in shown.getvalue()


def test_a_slow_command_says_that_it_has_begun(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ticker, "_FIRST_SECONDS", 0.1)
    monkeypatch.setattr(ticker, "QUIET_SECONDS", 0.3)
    for args in (["status", "x"], ["check", "x", "--json"], ["worker", "--json-progress"], []):
        begun = ticker.Beginning()
        begun.begin(args)
        time.sleep(0.5)
        begun.end()
    assert capsys.readouterr().out == ""
    begun = ticker.Beginning()
    begun.begin(["check", "x.toml"])
    time.sleep(1.2)
    begun.end()
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "starting ..."
    assert re.fullmatch(r"starting \.\.\. \(\d s so far\)", said[1])
    time.sleep(0.5)
    assert capsys.readouterr().out == ""
