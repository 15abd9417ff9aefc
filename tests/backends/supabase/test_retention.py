"""Expiry by rules where documents are partitioned by collection."""

from collections.abc import Callable

import pytest

from tests.contract.retention import RetentionContract
from tests.sql.supabase.test_collections import cleaner as cleaner
from tests.sql.supabase.test_collections import make_store as make_store
from tests.sql.supabase.test_collections import project as project
from tests.sql.supabase.test_collections import running as running
from tests.sql.supabase.test_collections import sql as sql
from tests.sql.supabase.test_collections import stack as stack


class TestPartitionedRetention(RetentionContract):
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
