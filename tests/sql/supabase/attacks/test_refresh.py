"""Reads that would prolong a session, by a user who may read it but not write it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.contract.refresh import READS
from tests.sql.supabase.attacks.attackers import A, B, Target
from tests.sql.supabase.attacks.attackers import project as project
from tests.sql.supabase.attacks.attackers import served as served

TTL = 600
SHARED = ("parlant_store_session", "parlant_store_session_item")
UPDATE = "{} update (expires_at) on parlant_store_session {} authenticated"


@pytest.fixture
def shared(served: Target) -> Iterator[Target]:
    """All users may read the session "s" of B."""
    b = served.store(served.stack.user_token(B), ttl_seconds=TTL)
    b.add_items("s", [{"role": "user", "content": "of B"}, {"n": 1}])
    assert b.set_expiry("s", datetime.now(UTC) + timedelta(seconds=TTL / 2))
    for table in SHARED:
        served.server.execute(
            f"create policy shared on {table} for select to authenticated using (true)"
        )
    yield served
    for table in SHARED:
        served.server.execute(f"drop policy shared on {table}")


def expiry(target: Target) -> Any:
    sql = "select expires_at from parlant_store_session where session_id = 's'"
    ((expires_at,),) = target.server.execute(sql).fetchall()
    return expires_at


@pytest.mark.parametrize("is_granted", [True, False])
def test_it_is_read_and_not_prolonged(shared: Target, is_granted: bool) -> None:
    options = {"ttl_seconds": TTL, "ttl_refresh": "read"}
    a, b = (shared.store(shared.stack.user_token(user), **options) for user in (A, B))
    before = expiry(shared)
    if not is_granted:
        shared.server.execute(UPDATE.format("revoke", "from"))
    try:
        for name, read in READS.items():
            assert read(a), name
        assert expiry(shared) == before
    finally:
        shared.server.execute(UPDATE.format("grant", "to"))
    assert b.get_items("s")
    assert expiry(shared) > before + timedelta(seconds=TTL / 3)
