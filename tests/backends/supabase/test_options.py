"""Keys, tokens, clients and schemas; what is wrong with them is said without telling them."""

import logging
from contextvars import ContextVar

import httpx
import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from supabase import ClientOptions, create_client

from parlant_store.backends.supabase import SupabaseBackend
from parlant_store.conf import build
from parlant_store.exceptions import AccessDenied, BackendError
from parlant_store.sql.functions import functions_sql
from parlant_store.sql.supabase.policies import policies_sql
from tests.contract.values import numbered

URL = "https://project.supabase.co"


@pytest.mark.parametrize("which", ["service_key", "secret_key"])
def test_keys_of_both_kinds(make_store, project, which):
    store = make_store(key=getattr(project, which))
    store.add_items("s", numbered(1))
    assert store.get_items("s") == numbered(1)


@pytest.mark.parametrize("which", ["anon_key", "publishable_key"])
def test_keys_for_the_public_reach_nothing(make_store, project, which):
    store = make_store(key=getattr(project, which))
    for call in (
        lambda: store.get_items("s"),
        lambda: store.add_items("s", numbered(1)),
        lambda: store.find("c"),
        lambda: store.insert_one("c", {"id": "a"}),
    ):
        with pytest.raises(AccessDenied, match="supabase_sql"):
            call()


def test_a_token_is_asked_for_at_each_call(make_store, project):
    tokens = [project.service_key, project.anon_key]
    given = iter(tokens)
    store = make_store(key=project.anon_key, access_token=lambda: next(given))
    assert store.get_items("s") == []
    with pytest.raises(AccessDenied):
        store.get_items("s")
    make_store(key=project.anon_key, access_token=project.service_key).get_items("s")


@pytest.mark.parametrize("which", ["service_key", "secret_key", "publishable_key"])
@pytest.mark.parametrize("nothing", [None, "", " ", "\n"], ids=repr)
def test_a_token_that_is_not_there_is_not_the_service_role(make_store, project, which, nothing):
    project.gateway.clear()
    store = make_store(key=getattr(project, which), access_token=lambda: nothing)
    for call in (
        lambda: store.get_items("s"),
        lambda: store.add_items("s", numbered(1)),
        lambda: store.submit(lambda: store.get_items("s")).result(),
    ):
        with pytest.raises(AccessDenied, match="allow_service"):
            call()
    assert project.gateway.requests == []


def test_a_context_variable_that_nobody_set_is_no_token(make_store):
    variable = ContextVar("variable")
    for allow_service in (True, False):
        store = make_store(access_token=variable.get, allow_service=allow_service)
        with pytest.raises(AccessDenied, match="allow_service"):
            store.get_items("s")


@pytest.mark.parametrize("token", [b"token", 5, ["token"]], ids=repr)
def test_a_token_of_another_type_is_refused(make_store, token):
    store = make_store(access_token=lambda: token, allow_service=True)
    with pytest.raises(AccessDenied, match="not text"):
        store.get_items("s")


def test_the_service_role_may_be_allowed_where_there_is_no_token(make_store, project):
    tokens = iter([None, "", project.anon_key, None])
    store = make_store(access_token=lambda: next(tokens), allow_service=True)
    store.add_items("s", numbered(1))
    assert store.get_items("s") == numbered(1)
    with pytest.raises(AccessDenied):
        store.get_items("s")
    assert store.get_items("s") == numbered(1)
    assert make_store(allow_service=True).get_items("s") == numbered(1)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"expires_in": -60}, "expired"), ({"secret": "x" * 40}, "refused"), ({}, "forbids")],
    ids=["expired", "forged", "a user"],
)
def test_tokens_that_are_refused(make_store, project, change, said):
    secret = change.pop("secret", None)
    token = project.user_token("ada", **change)
    if secret:
        token = project.sign({"role": "service_role"}, secret)
    store = make_store(key=project.publishable_key, access_token=token)
    with pytest.raises(AccessDenied, match=said) as caught:
        store.get_items("s")
    assert token not in str(caught.value)


