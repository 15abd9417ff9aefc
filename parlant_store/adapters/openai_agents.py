"""The OpenAI Agents SDK's ``Session`` (agents.memory.session) on a store.

::

    from parlant_store.adapters.openai_agents import Session

    await Runner.run(agent, "hello", session=Session("session-1"))
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

from parlant_store.adapters.extras import missing_extra
from parlant_store.backends.reads import primary_reads
from parlant_store.content.codec import check_name
from parlant_store.handler import stores
from parlant_store.types import JSONObject

try:
    from agents.memory import SessionSettings
    from agents.memory.session_settings import coerce_session_settings
except ImportError as exc:
    raise missing_extra("openai-agents", "the OpenAI Agents SDK") from exc

if TYPE_CHECKING:
    from agents import RunContextWrapper, TResponseInputItem
    from agents.result import RunResultBase


class Session:
    """One session of a store, as ``Runner.run(session=...)`` takes it.

    It has no state of its own: any number of objects, event loops and processes may use one
    session at once. Every method may raise the errors of parlant_store.exceptions. A cancelled
    call is also cancelled at the server, and raises CancelledError within a second.

    ``wrapper``, the context of the run, is accepted and ignored.
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
    ) -> None:
        """
        store: alias in PARLANT_STORES.
        namespace: a tenant or application; the same id in another namespace is another session.
        user_id: the owner, which is stored with the first items.
        session_settings: ``limit`` is the default limit of get_items.
        whole_turns: with a limit, return items from the message of a user on, and never the
            output of a tool without its call.
        ttl_seconds: how many seconds after its last write the session expires; None: the
            ttl_seconds of the store.
        """
        self.session_id = check_name(session_id, "session_id")
        self.namespace = check_name(namespace, "namespace", empty=True)
        self.user_id = None if user_id is None else check_name(user_id, "user_id")
        self.session_settings = session_settings
        self.whole_turns = whole_turns
        self.ttl_seconds = ttl_seconds
        self._store = stores[store]

    def __repr__(self) -> str:
        return f"<Session {self.session_id!r} in {self._store.alias!r}>"

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
        if limit is None and self._settings is not None:
            limit = self._settings.limit
        with primary_reads():
            items: Any = await self._store.aget_items(
                self.session_id,
                namespace=self.namespace,
                limit=limit,
                whole_turns=self.whole_turns,
            )
        return cast("list[TResponseInputItem]", items)

    async def add_items(
        self,
        items: list["TResponseInputItem"],
        *,
        wrapper: "RunContextWrapper[Any] | None" = None,
    ) -> None:
        """Append ``items``, all of them or none."""
        await self._write(self._store.aadd_items, items)

    async def replace_items(self, items: list["TResponseInputItem"]) -> None:
        """Replace all items by ``items`` in one transaction."""
        await self._write(self._store.areplace_items, items)

    async def pop_item(
        self, *, wrapper: "RunContextWrapper[Any] | None" = None
    ) -> "TResponseInputItem | None":
        """Delete and return the latest item; return None if there is none."""
        item: Any = await self._store.apop_item(self.session_id, namespace=self.namespace)
        return cast("TResponseInputItem | None", item)

    async def clear_session(self, *, wrapper: "RunContextWrapper[Any] | None" = None) -> None:
        """Delete all items; the session keeps its owner and metadata."""
        await self._store.aclear(self.session_id, namespace=self.namespace)

    async def store_run_usage(self, result: "RunResultBase") -> None:
        """Add the tokens of a run to those of the session, as AdvancedSQLiteSession does.

        ``result`` is what ``Runner.run`` returned, or a streamed result after its last event.
        """
        usage = result.context_wrapper.usage
        if usage is None or not usage.total_tokens:
            return
        await self._store.aadd_usage(self.session_id, usage.total_tokens, namespace=self.namespace)

    async def metadata(self, changes: JSONObject | None = None) -> JSONObject:
        """Return the session's metadata, after merging ``changes`` into it key by key."""
        name = {"session_id": self.session_id, "namespace": self.namespace}
        if changes is None:
            with primary_reads():
                return await self._store.aget_metadata(**name)
        return await self._store.aset_metadata(metadata=changes, merge=True, **name)

    async def _write(
        self, write: Callable[..., Awaitable[None]], items: list["TResponseInputItem"]
    ) -> None:
        await write(
            self.session_id,
            items,
            namespace=self.namespace,
            user_id=self.user_id,
            ttl_seconds=self.ttl_seconds,
        )
