"""Which session an id means, how long it lives, and what is refused."""

import copy
import json
import pickle
from datetime import timedelta

import pytest

from parlant_store.adapters.selectools import Key, SessionStore
from parlant_store.exceptions import InvalidStoreError
from tests.adapters.selectools.messages import memory, texts, turns, user
from tests.contract.values import IDS

SAME_KEY = [("a", "b:c"), ("a:b", "c"), (None, "a:b:c")]


def say(text: str):
    return memory(user(text))


def test_namespaces_keep_sessions_apart(sessions):
    for namespace, session_id in SAME_KEY:
        sessions.save(session_id, say(f"{namespace}"), namespace=namespace)
    exact = [(Key(id_, namespace or ""), namespace) for namespace, id_ in SAME_KEY]
    for key, namespace in exact:
        assert texts(sessions.load(key)) == [f"{namespace}"]
    for namespace, session_id in SAME_KEY[:2]:
        assert texts(sessions.load(session_id, namespace)) == [f"{namespace}"]
    assert sessions.list_sessions() == ["a:b:c"] * 3
    assert sessions.delete("c", "a:b")
    assert [texts(sessions.load(key)) for key in sessions.list_sessions()] == [["a"], ["None"]]


def test_listed_keys_work_whatever_they_hold(sessions, store):
    store.add_items("x" * 4096, [{"role": "user", "content": "x"}], namespace="n" * 4096)
    for namespace, session_id in [*SAME_KEY, (":", ":"), ("a", ":"), (None, ":")]:
        sessions.save(session_id, say("before"), namespace=namespace)
    assert len(sessions.list()) == 7
    for found in sessions.list():
        loaded = sessions.load(found.session_id)
        loaded.add(user(repr(found.session_id.name)))
        sessions.save(found.session_id, loaded)
    assert len(sessions.list()) == 7
    for found in sessions.list():
        assert texts(sessions.load(found.session_id))[-1] == repr(found.session_id.name)
        assert sessions.exists(found.session_id)
        sessions.branch(found.session_id, "copy")
        assert texts(sessions.load("copy")) == texts(sessions.load(found.session_id))
        assert sessions.delete(found.session_id)
        assert not sessions.delete(found.session_id)
    assert sessions.list_sessions() == ["copy"]


def test_a_key_is_its_text(sessions):
    key = Key("b:c", "a")
    assert key == "a:b:c"
    assert json.dumps(key) == '"a:b:c"'
    for same in (copy.deepcopy(key), pickle.loads(pickle.dumps(key))):
        assert same == key
        assert same.name == key.name


@pytest.mark.parametrize(("namespace", "session_id"), [("a", "b"), ("a", "b:c"), ("a:b", "c")])
def test_the_text_of_a_key_finds_the_session_again(sessions, other, namespace, session_id):
    text = f"{namespace}:{session_id}"
    sessions.save(session_id, say("one"), namespace=namespace)
    for each in (sessions, other):
        assert each.exists(text)
        loaded = each.load(text)
        loaded.add(user("more"))
        each.save(text, loaded)
        each.branch(text, f"{text} too")
        assert texts(each.load(f"{text} too")) == texts(loaded)
    assert [found.session_id.name for found in sessions.list()] == [
        (namespace, session_id),
        (namespace, f"{session_id} too"),
    ]
    assert sessions.delete(text)
    assert not sessions.exists(text)
    assert sessions.load(text) is None


def test_a_text_that_is_the_key_of_several(sessions, other):
    sessions.save("c", say("a:b, c"), namespace="a:b")
    assert texts(other.load("a:b:c")) == ["a:b, c"]
    sessions.save("b:c", say("a, b:c"), namespace="a")
    assert texts(other.load("a:b:c")) == ["a, b:c"]
    sessions.save("a:b:c", say("bare"))
    assert texts(other.load("a:b:c")) == ["bare"]
    for left in ("a, b:c", "a:b, c"):
        assert other.delete("a:b:c")
        assert texts(sessions.load("a:b:c")) == [left]
    assert other.delete("a:b:c")
    assert not other.delete("a:b:c")


def test_saving_goes_back_to_where_it_was_loaded_from(sessions, other):
    sessions.save("b", say("one"), namespace="a")
    loaded = sessions.load("a:b")
    other.save("a:b", say("bare"))
    loaded.add(user("two"))
    sessions.save("a:b", loaded)
    assert texts(sessions.load("b", "a")) == ["one", "two"]
    assert texts(sessions.load("a:b")) == ["bare"]
    sessions.save("a:b", say("bare, again"))
    assert texts(sessions.load("b", "a")) == ["one", "two"]
    assert texts(other.load(Key("a:b"))) == ["bare, again"]


def test_where_a_text_came_from_is_forgotten_when_it_is_gone(sessions):
    sessions.save("b", say("one"), namespace="a")
    sessions.load("a:b")
    sessions.delete("a:b")
    sessions.save("a:b", say("two"))
    assert [found.session_id.name for found in sessions.list()] == [("", "a:b")]


def test_a_new_text_with_a_colon_is_a_bare_id(sessions, store):
    sessions.save("user:1", say("x"))
    assert store.exists("user:1")
    assert sessions.list_sessions() == ["user:1"]
    sessions.save("user:1", say("y"))
    assert texts(sessions.load("user:1")) == ["y"]


