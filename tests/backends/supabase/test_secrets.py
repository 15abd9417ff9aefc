"""Keys, tokens and passwords are shown nowhere: not in errors and what caused them, not in the
variables of frames as Django's error page shows them, not in logs, reprs and findings.
"""

import base64
import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from io import StringIO
from secrets import token_hex
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.test import RequestFactory
from django.views.debug import technical_500_response
from supabase import ClientOptions, create_client

from parlant_store import stores
from parlant_store.backends.supabase import SupabaseBackend
from parlant_store.checks import check_stores
from parlant_store.conf import build
from parlant_store.exceptions import AccessDenied, BackendError, StoreError, StoreUnavailable
from tests.servers.http_proxy import Proxy, Reply, of_postgrest, page

BACKEND = "parlant_store.backends.supabase.SupabaseBackend"

# In no variable of a function: the frames of the tests are shown as well.
SECRETS = SimpleNamespace(
    key=f"sb_secret_{token_hex(16)}",
    token=f"eyJhbGciOiJIUzI1NiJ9.{token_hex(16)}.{token_hex(16)}",
    password=token_hex(16),
)
HERE = SimpleNamespace(proxy=None, options={})


def shown_of(error: BaseException) -> str:
    """All that tools for errors show of it: Django's page, and what stands behind it."""
    request = RequestFactory().get("/")
    pages = [
        technical_500_response(request, type(error), error, error.__traceback__).content.decode()
    ]
    pages += traceback.TracebackException.from_exception(error, capture_locals=True).format()
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        waiting += [one.__cause__, one.__context__]
        pages += [str(one), repr(one), repr(one.args), repr(vars(one))]
        assert getattr(one, "_request", None) is None
    return "\n".join(pages)


def assert_hidden(*texts: str) -> None:
    encoded = base64.b64encode(f"ann:{SECRETS.password}".encode()).decode()
    for secret in (*vars(SECRETS).values(), encoded):
        for text in texts:
            place = text.find(secret)
            assert place < 0, text[max(0, place - 300) : place].replace(secret, "")


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy().running() as proxy:
        yield proxy


@pytest.fixture(params=["key", "token", "function", "login", "client"])
def store(request: pytest.FixtureRequest, proxy: Proxy) -> Iterator[SupabaseBackend]:
    """Stores with secrets in each of the places."""
    with closing(made(request.param, proxy.url, timeout=60)) as store:
        yield store


def made(kind: str, url: str, timeout: float) -> SupabaseBackend:
    if kind == "client":
        http = httpx.Client(timeout=60, follow_redirects=True)
        given: dict[str, Any] = {
            "client": create_client(
                url.replace("//", f"//ann:{SECRETS.password}@"),
                SECRETS.key,
                ClientOptions(httpx_client=http),
            )
        }
    else:
        login = f"//ann:{SECRETS.password}@" if kind == "login" else "//"
        given = {"url": url.replace("//", login), "key": SECRETS.key}
    if kind == "token":
        given["access_token"] = SECRETS.token
    if kind == "function":
        given["access_token"] = partial(str, SECRETS.token)
    return SupabaseBackend("s", timeout=timeout, **given)


def failure(call: Callable[[], Any]) -> BaseException:
    try:
        call()
    except Exception as exc:
        return exc
    raise AssertionError("it succeeded")


REPLIES = {
    "echo as a page": Reply(200, b"<html>", "text/html", echoes=True),
    "echo as JSON": Reply(200, b"", echoes=True),
    "echo with 401": Reply(401, b"", echoes=True),
    "echo with 404": Reply(404, b"headers: ", "text/plain", echoes=True),
    "echo with 502": Reply(502, b"", "text/plain", {"Retry-After": "3600"}, echoes=True),
    "redirect": Reply(302, b"", None, {"Location": "http://127.0.0.1:9/"}),
    "refused": of_postgrest(403, "42501"),
}


