"""Who gets through to the dashboard."""

import io
import json
from typing import Any

import pytest

from tlsearch.dashboard.auth import LOCAL_NAMES, DashboardAuth, check_token, is_local
from tlsearch.errors import InputError

TOKEN = "a-token-of-some-length"


def program(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """What is behind the gate; as optuna-dashboard, it lets every page read artifacts."""
    start_response("200 OK", [("Access-Control-Allow-Origin", "*"), ("X-Own", "kept")])
    return [b"inside"]


def ask(
    gate: DashboardAuth,
    path: str = "/api/studies",
    method: str = "GET",
    body: bytes = b"",
    **headers: str,
) -> tuple[int, dict[str, str], str]:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "HTTP_HOST": "localhost:8080",
        "wsgi.input": io.BytesIO(body),
        "CONTENT_LENGTH": str(len(body)),
    }
    environ |= {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    answered: list[Any] = []
    text = b"".join(gate(environ, lambda status, headers: answered.extend([status, headers])))
    return int(answered[0].split()[0]), dict(answered[1]), text.decode()


def test_open_gate() -> None:
    status, headers, text = ask(DashboardAuth(program))
    assert (status, text) == (200, "inside")
    assert headers["X-Own"] == "kept"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in headers
    assert ask(DashboardAuth(program), method="DELETE")[0] == 200
    assert ask(DashboardAuth(program), "/")[:2][1]["Location"] == "/dashboard"


def test_files_that_somebody_uploaded_run_no_scripts() -> None:
    _, headers, _ = ask(DashboardAuth(program), "/artifacts/1/2/abc")
    assert headers["Content-Security-Policy"].startswith("sandbox;")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_read_only(method: str) -> None:
    gate = DashboardAuth(program, read_only=True)
    assert ask(gate, method=method)[0] == 403
    assert ask(gate)[0] == ask(gate, method="HEAD")[0] == 200


def test_renaming_would_take_a_study_from_its_workers() -> None:
    for path in ("/api/studies/1/rename", "/api/studies/1/rename/", "//api/studies/12//rename"):
        assert ask(DashboardAuth(program), path, "POST")[0] == 403
    _, headers, text = ask(DashboardAuth(program), "/api/studies/1/rename", "POST")
    assert headers["Content-Type"].startswith("application/json")
    assert "create a study with the other name" in json.loads(text)["reason"]
    assert ask(DashboardAuth(program), "/api/studies/1/note", "PUT")[0] == 200


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"authorization": "Bearer"},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": f"Bearer {TOKEN[:-1]}"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": "Bearer \udcff"},
        {"cookie": "tlsearch=1"},
        {"cookie": 'x="; ;;=,'},
        {"cookie": f"token={TOKEN}"},
    ],
)
def test_without_the_token(sent: dict[str, str]) -> None:
    for path in ("/", "/api/studies", "/artifacts/1/2/abc", "/login"):
        status, headers, text = ask(DashboardAuth(program, TOKEN), path, "GET", b"", **sent)
        assert status == 401
        assert "inside" not in text
        assert headers["WWW-Authenticate"].startswith("Bearer")
    gate = DashboardAuth(program, TOKEN, read_only=True)
    assert ask(gate, "/api/studies", "DELETE", b"", **sent)[0] == 401


def test_with_the_token() -> None:
    gate = DashboardAuth(program, TOKEN)
    assert ask(gate, authorization=f"Bearer {TOKEN}")[0] == 200
    assert ask(gate, authorization=f"bearer  {TOKEN} ")[0] == 200
    gate = DashboardAuth(program, TOKEN, read_only=True)
    assert ask(gate, authorization=f"Bearer {TOKEN}", method="DELETE")[0] == 403


def test_logging_in() -> None:
    gate = DashboardAuth(program, TOKEN, read_only=True)
    status, headers, page = ask(gate, "/dashboard/studies/1", accept="text/html,*/*")
    assert (status, headers["Content-Type"]) == (401, "text/html; charset=utf-8")
    assert 'action="/login"' in page
    for wrong in (b"", b"token=", b"token=wrong", b"other=1", b"\xff", b"token=" + b"x" * 5000):
        status, headers, page = ask(gate, "/login", "POST", wrong, accept="text/html")
        assert status == 401
        assert "not the token" in page
        assert "Set-Cookie" not in headers
    status, headers, _ = ask(gate, "/login", "POST", f"token=+{TOKEN}+".encode())
    assert (status, headers["Location"]) == (303, "/dashboard")
    cookie, *marks = headers["Set-Cookie"].split("; ")
    assert TOKEN not in cookie
    assert marks == ["Path=/", "HttpOnly", "SameSite=Strict"]
    assert ask(gate, cookie=f"else=1; {cookie}")[0] == 200
    assert ask(gate, cookie=cookie + "0")[0] == 401
    assert ask(DashboardAuth(program, TOKEN + "x"), cookie=cookie)[0] == 401


def test_names_of_other_machines_that_lead_here() -> None:
    gate = DashboardAuth(program, hosts=LOCAL_NAMES)
    for host in ("localhost", "localhost:8080", "LOCALHOST", "127.0.0.1:80", "[::1]:8080", "[::1]"):
        assert ask(gate, host=host)[0] == 200
    for host in ("", "evil.example", "evil.example:8080", "localhost.evil.example", "a:b:c", "::1"):
        assert ask(gate, host=host)[0] == 403
    assert ask(DashboardAuth(program), host="evil.example")[0] == 200


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"sec_fetch_site": "same-origin"}, 200),
        ({"sec_fetch_site": "none"}, 200),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"sec_fetch_site": "cross-site", "origin": "http://localhost:8080"}, 403),
        ({"origin": "http://localhost:8080"}, 200),
        ({"origin": "http://localhost:9000"}, 403),
        ({"origin": "null"}, 403),
        ({}, 200),
    ],
)
def test_changes_that_another_web_page_asks_for(sent: dict[str, str], status: int) -> None:
    path = "/api/studies"
    assert ask(DashboardAuth(program), path, "POST", b"", **sent)[0] == status
    assert ask(DashboardAuth(program), path, "GET", b"", **sent)[0] == 200
    if status == 403:
        form = f"token={TOKEN}".encode()
        assert ask(DashboardAuth(program, TOKEN), "/login", "POST", form, **sent)[0] == 403


@pytest.mark.parametrize("token", ["", "short", "with a space in it", "with-a-ü-in-the-middle"])
def test_tokens_that_cannot_be_used(token: str) -> None:
    with pytest.raises(InputError, match="NAME must have at least 16"):
        check_token(token, "NAME")
    assert check_token(TOKEN, "NAME") == TOKEN


def test_local_addresses() -> None:
    assert all(map(is_local, ("127.0.0.1", "127.8.9.1", "::1", "localhost", "LocalHost")))
    assert not any(map(is_local, ("0.0.0.0", "::", "192.168.1.2", "example.org", "", "127.0.0")))
