"""PARLANT_STORES: what it may say, and what is said about what it may not."""

import json
import os
import re
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections
from django.test import override_settings

from parlant_store import store as default_store
from parlant_store import stores
from parlant_store.backends.orm import OrmBackend
from parlant_store.exceptions import InvalidStoreError
from parlant_store.types import Retention
from tests.contract.values import numbered

ORM = "parlant_store.backends.orm.OrmBackend"


def configured(**options):
    return override_settings(PARLANT_STORES={"default": {"BACKEND": ORM, "OPTIONS": options}})


def test_without_the_setting_there_is_one_store(settings):
    del settings.PARLANT_STORES
    stores.forget()
    assert list(stores) == ["default"]
    assert isinstance(stores["default"], OrmBackend)
    assert stores["default"].using is None
    assert stores["default"].ttl is None


def test_store_is_the_default_store(store):
    default_store.add_items("s", numbered(1))
    assert stores["default"].get_items("s") == numbered(1)
    assert repr(stores["default"]) == "<OrmBackend 'default'>"


def test_a_store_is_one_object_for_all_threads():
    found = []
    threads = [threading.Thread(target=lambda: found.append(stores["default"])) for _ in range(8)]
    stores.forget()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ([], "PARLANT_STORES must be a dict"),
        ({5: {}}, "PARLANT_STORES must be a dict of aliases"),
        ({"default": "x"}, r"PARLANT_STORES\['default'\] must be a dict"),
        ({"default": {"BACKEND": ORM, "OPTION": {}}}, "has OPTION; it takes BACKEND and OPTIONS"),
        ({"default": {"BACKEND": "no.such.Backend"}}, r"\['BACKEND'\] is 'no.such.Backend'"),
        ({"default": {"BACKEND": 5}}, r"\['BACKEND'\] is 5"),
        ({"default": {"BACKEND": "pathlib.Path"}}, "'pathlib.Path', which is no store"),
        ({"default": {"OPTIONS": []}}, r"\['OPTIONS'\] must be a dict"),
        ({"default": {"OPTIONS": {"ttl": 5}}}, "has ttl, which OrmBackend does not know.*ttl_seco"),
        ({"default": {"OPTIONS": {"using": "nowhere"}}}, "'nowhere', which DATABASES does not"),
        ({"default": {"OPTIONS": {"reads": "replica"}}}, "reads .* must be 'primary' or 'router'"),
        (
            {"default": {"OPTIONS": {"reads": "router", "using": "default"}}},
            "the store 'default' has the option using, .* set only one of them",
        ),
        (
            {"default": {"OPTIONS": {"ttl_seconds": 0}}},
            "the store 'default' has a bad option: ttl_seconds must",
        ),
        (
            {"default": {"OPTIONS": {"ttl_seconds": "9"}}},
            "the store 'default' has a bad option: ttl_seconds must",
        ),
        ({"default": {"OPTIONS": {"ttl_seconds": True}}}, "ttl_seconds must"),
        ({"default": {"OPTIONS": {"ttl_seconds": 1e30}}}, "ttl_seconds must"),
        ({"default": {"OPTIONS": {"threads": -1}}}, "threads of the store 'default' must"),
        ({"default": {"OPTIONS": {"clock": "now"}}}, "clock of the store 'default' must"),
    ],
)
def test_a_bad_setting_is_named_with_its_mend(setting, said):
    with override_settings(PARLANT_STORES=setting):
        with pytest.raises(ImproperlyConfigured, match=said):
            stores["default"]
        (error,) = [
            message for message in run_checks(databases=[]) if message.id == "parlant_store.E001"
        ]
        assert re.search(said, error.msg)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"older_than": "90d"}, r'must be a list of rules, as \[{"older_than": "90d"}\]'),
        ("90d", "must be a list of rules"),
        (["90d"], ", '90d': a rule must be a dict, as"),
        (
            [{"idle": "1d"}, {"age": 5}],
            "rule 2 of .* it has age; a rule takes older_than, idle, na",
        ),
        ([{}], "rule 1 of .*, {}: it needs older_than or idle"),
        (
            [{"older_than": "90 days"}],
            'older_than must be text as "90d", with s, m, h, d or w, a n',
        ),
        ([{"older_than": "90"}], "older_than must be text"),
        ([{"idle": True}], "idle must be text"),
        ([{"idle": 0}], "idle must be above 0"),
        ([{"idle": float("nan")}], "idle must be above 0"),
        ([{"idle": "9000w"}], "idle must be above 0 and at most a hundred years"),
        ([{"idle": "1d", "namespace": 5}], "namespace must be text, not int"),
        ([{"idle": "1d", "collection": ""}], "collection must not be empty"),
        ([{"idle": 1, "namespace": "n", "collection": "c"}], "it has a namespace, .* two rules"),
    ],
)
def test_a_bad_rule_of_retention_is_named_with_its_mend(rules, said):
    with configured(retention=rules):
        with pytest.raises(ImproperlyConfigured, match=said) as caught:
            stores["default"]
        assert "retention of the store 'default'" in str(caught.value)
        (error,) = [
            message for message in run_checks(databases=[]) if message.id == "parlant_store.E001"
        ]
        assert re.search(said, error.msg)


