"""LangGraph's own tests of checkpointers."""

from langgraph.checkpoint.conformance import checkpointer_test, validate

from parlant_store.adapters.langgraph import Checkpointer

TESTS = {
    "put": 17,
    "put_writes": 10,
    "get_tuple": 10,
    "list": 16,
    "delete_thread": 5,
    "delete_for_runs": 7,
    "copy_thread": 8,
    "prune": 8,
}
"""The number of tests of each capability: those of missing methods are left out silently."""


async def test_conformance(store):
    @checkpointer_test(name="parlant_store")
    async def saver():
        yield Checkpointer()

    report = await validate(saver)
    failures = {name: result.failures for name, result in report.results.items()}
    assert not any(failures.values()), failures
    assert {name: result.tests_passed for name, result in report.results.items()} == TESTS
    assert sum(TESTS.values()) == 81