@pytest.mark.parametrize("namespace", [None, "n"])
@pytest.mark.parametrize("wrong", ["", "a\0b", "x" * 513])
def test_wrong_ids_are_refused(sessions, wrong, namespace):
    for call in (
        lambda: sessions.save(wrong, say("x"), namespace),
        lambda: sessions.load(wrong, namespace),
        lambda: sessions.delete(wrong, namespace),
        lambda: sessions.exists(wrong, namespace),
        lambda: sessions.branch(wrong, "b", namespace),
        lambda: sessions.branch("a", wrong, namespace),
    ):
        with pytest.raises(ValueError, match="session_id"):
            call()
    assert sessions.list() == []


@pytest.mark.parametrize("wrong", ["", "a\0b", "x" * 513])
def test_wrong_namespaces_are_refused(sessions, wrong):
    for call in (
        lambda: sessions.save("s", say("x"), wrong),
        lambda: sessions.load("s", wrong),
        lambda: sessions.delete("s", wrong),
        lambda: sessions.exists("s", wrong),
        lambda: sessions.branch("s", "t", wrong),
        lambda: sessions.search("x", wrong),
    ):
        with pytest.raises(ValueError, match="namespace"):
            call()


@pytest.mark.parametrize("session_id", [id_[:512] for id_ in IDS])
def test_ids_of_any_letters(sessions, session_id):
    for namespace in (None, session_id):
        sessions.save(session_id, say("x"), namespace=namespace)
        assert texts(sessions.load(session_id, namespace)) == ["x"]
        assert sessions.delete(session_id, namespace)


def test_many_colons(sessions):
    assert sessions.load(":" * 512) is None
    sessions.save(":" * 512, say("x"))
    assert sessions.exists(":" * 512)


def test_the_constructor(sessions):
    assert sessions
    assert repr(sessions) == "<SessionStore in 'default'>"
    assert SessionStore(ttl_seconds=5).default_ttl == 5
    with pytest.raises(InvalidStoreError):
        SessionStore("nowhere")
    for wrong in (0, -1, "5", True, float("nan")):
        with pytest.raises(ValueError, match="ttl_seconds"):
            SessionStore(default_ttl=wrong)
    with pytest.raises(ValueError, match="the same option"):
        SessionStore(default_ttl=5, ttl_seconds=6)


# How long a session lives


@pytest.mark.parametrize("option", ["default_ttl", "ttl_seconds"])
def test_a_session_ends_after_its_last_save(clock, option):
    sessions = SessionStore(**{option: 10})
    sessions.save("s", memory(*turns(1)))
    began = sessions.list()[0].created_at
    clock.pass_(6)
    sessions.save("s", memory(*turns(1, 2)))
    clock.pass_(6)
    assert len(sessions.load("s")) == 4
    clock.pass_(4)
    assert sessions.load("s") is None
    assert not sessions.exists("s")
    assert sessions.list() == sessions.list_sessions() == sessions.search("question") == []
    assert sessions.delete("s") is False
    with pytest.raises(ValueError, match="not found"):
        sessions.branch("s", "t")
    sessions.save("s", memory(*turns(1, 2, 3)))
    (found,) = sessions.list()
    assert found.created_at == found.updated_at == clock().timestamp() == began + 16
    assert texts(sessions.load("s")) == texts(memory(*turns(1, 2, 3)))


def test_the_store_says_how_long_when_nobody_else_does(clock, store, monkeypatch, sessions):
    monkeypatch.setattr(store, "ttl", timedelta(seconds=10))
    sessions.save("s", memory(*turns(1)))
    sessions.save("t", memory(*turns(1)), ttl_seconds=100)
    SessionStore(default_ttl=50).save("u", memory(*turns(1)))
    clock.pass_(10)
    assert sessions.list_sessions() == ["t", "u"]
    clock.pass_(40)
    assert sessions.list_sessions() == ["t"]


@pytest.mark.parametrize("options", [{"default_ttl": 10}, {}])
def test_a_load_prolongs_the_session(clock, store, monkeypatch, options):
    monkeypatch.setattr(store, "ttl_refresh", "read")
    monkeypatch.setattr(store, "ttl", None if options else timedelta(seconds=10))
    sessions = SessionStore(**options)
    sessions.save("s", memory(*turns(1)))
    for _ in range(3):
        clock.pass_(9)
        assert len(sessions.load("s")) == 2
    assert sessions.list()[0].updated_at == clock().timestamp() - 27
    sessions.save("s", memory(*turns(1, 2)))
    clock.pass_(9)
    assert sessions.exists("s")
    sessions.list()
    sessions.search("question")
    clock.pass_(1)
    assert sessions.load("s") is None


def test_a_branch_lives_as_long_as_a_save(clock):
    sessions = SessionStore(default_ttl=10)
    sessions.save("s", memory(*turns(1)))
    clock.pass_(5)
    sessions.branch("s", "t")
    sessions.branch("t", "u")
    clock.pass_(5)
    assert sessions.list_sessions() == ["t", "u"]
