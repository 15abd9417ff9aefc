"""One session of a store, as ``Runner.run(session=...)`` takes it."""

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast
from weakref import WeakKeyDictionary

from parlant_store.adapters.extras import missing_extra
from parlant_store.backends.contract.validation import check_limit, check_ttl
from parlant_store.backends.reads import primary_reads
from parlant_store.content.codec import check_name
from parlant_store.exceptions import StoreError
from parlant_store.handler import stores
from parlant_store.types import JSONObject, Snapshot

try:
    from agents.memory import SessionSettings
    from agents.memory.session_settings import coerce_session_settings
except ImportError as exc:
    raise missing_extra("openai-agents", "the OpenAI Agents SDK") from exc

from parlant_store.adapters.openai_agents.compaction import IsPruned, compaction_snapshot
from parlant_store.adapters.openai_agents.encryption import is_encrypted, not_readable
from parlant_store.adapters.openai_agents.usage import less, run_usage

T = TypeVar("T")

logger = logging.getLogger("parlant_store")

if TYPE_CHECKING:
    from agents import RunContextWrapper, TResponseInputItem
    from agents.memory.session import _CompactionSnapshot
    from agents.result import RunResultBase


class Session:
    """One session of a store, as ``Runner.run(session=...)`` takes it.

    It has no state of the session: any number of objects, event loops and processes may use one
    session at once. Every method may raise the errors of parlant_store.exceptions. A cancelled
    call is also cancelled at the server, and raises CancelledError within a second.

    ``wrapper`` is the context of the run; its usage is stored with ``store_usage``.
    """

    def __init__(
        self,
        session_id: str,
        *,
        store: str = "default",
        namespace: str = "",
        user_id: str | None = None,
        session_settings: SessionSettings | dict[str, Any] | None = None,
        whole_turns: bool = False,
        ttl_seconds: float | None = None,
        max_tokens: int | None = None,
        count_tokens: Callable[[JSONObject], int] | None = None,
        store_usage: bool = False,
    ) -> None:
        """
        store: alias in PARLANT_STORES.
        namespace: a tenant or application; the same id in another namespace is another session.
        user_id: the owner, which is stored with the first items.
        session_settings: ``limit`` is the default limit of get_items; None: no limit.
        whole_turns: with a limit, return items from the message of a user on, and never the
            output of a tool without its call. Not for the items of EncryptedSession.
        ttl_seconds: how many seconds after its last write the session expires, or after its
            last read with the store's option ttl_refresh "read"; None: the ttl_seconds of the
            store.
        max_tokens: return the latest items that have so many tokens at most, but never the output
            of a tool without its call. Not for the items of EncryptedSession either.
        count_tokens: returns the tokens of an item; None: an estimate.
        store_usage: also store the usage of the run when the runner adds items, by one more call
            of the store.
        """
        self.session_id = check_name(session_id, "session_id")
        self.namespace = check_name(namespace, "namespace", empty=True)
        self.user_id = None if user_id is None else check_name(user_id, "user_id")
        self.session_settings = SessionSettings() if session_settings is None else session_settings
        self.whole_turns = whole_turns
        check_ttl(ttl_seconds)
        self.ttl_seconds = ttl_seconds
        check_limit(max_tokens, "max_tokens")
        self.max_tokens = max_tokens
        self.count_tokens = count_tokens
        self.store_usage = store_usage
        self._store = stores[store]
        self._is_encrypted = False
        self._added: WeakKeyDictionary[RunContextWrapper[Any], JSONObject] = WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.session_id!r} in {self._store.alias!r}>"

    @property
    def session_settings(self) -> SessionSettings | None:
        """The default settings of get_items; a dict becomes SessionSettings."""
        return self._settings

    @session_settings.setter
    def session_settings(self, settings: SessionSettings | dict[str, Any] | None) -> None:
        self._settings = None if settings is None else coerce_session_settings(settings)

    async def get_items(
        self, limit: int | None = None, *, wrapper: "RunContextWrapper[Any] | None" = None
    ) -> list["TResponseInputItem"]:
        """Return the latest ``limit`` items, oldest first; without a limit, all items."""
        return await self._get_items(self.session_id, limit)

    async def add_items(
        self,
        items: list["TResponseInputItem"],
        *,
        wrapper: "RunContextWrapper[Any] | None" = None,
    ) -> None:
        """Append ``items``, all of them or none."""
        await self._write(self._store.aadd_items, items)
        if self.store_usage and wrapper is not None and wrapper.usage.requests:
            try:
                await self._store_usage(wrapper)
            except StoreError:
                # The items are stored: the runner must not add them again.
                logger.exception("the usage of a run of %r is not stored", self)

    async def replace_items(self, items: list["TResponseInputItem"]) -> None:
        """Replace all items by ``items`` in one transaction."""
        await self._write(self._store.areplace_items, items)

    async def pop_item(
        self, *, wrapper: "RunContextWrapper[Any] | None" = None
    ) -> "TResponseInputItem | None":
        """Delete and return the latest item; return None if there is none."""
        item: Any = await self._run(self._store.apop_item, await self._current_id())
        return cast("TResponseInputItem | None", item)

    async def clear_session(self, *, wrapper: "RunContextWrapper[Any] | None" = None) -> None:
        """Delete all items; the session keeps its owner and metadata."""
        await self._run(self._store.aclear, self.session_id)

    async def store_run_usage(self, result: "RunResultBase") -> None:
        """Store the usage of a run as that of the last turn, as AdvancedSQLiteSession does.

        ``result`` is what ``Runner.run`` returned, or a streamed result after its last event.
        """
        if result.context_wrapper.usage is not None:
            await self._store_usage(result.context_wrapper)

    async def metadata(self, changes: JSONObject | None = None) -> JSONObject:
        """Return the session's metadata, after merging ``changes`` into it key by key."""
        if changes is None:
            return await self._run(self._store.aget_metadata, self.session_id)
        return await self._run(
            self._store.aset_metadata, self.session_id, metadata=changes, merge=True
        )

    async def _current_id(self) -> str:
        """Return the id of the session to write to."""
        return self.session_id

    async def _get_items(self, name: str, limit: int | None) -> list["TResponseInputItem"]:
        if limit is None and self._settings is not None:
            limit = self._settings.limit
        options: JSONObject = {"limit": limit, "whole_turns": self.whole_turns}
        if self.max_tokens is not None:
            options |= {"max_tokens": self.max_tokens, "count_tokens": self.count_tokens}
        items: Any = await self._run_read(self._store.aget_items, name, **options)
        self._look_at(items)
        return cast("list[TResponseInputItem]", items)

    async def _write(
        self, call: Callable[..., Awaitable[None]], items: list["TResponseInputItem"]
    ) -> None:
        self._look_at(items)
        name = await self._current_id()
        await self._run(call, name, items=items, user_id=self.user_id, ttl_seconds=self.ttl_seconds)

    def _look_at(self, items: Any) -> None:
        self._is_encrypted = self._is_encrypted or is_encrypted(items)
        if self._is_encrypted and (self.whole_turns or self.max_tokens is not None):
            raise not_readable()

    async def _store_usage(self, wrapper: "RunContextWrapper[Any]") -> None:
        usage = run_usage(wrapper.usage)
        if self._is_encrypted:
            # All runs are in turn 0: what this one has not added yet is added.
            added, self._added[wrapper] = self._added.get(wrapper), usage
            usage = less(usage, added)
        await self._run(
            self._store.aadd_usage,
            await self._current_id(),
            usage=usage,
            replace=not self._is_encrypted,
        )

    async def _run(self, call: Callable[..., Awaitable[T]], *names: str, **options: Any) -> T:
        with primary_reads():
            return await call(*names, namespace=self.namespace, **options)

    async def _run_read(self, call: Callable[..., Awaitable[T]], name: str, **options: Any) -> T:
        """Make a call that reads the session, and may prolong it."""
        return await self._run(call, name, ttl_seconds=self.ttl_seconds, **options)

    async def _get_compaction_snapshot(
        self, limit: int, *, prune_prefix: "IsPruned | None" = None
    ) -> "_CompactionSnapshot | None":
        """Return the latest items, and what replaces them, for OpenAIResponsesCompactionSession."""
        name = await self._current_id()
        snapshot = await self._run_read(self._store.aload_snapshot, name)

        async def splice(since: Snapshot, drop: int, keep: int, items: list[Any]) -> bool:
            revision = await self._run(
                self._store.asave_snapshot,
                name,
                items=items,
                state=since.state,
                user_id=self.user_id,
                ttl_seconds=self.ttl_seconds,
                since=since.revision,
                drop=drop,
                keep=keep,
            )
            return revision is not None

        return compaction_snapshot(snapshot, limit, prune_prefix, splice)

    async def _atomic_replace_items(self, items: list["TResponseInputItem"]) -> bool:
        """Replace all items in one step, for OpenAIResponsesCompactionSession."""
        await self.replace_items(items)
        return True
