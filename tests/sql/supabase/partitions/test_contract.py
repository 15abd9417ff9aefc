"""The contract of stores where documents are partitioned by collection.

Left out are cases in which a partition is as any table: what Python refuses before it asks the
server, conditions and orders over the fields of a row, and what is about sessions alone.
"""

from collections.abc import Callable

import pytest

from tests.contract.document_filters import FilterContract
from tests.contract.documents import DocumentContract
from tests.contract.memories import MemoryContract
from tests.contract.retention import RetentionContract

REFUSED_BY_PYTHON = (
    "test_a_bad_rule_is_refused_at_once",
    "test_a_numbered_document_needs_both_fields",
    "test_bad_collections_are_refused",
    "test_bad_directions_are_refused",
    "test_bad_ends_are_refused",
    "test_bad_ids_are_refused",
    "test_bad_limits_are_refused",
    "test_invalid_names",
    "test_invalid_ttl",
    "test_only_dicts_are_documents",
    "test_what_cannot_be_an_index_is_refused",
    "test_what_json_cannot_say_is_refused",
    "test_what_json_cannot_say_is_refused_by_name",
)
OF_A_ROW = (
    *(name for name in vars(FilterContract) if name.startswith("test_")),
    "test_any_value_comes_back",
)
OF_SESSIONS = (
    "test_a_namespace_narrows_it_to_its_sessions",
    "test_sessions_that_began_long_ago",
    "test_sessions_that_nobody_wrote_to",
    "test_signals_tell_which_sessions_went",
    "test_the_time_is_utc_whatever_the_clock_says",
)


def without(contract: type, *names: str) -> type:
    """The contract without these cases, of those that it has."""
    return type(contract.__name__, (contract,), {n: None for n in names if hasattr(contract, n)})


SAME = (*REFUSED_BY_PYTHON, *OF_A_ROW, *OF_SESSIONS)


class TestPartitionedDocuments(without(DocumentContract, *SAME)):
    # One of the orders; of the values, test_whatever_json_can_say_comes_back stays.
    test_sorting_by_several_fields = DocumentContract.test_sorting_by_several_fields

    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestPartitionedMemories(without(MemoryContract, *SAME)):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store


class TestPartitionedRetention(without(RetentionContract, *SAME)):
    @pytest.fixture
    def make_store(self, make_store):
        return make_store

    @pytest.fixture
    def bulk(self, sql, clock) -> Callable[..., None]:
        """What that of tests/backends/orm/test_retention.py makes, in the database of the stack."""

        def make(*, sessions: int, documents: int, expires_at=None) -> None:
            given = {"now": clock(), "text": clock().isoformat(), "ends": expires_at}
            sql.execute(
                "insert into parlant_store_session (session_id, namespace, metadata, state,"
                " next_position, item_count, tokens, created_at, updated_at, expires_at)"
                " select 's' || to_char(n - 1, 'FM0000'), '', '{}', '{}', 0, 0, 0,"
                " %(now)s, %(now)s, %(ends)s from generate_series(1, %(count)s) n",
                given | {"count": sessions},
            )
            sql.execute(
                "insert into parlant_store_document"
                " (collection, id, version, creation_utc, data, updated_at, expires_at)"
                " select 'c', 'd' || to_char(n - 1, 'FM0000'), '1', %(text)s, '{}', %(now)s,"
                " %(ends)s from generate_series(1, %(count)s) n",
                given | {"count": documents},
            )

        return make
