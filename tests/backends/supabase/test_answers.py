"""What counts as an answer over HTTP, and what is done with a status."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from parlant_store.backends.supabase import SupabaseBackend
from parlant_store.exceptions import (
    AccessDenied,
    BackendError,
    OutcomeUnknown,
    ProtectedRow,
    SessionNotFound,
    StoreError,
    StoreUnavailable,
)
from parlant_store.types import Replacement, StoredDocument
from tests.backends.supabase.test_transport import OPERATIONS
from tests.contract.values import numbered
from tests.servers.http_proxy import HTML, Proxy, Reply, of_postgrest, page

CALLS: dict[str, Callable[[Any], Any]] = {
    **OPERATIONS,
    "ensure_index": lambda store: store.ensure_index("c", [("colour", "asc")]),
    "replace": lambda store: store.replace(
        [
            Replacement(
                stored=StoredDocument(key=1, text="{}", document={}),
                document={"id": "a"},
                collection="c",
            )
        ]
    ),
}
"""Every operation that asks the server."""

WRITES = {
    name: CALLS[name]
    for name in ("add_items", "pop_item", "insert_one", "delete_one", "drop_collection", "branch")
}
REPEATED = [408, 425, 429, 500, 502, 503, 504, *range(520, 531), 544]


@pytest.fixture(scope="module")
def running() -> Iterator[Proxy]:
    with Proxy().running() as proxy:
        yield proxy


@pytest.fixture
def proxy(running: Proxy) -> Proxy:
    running.answers(Reply())
    return running


@pytest.fixture(scope="module")
def store(running: Proxy) -> Iterator[SupabaseBackend]:
    with closing(SupabaseBackend("s", url=running.url, key="sb_secret_x", timeout=60)) as store:
        yield store


@pytest.mark.parametrize("name", CALLS)
def test_a_page_is_no_answer(store: SupabaseBackend, proxy: Proxy, name: str) -> None:
    proxy.answers(page(200))
    with pytest.raises(BackendError, match="text/html that begins <!DOCTYPE html>.*Sign in"):
        CALLS[name](store)
    assert proxy.requests == 1


@pytest.mark.parametrize("name", CALLS)
def test_json_of_another_shape_is_no_answer(
    store: SupabaseBackend, proxy: Proxy, name: str
) -> None:
    for body in (b'{"a": 1}', b'["a", {}]', b"[[]]", b"1.5", b'"no JSON"', b"null and more", b""):
        proxy.answers(Reply(body=body))
        if name in ("pop_item", "get_items", "get_latest") and body == b'"no JSON"':
            continue
        with pytest.raises(BackendError, match=r"no answer of the store's functions.*\(200\)"):
            CALLS[name](store)
        assert proxy.requests == 1


@pytest.mark.parametrize("name", CALLS)
def test_whatever_json_comes_is_an_answer_or_an_error_of_stores(
    store: SupabaseBackend, proxy: Proxy, name: str
) -> None:
    for body in (b"null", b"true", b"7", b'"{}"', b'"[]"', b"[]", b"[7]", b'["{}"]', b"{}"):
        proxy.answers(*[Reply(body=body)] * 2)
        try:
            CALLS[name](store)
        except (StoreError, SessionNotFound):
            assert proxy.requests == 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply(kind="text/plain"),
        Reply(kind=None),
        Reply(kind="text/html"),
        Reply(status=201),
        Reply(status=204, body=b""),
        Reply(status=206),
        Reply(status=301, headers={"Location": "/elsewhere"}),
        Reply(status=307, headers={"Location": "/elsewhere"}),
    ],
    ids=str,
)
def test_another_type_or_status_is_no_answer(
    store: SupabaseBackend, proxy: Proxy, reply: Reply
) -> None:
    proxy.answers(reply)
    with pytest.raises(BackendError, match="check the url of the project"):
        store.get_items("s")
    assert proxy.requests == 1


def test_json_is_an_answer(store: SupabaseBackend, proxy: Proxy) -> None:
    for kind in ("application/json", "Application/JSON;charset=utf-8", "application/x+json"):
        proxy.answers(Reply(kind=kind))
        assert store.get_items("s") == []


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    "reply",
    [
        page(200),
        Reply(body=b""),
        Reply(body=b"[]"),
        Reply(body=b'{"message": 5}'),
        of_postgrest(200, "PGRST301", "JWT expired"),
        of_postgrest(200, "42501", "permission denied"),
        of_postgrest(200, "40001", "as if it were undone"),
    ],
    ids=str,
)
def test_denied_at_once(store: SupabaseBackend, proxy: Proxy, status: int, reply: Reply) -> None:
    proxy.answers(Reply(status, reply.body, reply.kind))
    for call in (store.get_items, store.pop_item):
        with pytest.raises(AccessDenied):
            call("s")
    assert proxy.requests == 2


@pytest.mark.parametrize("status", [400, 404, 405, 406, 409, 413, 414, 418, 431, 501, 505, 540])
def test_refused_at_once(store: SupabaseBackend, proxy: Proxy, status: int) -> None:
    for reply in (page(status), Reply(status, b""), Reply(status, b'{"message": "40001"}')):
        proxy.answers(reply)
        for call in (store.get_items, store.pop_item):
            with pytest.raises(BackendError, match=rf"\({status}\)"):
                call("s")
        assert proxy.requests == 2


@pytest.mark.parametrize("status", REPEATED)
def test_repeated(store: SupabaseBackend, proxy: Proxy, status: int) -> None:
    for reply in (page(status), Reply(status, b""), Reply(status, b'{"message": "no"}')):
        proxy.answers(reply, Reply())
        assert store.get_items("s") == []
        assert proxy.requests == 2


@pytest.mark.parametrize("status", REPEATED)
def test_what_is_known_of_what_is_not_repeated_in_time(
    store: SupabaseBackend, proxy: Proxy, status: int
) -> None:
    proxy.answers(page(status, Retry_After="3600"))
    with pytest.raises(StoreUnavailable, match=rf"Sign in.*\({status}\)") as caught:
        store.get_items("s")
    assert caught.type is StoreUnavailable
    with pytest.raises(StoreUnavailable) as caught:
        store.pop_item("s")
    is_forwarded = status not in (425, 429, 503, 521, 522, 523, 525, 526)
    assert caught.type is (OutcomeUnknown if is_forwarded else StoreUnavailable)


def test_repeated_until_the_time_is_over(proxy: Proxy) -> None:
    proxy.answers(page(502))
    hasty = SupabaseBackend("s", url=proxy.url, key="sb_secret_x", timeout=3)
    with closing(hasty), pytest.raises(StoreUnavailable):
        hasty.get_items("s")
    assert proxy.requests > 1


def test_envoys_503_may_be_of_a_request_that_was_under_way(
    store: SupabaseBackend, proxy: Proxy
) -> None:
    said = b"upstream connect error or disconnect/reset before headers. reset reason: x"
    proxy.answers(Reply(503, said, "text/plain", {"Retry-After": "3600"}))
    with pytest.raises(OutcomeUnknown):
        store.pop_item("s")


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("40001", 500, None),
        ("40P01", 500, None),
        ("53300", 503, None),
        ("57P01", 500, None),
        ("08006", 503, None),
        ("PGRST001", 503, None),
        ("PGRST003", 504, None),
        ("XX000", 500, BackendError),
        ("P0001", 400, BackendError),
        ("25006", 405, BackendError),
        ("23505", 409, BackendError),
        ("23503", 409, ProtectedRow),
        ("PGRST202", 404, BackendError),
        ("PGRST300", 500, AccessDenied),
        ("57014", 500, StoreUnavailable),
        ("55P03", 500, StoreUnavailable),
    ],
)
def test_codes_of_the_database(
    store: SupabaseBackend, proxy: Proxy, code: str, status: int, error: type[Exception] | None
) -> None:
    proxy.answers(of_postgrest(status, code), Reply())
    if error is None:
        assert store.get_items("s") == []
        assert proxy.requests == 2
        return
    with pytest.raises(error, match=code) as caught:
        store.get_items("s")
    assert isinstance(caught.value, error)
    assert proxy.requests == 1
    assert caught.value.__cause__.code == code  # type: ignore[union-attr]


def test_an_owner_who_is_no_uuid_is_led_to_the_claim(store: SupabaseBackend, proxy: Proxy) -> None:
    proxy.answers(of_postgrest(400, "22P02", 'invalid input syntax for type uuid: "ada"'))
    with pytest.raises(BackendError, match="--owner-claim"):
        store.get_items("s")


def test_retry_after_is_obeyed(store: SupabaseBackend, proxy: Proxy) -> None:
    proxy.answers(page(429, Retry_After="1"), Reply())
    assert store.get_items("s") == []
    first, second = proxy.times
    assert second - first >= 1


@pytest.mark.parametrize("status", [429, 503])
def test_what_is_to_be_repeated_too_late_is_not(
    store: SupabaseBackend, proxy: Proxy, status: int
) -> None:
    hour = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    for wait in ("3600", hour):
        proxy.answers(page(status, Retry_After=wait))
        with pytest.raises(StoreUnavailable):
            store.pop_item("s")
        assert proxy.requests == 1


def test_other_words_of_retry_after_are_passed_over(store: SupabaseBackend, proxy: Proxy) -> None:
    hour = format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)
    for wait in ("", "soon", "-5", hour, "Mon, 99 Jan 2030"):
        proxy.answers(page(429, Retry_After=wait), Reply())
        assert store.get_items("s") == []


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize(
    "reply",
    [page(200), page(401), page(404), page(409), of_postgrest(404, "PGRST202"), Reply(body=b'"a"')],
    ids=str,
)
def test_what_is_no_verdict_leaves_a_lost_answer_unknown(
    store: SupabaseBackend, proxy: Proxy, name: str, reply: Reply
) -> None:
    if name == "pop_item" and reply.body == b'"a"':
        reply = Reply(body=b"5")
    proxy.answers(page(502), reply)
    with pytest.raises(OutcomeUnknown, match="the answer was lost"):
        WRITES[name](store)
    assert proxy.requests == 2
    proxy.answers(of_postgrest(500, "57014"), reply)
    with pytest.raises(StoreUnavailable) as caught:
        WRITES[name](store)
    assert caught.type is StoreUnavailable


def test_a_statement_timeout_after_a_lost_answer_leaves_it_unknown(
    store: SupabaseBackend, proxy: Proxy
) -> None:
    """The repeat may have waited for the first."""
    proxy.answers(page(502), of_postgrest(500, "57014"))
    with pytest.raises(OutcomeUnknown):
        store.add_items("s", numbered(1))


def test_a_token_that_is_gone_before_the_repeat_leaves_it_unknown(proxy: Proxy) -> None:
    for status, error in ((502, OutcomeUnknown), (503, AccessDenied)):
        tokens = iter(["a token", None])
        store = SupabaseBackend(
            "s", url=proxy.url, key="sb_secret_x", access_token=tokens.__next__, timeout=30
        )
        proxy.answers(page(status))
        with closing(store), pytest.raises(error):
            store.add_items("s", numbered(1))
        assert proxy.requests == 1


def test_a_verdict_says_that_the_first_was_not_done(store: SupabaseBackend, proxy: Proxy) -> None:
    proxy.answers(page(502), of_postgrest(400, "22023"))
    with pytest.raises(BackendError):
        store.add_items("s", numbered(1))
    proxy.answers(page(503), page(401))
    with pytest.raises(AccessDenied):
        store.add_items("s", numbered(1))


def test_only_the_beginning_is_said(store: SupabaseBackend, proxy: Proxy) -> None:
    proxy.answers(Reply(200, HTML + b"\n\0\x1b[31m" + b"and more " * 9_000, "text/html"))
    with pytest.raises(BackendError) as caught:
        store.get_items("s")
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()