def test_a_client_that_the_caller_made(make_store, project):
    with httpx.Client(timeout=60) as http:
        options = ClientOptions(httpx_client=http)
        client = create_client(project.url, project.service_key, options)
        store = make_store(url=None, key=None, client=client)
        store.add_items("s", numbered(1))
        store.close()
        assert store.get_items("s") == numbered(1)
        client.postgrest.from_("parlant_store_session").select("*").execute()


def test_a_schema_that_is_not_exposed(make_store):
    with pytest.raises(BackendError, match="expose the schema"):
        make_store(schema="elsewhere").get_items("s")


def test_functions_that_are_missing(make_store, project):
    with psycopg.connect(project.dsn, autocommit=True) as session:
        session.execute("drop function parlant_store_get_items")
        project.reload()
        try:
            with pytest.raises(BackendError, match="supabase_sql"):
                make_store(timeout=6).get_items("s")
        finally:
            session.execute(functions_sql("public"))
            session.execute(policies_sql(schema="public", policy="service"))
            project.reload()
    assert make_store().get_items("s") == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "needs a url like https"),
        ({"url": "project.supabase.co", "key": "k"}, "needs a url like https"),
        ({"url": "", "key": "k"}, "SUPABASE_URL"),
        ({"url": URL}, "SUPABASE_KEY"),
        ({"url": URL, "key": " "}, "SUPABASE_KEY"),
        ({"url": URL, "key": "sb_secret_ü"}, "characters that no key has"),
        ({"url": URL, "key": "sb_secret\nx"}, "characters that no key has"),
        ({"url": "http://host:99999", "key": "k"}, "needs a url like https"),
        ({"url": URL, "key": "k", "timeout": 0}, "timeout"),
        ({"url": URL, "key": "k", "timeout": True}, "timeout"),
        ({"url": URL, "key": "k", "access_token": ""}, "access_token"),
        ({"url": URL, "key": "k", "access_token": 5}, "access_token"),
        ({"url": URL, "key": "k", "allow_service": "yes"}, "allow_service"),
        ({"url": URL, "key": URL}, "swapped"),
        ({"url": "sb_secret_x", "key": "k"}, "swapped"),
        ({"url": 5, "key": "k"}, "needs a url like https"),
        ({"url": URL, "key": "k", "client": "theirs"}, "leave out"),
        ({"url": URL, "key": "k", "ttl_seconds": -1}, "ttl_seconds"),
        ({"url": URL, "key": "k", "using": "default"}, "using"),
    ],
    ids=str,
)
def test_options_that_are_wrong(options, said):
    with pytest.raises(ImproperlyConfigured, match=said):
        build(
            "s",
            {"BACKEND": "parlant_store.backends.supabase.SupabaseBackend", "OPTIONS": options},
        )


def test_secrets_are_never_said(make_store, project, caplog):
    store = make_store(key="sb_secret_wrong", access_token="a.very.secret")
    with caplog.at_level(logging.DEBUG), pytest.raises(AccessDenied) as caught:
        store.get_items("s")
    said = f"{caught.value!r} {caught.value.__cause__!r} {store!r} {caplog.text}"
    assert "secret" not in said


def test_a_key_from_a_file_may_end_in_a_line(make_store, project):
    assert make_store(key=f"{project.secret_key}\n", url=f" {project.url}\n").get_items("s") == []


def test_a_token_that_no_header_may_have_is_not_said(make_store):
    with pytest.raises(AccessDenied, match="HTTP headers cannot have") as caught:
        make_store(access_token="very.secret\n").get_items("s")
    assert "secret" not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_times_without_zones_where_django_has_none(make_store, settings):
    store = make_store(ttl_seconds=3600)
    store.add_items("aware", numbered(1))
    settings.USE_TZ = False
    store.add_items("naive", numbered(1))
    aware, naive = (store.get_session(name) for name in ("aware", "naive"))
    assert naive.created_at.tzinfo is aware.expires_at.tzinfo is None
    assert abs(naive.created_at - aware.created_at).total_seconds() < 600
    assert store.exists("aware")


def test_the_package_is_needed(monkeypatch):
    monkeypatch.setattr("parlant_store.backends.supabase.backend.find_spec", lambda name: None)
    with pytest.raises(ImproperlyConfigured, match=r"django-parlant-store\[supabase\]"):
        SupabaseBackend("s", url=URL, key="k")