def test_rules_of_retention_are_parsed_once():
    rules = [
        {"older_than": "90d", "namespace": ""},
        {"idle": 1.5, "collection": "c"},
        {"older_than": timedelta(hours=1), "idle": "30m", "namespace": None},
        {"idle": " 2w "},
        {"idle": "45s"},
        {"older_than": "12h"},
    ]
    with configured(retention=rules):
        assert stores["default"].retention == (
            Retention(older_than=timedelta(days=90), namespace=""),
            Retention(idle=timedelta(seconds=1.5), collection="c"),
            Retention(older_than=timedelta(hours=1), idle=timedelta(minutes=30)),
            Retention(idle=timedelta(weeks=2)),
            Retention(idle=timedelta(seconds=45)),
            Retention(older_than=timedelta(hours=12)),
        )
    with configured():
        assert stores["default"].retention == ()


def test_an_unknown_alias_names_the_known_ones():
    with pytest.raises(InvalidStoreError, match="no store 'x'; PARLANT_STORES has 'default'"):
        stores["x"]
    for value in ({}, None, stores["default"]):
        expected = f"named by its alias in PARLANT_STORES.* type {type(value).__name__}"
        with pytest.raises(InvalidStoreError, match=expected):
            stores[value]


def test_a_good_project_has_no_complaints():
    assert [
        message for message in run_checks(databases=[]) if message.id.startswith("parlant_store")
    ] == []


@pytest.mark.parametrize(
    ("name", "value", "id_"),
    [
        ("NAME", ":memory:", "parlant_store.W006"),
        ("OPTIONS", {}, "parlant_store.W001"),
    ],
)
def test_an_sqlite_database_that_loses_is_complained_of(name, value, id_, monkeypatch):
    monkeypatch.setitem(connections["other"].settings_dict, name, value)
    with configured(using="other"):
        assert id_ in [message.id for message in run_checks(databases=[])]


@pytest.fixture
def pooled(monkeypatch):
    """Settings of a PostgreSQL behind a pooler; it is never connected to."""
    settings = connections.settings["other"] | {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": "db.example.com",
        "PORT": 6543,
        "DISABLE_SERVER_SIDE_CURSORS": True,
        "OPTIONS": {},
    }
    monkeypatch.setitem(connections.settings, "pooled", settings)
    yield settings
    del connections["pooled"]


@pytest.mark.parametrize(
    ("given", "ids"),
    [
        ({}, []),
        ({"DISABLE_SERVER_SIDE_CURSORS": False}, ["parlant_store.W002"]),
        ({"PORT": "6543", "DISABLE_SERVER_SIDE_CURSORS": False}, ["parlant_store.W002"]),
        ({"PORT": 5432, "DISABLE_SERVER_SIDE_CURSORS": False}, []),
        ({"PORT": "", "DISABLE_SERVER_SIDE_CURSORS": False}, []),
        ({"OPTIONS": {"prepare_threshold": 5}}, ["parlant_store.W003"]),
        ({"OPTIONS": {"prepare_threshold": 0}}, ["parlant_store.W003"]),
        ({"OPTIONS": {"prepare_threshold": None}}, []),
        ({"PORT": 5432, "OPTIONS": {"prepare_threshold": 5}}, []),
    ],
)
def test_a_transaction_pooler_is_warned_of(pooled, given, ids):
    pooled.update(given)
    with configured(using="pooled"):
        *messages, route = stores["default"].check()
    assert [message.id for message in messages] == ids
    assert all('DATABASES["pooled"]' in message.hint for message in messages)
    assert route.id == "parlant_store.W017"


