"""The contract of stores: sessions."""

from abc import abstractmethod
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from uuid import UUID

from django.dispatch import Signal

from parlant_store.backends.contract.listings import ListingMethods
from parlant_store.backends.contract.operations import (
    AddItems,
    ClearSession,
    DeleteSession,
    GetItems,
    PopItem,
    SetExpiry,
    SetMetadata,
)
from parlant_store.backends.contract.refresh import READ
from parlant_store.backends.contract.validation import (
    SessionName,
    check_limit,
    check_owner,
    check_request,
    check_time,
    check_ttl,
    session_name,
)
from parlant_store.backends.contract.windows import Window, items_within, latest_turns
from parlant_store.backends.threads.async_methods import as_async
from parlant_store.content import codec
from parlant_store.content.items import batch
from parlant_store.content.tokens import estimate_tokens
from parlant_store.exceptions import InvalidInput
from parlant_store.signals import send, session_deleted, session_loaded, session_saved
from parlant_store.types import (
    JSONObject,
    SessionInfo,
)


class SessionMethods(ListingMethods):
    """The operations on sessions."""

    alias: str

    ttl: timedelta | None
    """The option ``ttl_seconds``."""

    ttl_refresh: str
    """The option; one of parlant_store.backends.contract.refresh.CHOICES."""

    def add_items(
        self,
        session_id: str,
        items: Iterable[JSONObject],
        *,
        namespace: str = "",
        user_id: str | None = None,
        ttl_seconds: float | None = None,
        request_id: str | UUID | None = None,
    ) -> None:
        """Append ``items`` to the session as one batch; create the session if there is none.

        ``user_id`` becomes the owner of a session without one. The session expires after
        ``ttl_seconds``; None: those of the store. Without items, nothing happens.
        """
        request = check_request(request_id, "add_items")
        addition = self._addition(
            session_id, items, namespace=namespace, user_id=user_id, ttl_seconds=ttl_seconds
        )
        if addition.batch.data:
            count = self._add_items(addition._replace(request=request))
            self._send(session_saved, addition.session, count)

    aadd_items = as_async(add_items)

    def replace_items(
        self,
        session_id: str,
        items: Iterable[JSONObject],
        *,
        namespace: str = "",
        user_id: str | None = None,
        ttl_seconds: float | None = None,
        request_id: str | UUID | None = None,
    ) -> None:
        """Replace all items of the session by ``items``."""
        request = check_request(request_id, "replace_items")
        addition = self._addition(
            session_id, items, namespace=namespace, user_id=user_id, ttl_seconds=ttl_seconds
        )
        count = self._add_items(addition._replace(request=request, replace=True))
        self._send(session_saved, addition.session, count)

    areplace_items = as_async(replace_items)

    def get_items(
        self,
        session_id: str,
        *,
        namespace: str = "",
        limit: int | None = None,
        whole_turns: bool = False,
        max_tokens: int | None = None,
        count_tokens: Callable[[JSONObject], int] | None = None,
        ttl_seconds: float | None = None,
    ) -> list[JSONObject]:
        """Return the latest ``limit`` items, oldest first; without a limit, all items.

        With ``whole_turns``, the first one is the message of a user, with the instructions right
        before it, if there is one among them (parlant_store.content.turns). With ``max_tokens``,
        the items have at most so many tokens, and items at the start that a model cannot start
        with are left out: an output whose call is not among them, or a call without its reasoning.
        ``count_tokens`` returns the tokens of an item; None: an estimate
        (parlant_store.content.tokens).

        If the store has the option ttl_refresh "read", the read prolongs the session: it expires
        after ``ttl_seconds`` at the earliest; None: those of the store.

        Without a session, or with limit 0, return an empty list. Damaged rows are skipped and do
        not count. Raise InvalidLimit if ``limit`` or ``max_tokens`` is negative.
        """
        read = self._reading(session_id, namespace=namespace, limit=limit, ttl_seconds=ttl_seconds)
        tokens = check_limit(max_tokens, "max_tokens")
        if 0 in (read.limit, tokens):
            items = []
        elif tokens is not None:
            window = Window(tokens, count_tokens or estimate_tokens, whole_turns)
            items = items_within(self._get_items, read, window)
        elif whole_turns and read.limit is not None:
            items = latest_turns(self._get_items, read, read.limit)
        else:
            items = self._get_items(read)
        self._send(session_loaded, read.session, len(items))
        return items

    aget_items = as_async(get_items)

    def pop_item(
        self, session_id: str, *, namespace: str = "", request_id: str | UUID | None = None
    ) -> JSONObject | None:
        """Delete and return the latest item; return None if there is none.

        Damaged rows after it are deleted too.
        """
        request = check_request(request_id, "pop_item")
        return self._pop_item(PopItem(session_name(session_id, namespace), request))

    apop_item = as_async(pop_item)

    def clear(
        self, session_id: str, *, namespace: str = "", request_id: str | UUID | None = None
    ) -> None:
        """Delete all items of the session, which keeps its owner and metadata."""
        request = check_request(request_id, "clear")
        self._clear(ClearSession(session_name(session_id, namespace), request))

    aclear = as_async(clear)

    def delete_session(
        self, session_id: str, *, namespace: str = "", request_id: str | UUID | None = None
    ) -> bool:
        """Delete the session with all its items; return False if there is none."""
        session = session_name(session_id, namespace)
        request = check_request(request_id, "delete_session")
        count = self._delete_session(DeleteSession(session, request))
        if count is not None:
            self._send(session_deleted, session, count)
        return count is not None

    adelete_session = as_async(delete_session)

    def exists(self, session_id: str, *, namespace: str = "") -> bool:
        """Whether the session exists, with items or without."""
        return self.get_session(session_id, namespace=namespace) is not None

    aexists = as_async(exists)

    def get_session(self, session_id: str, *, namespace: str = "") -> SessionInfo | None:
        """Return the session without its items; None if there is none."""
        return self._get_session(session_name(session_id, namespace))

    aget_session = as_async(get_session)

    def get_metadata(self, session_id: str, *, namespace: str = "") -> JSONObject:
        """Return the metadata of the session; an empty dict if there is no session."""
        session = self.get_session(session_id, namespace=namespace)
        return {} if session is None else session.metadata

    aget_metadata = as_async(get_metadata)

    def set_metadata(
        self,
        session_id: str,
        metadata: JSONObject,
        *,
        namespace: str = "",
        merge: bool = False,
        request_id: str | UUID | None = None,
    ) -> JSONObject:
        """Set the metadata of the session and return it; create the session if there is none.

        With ``merge``, keys that ``metadata`` does not have are kept.
        """
        request = check_request(request_id, "set_metadata")
        session = session_name(session_id, namespace)
        encoded = codec.encode_document(metadata, "metadata")
        return self._set_metadata(SetMetadata(session, encoded, merge, request))

    aset_metadata = as_async(set_metadata)

    def set_title(
        self,
        session_id: str,
        title: str,
        *,
        namespace: str = "",
        request_id: str | UUID | None = None,
    ) -> JSONObject:
        """Set "title" in the metadata of the session, and return the metadata.

        The admin shows it as the title of the conversation. Create the session if there is none.
        """
        if not isinstance(title, str):
            raise InvalidInput(f"title must be text, not {type(title).__name__}")
        return self.set_metadata(
            session_id, {"title": title}, namespace=namespace, merge=True, request_id=request_id
        )

    aset_title = as_async(set_title)

    def set_expiry(
        self,
        session_id: str,
        expires_at: datetime | None,
        *,
        namespace: str = "",
        request_id: str | UUID | None = None,
    ) -> bool:
        """Set when the session expires, None for never; return False if there is no session.

        The next write sets it again if the store has a ttl_seconds.
        """
        request = check_request(request_id, "set_expiry")
        session = session_name(session_id, namespace)
        return self._set_expiry(SetExpiry(session, check_time(expires_at, "expires_at"), request))

    aset_expiry = as_async(set_expiry)

    @abstractmethod
    def _add_items(self, addition: AddItems) -> int:
        """Return the number of items that the session now has."""

    @abstractmethod
    def _get_items(self, read: GetItems) -> list[JSONObject]: ...

    @abstractmethod
    def _pop_item(self, removal: PopItem) -> JSONObject | None: ...

    @abstractmethod
    def _clear(self, removal: ClearSession) -> None: ...

    @abstractmethod
    def _delete_session(self, removal: DeleteSession) -> int | None:
        """Return the number of its items; None if there was no session."""

    @abstractmethod
    def _get_session(self, session: SessionName) -> SessionInfo | None: ...

    @abstractmethod
    def _set_metadata(self, change: SetMetadata) -> JSONObject: ...

    @abstractmethod
    def _set_expiry(self, change: SetExpiry) -> bool: ...

    def _send(self, signal: Signal, session: SessionName, message_count: int) -> None:
        send(signal, self.alias, session.namespace, session.session_id, message_count)

    def _addition(
        self,
        session_id: str,
        items: Iterable[JSONObject],
        *,
        namespace: str = "",
        user_id: str | None = None,
        ttl_seconds: float | None = None,
        request_id: None = None,
    ) -> AddItems:
        session, owner = session_name(session_id, namespace), check_owner(user_id)
        return AddItems(session, batch(items), owner, check_ttl(ttl_seconds))

    def _reading(
        self,
        session_id: str,
        *,
        namespace: str = "",
        limit: int | None = None,
        ttl_seconds: float | None = None,
        **others: object,
    ) -> GetItems:
        session = session_name(session_id, namespace)
        return GetItems(session, check_limit(limit), self._refresh(ttl_seconds))

    def _refresh(self, ttl_seconds: float | None) -> timedelta | None:
        """Return the time by which a read prolongs a session that expires; None: it does not."""
        ttl = check_ttl(ttl_seconds)
        if self.ttl_refresh != READ:
            return None
        return self.ttl if ttl is None else ttl
