"""Who may see the dashboard, and who may change studies with it: a layer around a WSGI program."""

import hmac
import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tlsearch.errors import InputError

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Program = Callable[[Environ, StartResponse], Iterable[bytes]]
Headers = list[tuple[str, str]]

SHORTEST_TOKEN = 16
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
LONGEST_FORM = 4096  # bytes

_HEADERS = [
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "SAMEORIGIN"),
    ("Referrer-Policy", "same-origin"),
]
_LOGIN = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>tlsearch dashboard</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body {{ font: 16px sans-serif; max-width: 26em; margin: 15vh auto; padding: 0 1em }}
input, button {{ font: inherit; padding: .4em .6em }}</style></head>
<body><h1>tlsearch dashboard</h1><p>{words}</p>
<form method="post" action="/login"><label>Token <input type="password" name="token" autofocus
autocomplete="current-password" required></label> <button>Log in</button></form></body></html>
"""
_ASK_TOKEN = "Give the token that the dashboard was started with."
_READ_ONLY = "this dashboard was started with --read-only"
_RENAMING = re.compile(r"/+api/+studies/+\d+/+rename/*")
_NO_RENAMING = (
    "optuna-dashboard renames a study by copying and deleting it, so its workers would lose it; "
    "create a study with the other name instead"
)
_LOGIN_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'"


def check_token(token: str, named: str) -> str:
    """Return the token if it can be used.

    Raises:
        InputError: it is too short to be safe, or no header can carry it.
    """
    if len(token) < SHORTEST_TOKEN or not re.fullmatch("[!-~]+", token):
        make = "python3 -c 'import secrets; print(secrets.token_urlsafe())'"
        raise InputError(
            f"{named} must have at least {SHORTEST_TOKEN} characters, all of them printable ASCII "
            f"without spaces; {make} makes one"
        )
    return token


def is_local(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class DashboardAuth:
    """Passes on to a WSGI program only the requests that are allowed.

    Args:
        program: the program.
        token: requests must carry it, or the cookie of a login with it; None = no token needed.
        read_only: whether every change is refused.
        hosts: host names that requests may be sent to; others are refused, because a web page
            could reach this server by a name of its own (DNS rebinding); None = any.
    """

    def __init__(
        self,
        program: Program,
        token: str | None = None,
        read_only: bool = False,
        hosts: frozenset[str] | None = None,
    ) -> None:
        self._program = program
        self._token = token
        self._read_only = read_only
        self._hosts = hosts

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, or pass it on."""
        path = environ.get("PATH_INFO", "")
        problem = self._cross_site_problem(environ)
        if problem:
            return _forbid(start_response, path, problem)
        if self._token is not None and path == "/login":
            return self._login(environ, start_response, self._token)
        if self._token is not None and not _has_token(environ, self._token):
            return _ask(environ, start_response, _ASK_TOKEN)
        if not _is_read(environ) and (self._read_only or _RENAMING.fullmatch(path)):
            return _forbid(start_response, path, _READ_ONLY if self._read_only else _NO_RENAMING)
        if path in ("", "/"):
            return _redirect(start_response, "302 Found", [])
        return self._program(environ, _with_headers(start_response, path))

    def _cross_site_problem(self, environ: Environ) -> str | None:
        """Say why this request may come from another web page; None if it does not."""
        if self._hosts is not None and _host_name(environ) not in self._hosts:
            return f"use one of these host names: {', '.join(sorted(self._hosts))}"
        if not _is_read(environ) and _is_cross_origin(environ):
            return "another web page sent this request"
        return None

    def _login(
        self, environ: Environ, start_response: StartResponse, token: str
    ) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] != "POST":
            return _ask(environ, start_response, _ASK_TOKEN)
        if not _equal(_form(environ).get("token", "").strip(), token):
            return _ask(environ, start_response, "That is not the token.")
        name, value = _cookie(token)
        cookie = f"{name}={value}; Path=/; HttpOnly; SameSite=Strict"
        return _redirect(start_response, "303 See Other", [("Set-Cookie", cookie)])


