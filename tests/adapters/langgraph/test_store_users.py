"""Whose the values of the long-term store are: exported and erased with the data of a user."""

import pytest

from parlant_store.adapters.langgraph import Store
from parlant_store.exceptions import InvalidLimit
from parlant_store.personal_data import PersonalData


def exported(store, user: str) -> list[str]:
    documents = [record["document"] for record in PersonalData(store, user).exported()]
    return sorted(document["id"] for document in documents)


def test_the_values_of_a_user_are_exported_and_erased(store):
    memory = Store(user_label=1)
    memory.put(("memories", "ada"), "a", {"text": "of Ada"})
    memory.put(("profiles", "ada", "pets"), "b", {"text": "of Ada"}, ttl=60)
    memory.put(("memories", "adam"), "c", {"text": "of Adam"})
    memory.put(("ada",), "d", {"text": "nobody's"})
    memory.put(("ada", "eve"), "e", {"text": "of Eve"})
    assert exported(store, "ada") == ["memories.ada..a", "profiles.ada.pets..b"]
    assert len([*PersonalData(store, "ada").erase()]) == 2
    assert exported(store, "ada") == []
    assert sorted(item.key for item in memory.search(())) == ["c", "d", "e"]


def test_without_a_label_the_values_are_nobodys(store):
    Store().put(("memories", "ada"), "a", {})
    assert exported(store, "ada") == []
    Store(user_label=1).put(("memories", "ada"), "a", {})
    assert exported(store, "ada") == ["memories.ada..a"]
    Store().put(("memories", "ada"), "a", {})
    assert exported(store, "ada") == []


@pytest.mark.parametrize("label", [-1, "user", True, 0.5])
def test_a_label_is_a_place(store, label):
    with pytest.raises(InvalidLimit, match="user_label"):
        Store(user_label=label)
