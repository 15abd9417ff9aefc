"""The branches of a session in the store."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from parlant_store.adapters.openai_agents.branch_ids import (
    MAIN,
    branch_prefix,
    check_session_id,
    reservation,
    stored_id,
)
from parlant_store.adapters.openai_agents.session import Session
from parlant_store.exceptions import InvalidInput, InvalidName, SessionExists, SessionNotFound
from parlant_store.types import SessionCursor, SessionInfo

T = TypeVar("T")

PAGE = 1_000
"""How many branches are listed at once."""


class BranchedSession(Session):
    """A session of which each branch but "main" is a session of its own in the store.

    Which branch an object uses is known to the object only. If another one deletes that branch, or
    clears the session, it goes on with "main". A write to another branch than "main" takes one
    more call of the store, which tells whether there still is the branch.
    """

    def __init__(
        self, session_id: str, *, logger: logging.Logger | None = None, **options: Any
    ) -> None:
        """Take the ``options`` of Session; ``logger`` gets what goes wrong with usage."""
        super().__init__(session_id, **options)
        check_session_id(self.session_id)
        self._logger = logging.getLogger("parlant_store") if logger is None else logger
        self._branch_id = MAIN

    @property
    def branch_id(self) -> str:
        """The branch that this object uses."""
        return self._branch_id

    async def _call(self, call: Callable[..., Awaitable[T]], branch_id: str, **options: Any) -> T:
        return await self._run(call, stored_id(self.session_id, branch_id), **options)

    async def _exists(self, branch_id: str) -> bool:
        return await self._call(self._store.aexists, branch_id)

    async def _current_id(self) -> str:
        if self._branch_id != MAIN and not await self._exists(self._branch_id):
            self._branch_id = MAIN
        return stored_id(self.session_id, self._branch_id)

    async def _read(self, branch_id: str | None, read: Callable[[str], Awaitable[T]]) -> T:
        """Return what ``read`` returns for the id of a branch, by default the current one."""
        current = self._branch_id
        name = current if branch_id is None else branch_id
        result = await read(stored_id(self.session_id, name))
        if branch_id is None and not result and current != MAIN:
            # Without items, it may be deleted.
            name = await self._current_id()
            return await read(name) if self._branch_id != current else result
        return result

    async def _create_branch(self, turn_number: int, name: str) -> bool:
        """Return False if there is a branch of that name."""
        source = await self._current_id()
        if not turn_number:
            raise self._no_turn(turn_number)
        try:
            await self._run(
                self._store.abranch,
                source,
                new_id=stored_id(self.session_id, name),
                before_turn=turn_number,
                replace=False,
                with_usage=False,
                ttl_seconds=self.ttl_seconds,
            )
        except SessionExists:
            return False
        except InvalidName:
            raise
        except (InvalidInput, SessionNotFound):
            raise self._no_turn(turn_number) from None
        return True

    def _no_turn(self, turn_number: int) -> ValueError:
        return ValueError(
            f"Turn {turn_number} does not contain a user message in branch '{self._branch_id}'"
        )

    async def _used_names(self) -> set[str]:
        """Return the names that no branch may have, other than those of branches."""
        metadata = await self._call(self._store.aget_metadata, MAIN)
        sign = reservation("")
        return {MAIN} | {key[len(sign) :] for key in metadata if key.startswith(sign)}

    async def _reserve(self, *names: str) -> None:
        metadata = {reservation(name): "deleted" for name in names}
        await self._call(self._store.aset_metadata, MAIN, metadata=metadata, merge=True)

    async def _list_branches(self) -> dict[str, SessionInfo]:
        """Return the sessions of all branches but "main" by their names, the oldest first."""
        prefix = branch_prefix(self.session_id)
        sessions: list[SessionInfo] = []
        cursor: SessionCursor | None = None
        while True:
            page = await self._run(
                self._store.alist_sessions, prefix=prefix, limit=PAGE, cursor=cursor
            )
            sessions += page.sessions
            cursor = page.next_cursor
            if cursor is None:
                break
        sessions.sort(key=lambda session: session.created_at)
        return {session.session_id.removeprefix(prefix): session for session in sessions}

    async def _count_turns(self, branch_id: str) -> int:
        """Return the number of turns of users, of which the first ones may be deleted."""
        name = stored_id(self.session_id, branch_id)
        ends = await asyncio.gather(
            self._run_read(self._store.alist_turns, name, after=0, limit=1),
            self._run_read(self._store.alist_turns, name, limit=1, newest_first=True),
        )
        if not all(ends):
            return 0
        ((first,), (last,)) = ends
        return last.number - first.number + 1