def _is_read(environ: Environ) -> bool:
    return environ["REQUEST_METHOD"] in ("GET", "HEAD")


def _has_token(environ: Environ, token: str) -> bool:
    scheme, _, given = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer" and _equal(given.strip(), token):
        return True
    name, value = _cookie(token)
    try:
        found = SimpleCookie(environ.get("HTTP_COOKIE", "")).get(name)
    except CookieError:
        return False
    return found is not None and _equal(found.value, value)


def _cookie(token: str) -> tuple[str, str]:
    """Return name and value of the login cookie; the token cannot be computed from them.

    Browsers send the cookies of a host to all its ports, so each token has its own cookie name.
    """
    name, value = (hmac.digest(token.encode(), what, "sha256").hex() for what in (b"name", b"in"))
    return f"tlsearch-{name[:8]}", value


def _equal(given: str, wanted: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(given.encode(errors="replace"), wanted.encode())


def _form(environ: Environ) -> Mapping[str, str]:
    try:
        length = int(environ.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return {}
    if not 0 < length <= LONGEST_FORM:
        return {}
    fields = parse_qs(environ["wsgi.input"].read(length).decode("utf-8", "replace"))
    return {name: values[0] for name, values in fields.items()}


def _host_name(environ: Environ) -> str:
    found = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(:\d+)?", environ.get("HTTP_HOST", ""))
    return found[1].lower() if found else ""


def _is_cross_origin(environ: Environ) -> bool:
    """Whether a browser sends this request for a page of another site."""
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = environ.get("HTTP_ORIGIN")
    return origin is not None and urlsplit(origin).netloc != environ.get("HTTP_HOST")


def _with_headers(start_response: StartResponse, path: str) -> StartResponse:
    """Add headers that protect from other pages and from uploaded files."""
    added = list(_HEADERS)
    if path.startswith("/artifacts/"):
        added += [("Content-Security-Policy", "sandbox; default-src 'none'")]

    def start(status: str, headers: Headers, *more: Any) -> Any:
        kept = [pair for pair in headers if pair[0].lower() != "access-control-allow-origin"]
        return start_response(status, kept + added, *more)

    return start


def _ask(environ: Environ, start_response: StartResponse, words: str) -> Iterable[bytes]:
    """Answer 401; browsers get a login form."""
    headers = [("WWW-Authenticate", 'Bearer realm="tlsearch"')]
    if "text/html" not in environ.get("HTTP_ACCEPT", ""):
        return _plain_text(start_response, "401 Unauthorized", words, headers)
    headers += [("Content-Security-Policy", _LOGIN_POLICY)]
    page = _LOGIN.format(words=words)
    return _answer(start_response, "401 Unauthorized", page, "text/html", headers)


def _forbid(start_response: StartResponse, path: str, why: str) -> Iterable[bytes]:
    """Answer 403, to optuna-dashboard's pages in the form whose reason they show."""
    if not path.startswith("/api/"):
        return _plain_text(start_response, "403 Forbidden", why)
    reason = json.dumps({"reason": why})
    return _answer(start_response, "403 Forbidden", reason, "application/json", [])


def _plain_text(
    start_response: StartResponse, status: str, words: str, headers: Headers | None = None
) -> Iterable[bytes]:
    return _answer(start_response, status, words + "\n", "text/plain", headers or [])


def _redirect(start_response: StartResponse, status: str, headers: Headers) -> Iterable[bytes]:
    """Redirect to the list of studies, without a host: it stays the one of the request."""
    return _answer(start_response, status, "", "text/plain", [*headers, ("Location", "/dashboard")])


def _answer(
    start_response: StartResponse, status: str, text: str, kind: str, headers: Headers
) -> Iterable[bytes]:
    body = text.encode()
    shown = [("Content-Type", f"{kind}; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response(status, [*shown, ("Cache-Control", "no-store"), *headers, *_HEADERS])
    return [body]
