"""What the list of conversations costs: as many statements and rows for few and for many."""

from tests.admin.conversations.cases import parlant
from tests.admin.conversations.large_lists import LISTS, fill, statements
from tests.admin.conversations.large_lists import small_bounds as small_bounds
from tests.admin.pages import client as client
from tests.admin.pages import get, listing, message
from tests.backends.rows_read import work_of

MAX_STATEMENTS = 15


def test_a_list_costs_no_more_for_many(client, store, small_bounds):
    store.add_items("rare", [message("platypus")])
    parlant(store, "talk", ("customer", "platypus"))
    get(client, listing("session"))

    def costs():
        # The page of a number may be missing among few.
        return {
            str(params): (
                len(statements(client, params)),
                work_of(lambda: get(client, listing("session", **params))),  # noqa: B023
            )
            for params in LISTS
        }

    fill(store, "few", 400)
    few = costs()
    fill(store, "many", 2_000)
    many = costs()
    assert {name: cost for name, cost in many.items() if cost[0] > MAX_STATEMENTS} == {}
    assert {name: many[name][0] for name in many} == {name: few[name][0] for name in few}
    more = {name: (few[name][1], many[name][1]) for name in few}
    assert {name: work for name, work in more.items() if work[1] > 1.5 * work[0] + 300} == {}