@pytest.mark.parametrize(
    ("url", "ids"),
    [
        ("http://db.example.com", ["parlant_store.W005"]),
        ("http://10.0.0.1:8000", ["parlant_store.W005"]),
        ("https://db.example.com", []),
        ("http://localhost:54321", []),
        ("http://api.localhost", []),
        ("http://127.0.0.1:54321", []),
        ("http://[::1]:54321", []),
    ],
)
def test_a_key_over_plain_http_is_warned_of(url, ids):
    supabase = "parlant_store.backends.supabase.SupabaseBackend"
    options = {"url": url, "key": "sb_secret_hidden"}
    with override_settings(PARLANT_STORES={"s": {"BACKEND": supabase, "OPTIONS": options}}):
        found = [each for each in run_checks(databases=[]) if each.id.startswith("parlant_store")]
    assert [message.id for message in found] == ids
    assert "hidden" not in str(found)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        (
            {"SUPABASE_URL": "https://x.supabase.co", "SUPABASE_KEY": "k"},
            {"url": "https://x.supabase.co", "key": "k", "schema": "public"},
        ),
        (
            {"SUPABASE_URL": "https://x.y", "SUPABASE_KEY": "k", "SUPABASE_SCHEMA": "agents"},
            {"url": "https://x.y", "key": "k", "schema": "agents"},
        ),
    ],
)
def test_the_demo_has_a_store_in_supabase_when_the_environment_names_one(environment, expected):
    program = "import json, project.settings as s; print(json.dumps(s.PARLANT_STORES))"
    others = {name: text for name, text in os.environ.items() if not name.startswith("SUPABASE_")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).resolve().parent.parent,
        env=others | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert "default" in found
    assert found.get("supabase", {}).get("OPTIONS") == expected


@pytest.mark.django_db(databases=["default", "other"], transaction=True)
def test_using_names_the_database():
    with configured(using="other"):
        default_store.add_items("s", numbered(1))
        default_store.insert_one("c", {"id": "d"})
        assert default_store.get_items("s") == numbered(1)
        assert default_store.submit(lambda: default_store.get_items("s")).result() == numbered(1)
    with configured(using="default"):
        assert default_store.get_items("s") == []
        assert default_store.find("c").documents == ()


class ToOther:
    """A router that sends this app's tables to the other database."""

    def db_for_read(self, model, **hints):
        return "other" if model._meta.app_label == "parlant_store" else None

    db_for_write = db_for_read


@pytest.mark.django_db(databases=["default", "other"], transaction=True)
def test_without_using_the_routers_decide(settings):
    settings.DATABASE_ROUTERS = [ToOther()]
    with configured():
        default_store.add_items("s", numbered(1))
        assert default_store.get_items("s") == numbered(1)
        assert default_store.submit(lambda: default_store.get_items("s")).result() == numbered(1)
    settings.DATABASE_ROUTERS = []
    with configured():
        assert default_store.get_items("s") == []
    with configured(using="other"):
        assert default_store.get_items("s") == numbered(1)


def test_threads_are_one_on_sqlite_and_the_option_elsewhere():
    with configured(using="other", threads=5):
        assert stores["default"].executor.count == 1
    with configured(threads=5):
        expected = 1 if connection.vendor == "sqlite" else 5
        assert stores["default"].executor.count == expected
    with configured():
        assert stores["default"].executor.count == (1 if connection.vendor == "sqlite" else 8)


def test_closing_lets_connections_go_and_the_next_call_works(store):
    held = [store.submit(lambda: connection.cursor().close()) for _ in range(20)]
    for future in held:
        future.result()
    store.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("store-default")]
    assert store.submit(lambda: store.get_items("s")).result() == []


def test_the_time_zone_of_a_project_without_one(store, settings):
    settings.USE_TZ = False
    store.add_items("s", numbered(1))
    assert store.get_session("s").created_at.tzinfo is None
    assert store.get_items("s") == numbered(1)


POOL = {"ENGINE": "django.db.backends.postgresql", "OPTIONS": {"pool": {"max_size": 6}}}


@pytest.mark.parametrize(("threads", "ids"), [(3, []), (0, []), (4, ["parlant_store.W015"])])
def test_more_threads_than_half_of_the_pool_are_warned_of(pooled, threads, ids):
    pooled.update(POOL)
    with configured(using="pooled", threads=threads):
        found = stores["default"].check()
        assert stores["default"].executor.count == min(threads, 3)
    assert [message.id for message in found if message.id != "parlant_store.W017"] == ids


def test_a_store_whose_database_no_router_knows_is_warned_of(pooled):
    with configured(using="pooled"):
        (message,) = stores["default"].check()
    assert message.id == "parlant_store.W017"
    assert "'pooled'" in message.hint

    class Router:
        def db_for_write(self, model, **hints):
            return "pooled"

    with override_settings(DATABASE_ROUTERS=[Router()]), configured(using="pooled"):
        assert stores["default"].check() == []