def test_answers_of_servers(
    store: SupabaseBackend, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        for reply in REPLIES.values():
            proxy.answers(reply)
            for call in (lambda: store.get_items("s"), lambda: store.pop_item("s")):
                error = failure(call)
                assert isinstance(error, StoreError)
                assert_hidden(shown_of(error))
            assert proxy.requests == 2
            assert proxy.headers[0]["apikey"] == SECRETS.key
    assert_hidden(caplog.text, repr(store), repr(vars(store)), repr(vars(store.connection)))


@pytest.mark.parametrize("kind", ["key", "token", "function", "login", "client"])
def test_a_network_that_fails(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    with (
        caplog.at_level(logging.DEBUG),
        closing(made(kind, "http://127.0.0.1:9", timeout=0.9)) as store,
    ):
        error = failure(lambda: store.add_items("s", [{"n": 1}]))
    assert isinstance(error, StoreUnavailable)
    assert isinstance(error.__cause__, httpx.ConnectError)
    assert_hidden(shown_of(error), caplog.text)


def test_a_client_that_was_closed_or_has_hooks_that_fail(proxy: Proxy) -> None:
    def fail(request: httpx.Request) -> None:
        raise ValueError(f"not {request.headers}, {request.headers['apikey']}")

    for http in (httpx.Client(), httpx.Client(event_hooks={"request": [fail]})):
        options = ClientOptions(httpx_client=http)
        store = SupabaseBackend("s", client=create_client(proxy.url, SECRETS.key, options))
        if not http.event_hooks["request"]:
            http.close()
        error = failure(lambda: store.get_items("s"))  # noqa: B023
        assert isinstance(error, BackendError)
        assert_hidden(shown_of(error))
        store.close()
        http.close()


@pytest.mark.parametrize("end", ["\n", "\0", "ü", "漢"])
def test_tokens_that_no_header_may_have(proxy: Proxy, end: str) -> None:
    HERE.end = end
    store = SupabaseBackend(
        "s", url=proxy.url, key=SECRETS.key, access_token=lambda: SECRETS.token + HERE.end
    )
    with closing(store):
        error = failure(lambda: store.get_items("s"))
    assert isinstance(error, AccessDenied)
    assert_hidden(shown_of(error))


def test_a_url_of_which_no_client_can_be_made() -> None:
    with closing(SupabaseBackend("s", url="http://a%zz..b/", key=SECRETS.key)) as store:
        error = failure(lambda: store.get_items("s"))
    assert isinstance(error, BackendError)
    assert_hidden(shown_of(error))


WRONG: dict[str, Callable[[], dict[str, Any]]] = {
    "swapped": lambda: {"url": SECRETS.key, "key": "https://project.supabase.co"},
    "swapped JWT": lambda: {"url": SECRETS.token, "key": "https://project.supabase.co"},
    "key twice": lambda: {"url": SECRETS.key, "key": SECRETS.key},
    "url twice": lambda: {
        "url": "https://project.supabase.co",
        "key": f"https://ann:{SECRETS.password}@project.supabase.co",
    },
    "of the database": lambda: {
        "url": f"postgresql://postgres:{SECRETS.password}@db.project.supabase.co:5432/postgres",
        "key": SECRETS.key,
    },
    "port": lambda: {"url": f"http://ann:{SECRETS.password}@host:99999", "key": SECRETS.key},
    "spaces": lambda: {"url": f"https://ann:{SECRETS.password}@x .co", "key": SECRETS.key},
    "key in lines": lambda: {"url": "https://x.co", "key": f"{SECRETS.key}\nx"},
    "key in bytes": lambda: {"url": "https://x.co", "key": SECRETS.key.encode()},
    "token in bytes": lambda: {
        "url": "https://x.co",
        "key": SECRETS.key,
        "access_token": SECRETS.token.encode(),
    },
    "function with the token": lambda: {
        "url": "",
        "key": SECRETS.key,
        "access_token": partial(str, SECRETS.token),
    },
    "timeout": lambda: {"url": "https://x.co", "key": SECRETS.key, "timeout": 0},
    "option of all": lambda: {"url": "https://x.co", "key": SECRETS.key, "ttl_seconds": -1},
    "unknown option": lambda: {"url": "https://x.co", "apikey": SECRETS.key},
    "client too": lambda: {"url": "https://x.co", "key": SECRETS.key, "client": "theirs"},
}


@pytest.mark.parametrize("name", WRONG)
def test_settings_that_are_wrong(name: str) -> None:
    error = failure(lambda: build("s", {"BACKEND": BACKEND, "OPTIONS": WRONG[name]()}))
    assert isinstance(error, ImproperlyConfigured)
    assert_hidden(shown_of(error))
    if name not in ("unknown option",):
        error = failure(lambda: SupabaseBackend("s", **WRONG[name]()))
        assert isinstance(error, ImproperlyConfigured)
        assert_hidden(shown_of(error))
    if name.startswith("swapped"):
        assert "are its url and its key swapped?" in str(error)


@pytest.mark.parametrize("name", ["swapped", "option of all", "url twice"])
def test_checks_and_stores_of_settings_that_are_wrong(settings: Any, name: str) -> None:
    settings.PARLANT_STORES = {"default": {"BACKEND": BACKEND, "OPTIONS": WRONG[name]()}}
    assert_hidden(*[f"{message} {message!r}" for message in check_stores(None)])
    error = failure(lambda: stores["default"].get_items("s"))
    # What the settings themselves hold is on Django's page, by its own rules.
    settings.PARLANT_STORES = {}
    assert_hidden(shown_of(error))


def test_settings_that_are_no_dict(settings: Any) -> None:
    settings.PARLANT_STORES = [SECRETS.key]
    error = failure(lambda: stores["default"])
    settings.PARLANT_STORES = {}
    assert_hidden(shown_of(error))


def test_djangos_page_hides_keys_in_the_settings(settings: Any, proxy: Proxy) -> None:
    options = {"url": proxy.url, "key": SECRETS.key, "access_token": SECRETS.token}
    settings.PARLANT_STORES = {"default": {"BACKEND": BACKEND, "OPTIONS": options}}
    del options
    proxy.answers(page(401))
    error = failure(lambda: stores["default"].get_items("s"))
    shown = shown_of(error)
    stores.forget()
    assert_hidden(shown)
    assert proxy.url in shown


@pytest.mark.parametrize("name", ["swapped", "swapped JWT", "of the database", "url twice"])
def test_the_command_with_wrong_arguments(name: str) -> None:
    def call() -> None:
        call_command(
            "supabase_check",
            *(part for option, said in WRONG[name]().items() for part in (f"--{option}", said)),
        )

    error = failure(call)
    assert isinstance(error, CommandError)
    frames = traceback.TracebackException.from_exception(error, capture_locals=True).format()
    ours = [text for text in frames if "parlant_store" in text.partition("\n")[0]]
    assert ours
    assert_hidden(str(error), *ours)


@pytest.mark.parametrize("reply", REPLIES)
def test_findings(proxy: Proxy, reply: str) -> None:
    proxy.answers(REPLIES[reply])
    for form in ([], ["--json"]):
        HERE.out = StringIO()
        with pytest.raises(CommandError, match="checks failed"):
            call_command(
                "supabase_check",
                *("--url", proxy.url.replace("//", f"//ann:{SECRETS.password}@")),
                *("--key", SECRETS.key, "--anon-key", SECRETS.key, "--user-token", SECRETS.token),
                *form,
                stdout=HERE.out,
            )
        assert_hidden(HERE.out.getvalue())
        assert proxy.url in HERE.out.getvalue()


def test_what_is_hidden_is_found_where_it_is_not(proxy: Proxy) -> None:
    """The tests above can fail."""

    def leak(key: str) -> None:
        raise BackendError("no")

    for call in (lambda: leak(SECRETS.key), lambda: leak("a")):
        error = failure(call)
        try:
            assert_hidden(shown_of(error))
        except AssertionError:
            continue
        break
    else:
        pytest.fail("even what has no secret was found to have one")
    assert sys.exc_info() == (None, None, None)
