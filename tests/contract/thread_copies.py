"""What every store does with copies that replace nothing, and with many threads at once."""

import pytest

from parlant_store.backends.contract.checkpoints import MAX_PRUNED
from parlant_store.exceptions import InvalidLimit, InvalidName, SessionExists
from tests.contract.checkpoints import Threads, ids
from tests.contract.threads import in_threads


class ThreadCopyContract(Threads):
    def test_a_copy_that_replaces_nothing(self, ttl_store, clock):
        self.put(ttl_store, 1)
        assert ttl_store.copy_thread("t", "u", replace=False)
        self.put(ttl_store, 2)
        with pytest.raises(SessionExists, match="'u'"):
            ttl_store.copy_thread("t", "u", replace=False)
        assert ids(ttl_store.list_checkpoints("u")) == ["0001"]
        clock.pass_(11)
        self.put(ttl_store, 3)
        assert ttl_store.copy_thread("t", "u", replace=False)
        assert ids(ttl_store.list_checkpoints("u")) == ["0003"]
        assert not ttl_store.copy_thread("none", "u", replace=False)

    def test_a_copy_that_was_not_made_is_no_answer(self, store):
        self.put(store, 1)
        self.put(store, 2, thread_id="u")
        for _ in range(2):
            with pytest.raises(SessionExists):
                store.copy_thread("t", "u", replace=False, request_id="an id")
        store.delete_thread("u")
        for _ in range(2):
            assert store.copy_thread("t", "u", replace=False, request_id="an id")
        assert ids(store.list_checkpoints("u")) == ["0001"]

    def test_one_of_many_copies_to_an_id_is_made(self, make_store):
        store = make_store()
        for number, name in enumerate("abcd"):
            self.put(store, number, thread_id=name)
        for new in map(str, range(5)):
            made = self.copy_at_once(store, new)
            assert len(made) == 1
            assert ids(store.list_checkpoints(new)) == ids(store.list_checkpoints(made[0]))

    def copy_at_once(self, store, new):
        """Return the threads of which a copy was made."""
        made: list[str] = []

        def copy(number: int) -> None:
            name = "abcd"[number % 4]
            try:
                store.copy_thread(name, new, replace=False)
            except SessionExists:
                return
            made.append(name)

        in_threads(copy, 8)
        return made

    def test_many_threads_are_pruned_at_once(self, store):
        for number, name in enumerate(("a", "b\0", "c", "d")):
            self.put(store, *range(1, number + 2), thread_id=name)
        names = ["c", "none", "a", "b\0", "c"]
        assert store.prune_threads(names, namespace="other") == 0
        assert store.prune_threads(names) == 3
        assert ids(store.list_checkpoints("c")) == ["0003"]
        assert ids(store.list_checkpoints("d")) == ["0004", "0003", "0002", "0001"]
        assert store.prune_threads(["d"], keep=3) == 1
        assert store.prune_threads([]) == 0
        with pytest.raises(InvalidName, match="thread_ids must be a list of texts, not a text"):
            store.prune_threads("d")
        for options in ({"keep": 0}, {"thread_ids": map(str, range(MAX_PRUNED + 1))}):
            with pytest.raises(InvalidLimit):
                store.prune_threads(**{"thread_ids": ["d"]} | options)
