"""Selected rows: what actions need of them, whether their store is local or remote."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import add
from typing import Any, NamedTuple, Protocol

from django.contrib import messages
from django.core.exceptions import SuspiciousOperation
from django.db.models import Model
from django.http import HttpRequest, HttpResponseRedirect
from django.utils.translation import gettext_lazy, ngettext_lazy

from parlant_store.admin.formatting import counted
from parlant_store.backends.contract.validation import SessionName

MAX_ROWS = 10_000
"""Limit on the rows of one action."""

MAX_KEY = 2**63 - 1

DOCUMENT_PREFIX, THREAD_PREFIX = "document-", "thread-"
"""The start of a checkbox's value that selects a Parlant session, or a thread, in a list of
conversations."""

KEYS = {DOCUMENT_PREFIX: "document_keys", THREAD_PREFIX: "thread_keys"}
"""The form data with the keys of the rows whose checkboxes have values with a prefix."""

_KEYS = re.compile(r"\d{1,19}(?:-\d{1,19})?(?:,\d{1,19}(?:-\d{1,19})?)*", re.ASCII)


class Row(NamedTuple):
    """A session, document or thread; names of local rows are as in the columns."""

    key: int
    place: str
    """The namespace or the collection."""

    name: str | None
    related: str | None = None
    """The full names of a session or thread, or the session of a document."""

    item_count: int = 0
    expires_at: datetime | None = None


class Result(NamedTuple):
    """The rows that an action changed, and the reasons why others are unchanged."""

    rows: tuple[Row, ...] = ()
    related: int = 0
    """The number of related documents that were changed too."""

    ineligible: int = 0
    missing: int = 0
    protected: tuple[tuple[str, str], ...] = ()
    """Names of rows, with the names of the rows that protect them."""

    failed: tuple[tuple[str, str], ...] = ()
    """The name of the row at which the store failed, with the error."""

    remaining: int = 0
    """The number of rows from that one on."""

    def __or__(self, other: "Result") -> "Result":
        return Result(*map(add, self, other))


TTL = gettext_lazy(
    "The store moves the end of a conversation at each write: the next one moves it again."
)
_ITEMS = ngettext_lazy(
    "They have %(number)s item in all.", "They have %(number)s items in all.", "count"
)
_ITEMS_OF_ONE = ngettext_lazy("It has %(number)s item.", "It has %(number)s items.", "count")


def items_text(rows: Sequence[Row]) -> str:
    """Return how many items the sessions have."""
    text = _ITEMS if len(rows) > 1 else _ITEMS_OF_ONE
    return counted(text, sum(row.item_count for row in rows))


class Rows(Protocol):
    """Selected sessions, documents, or threads, of one store."""

    model: type[Model]

    def __len__(self) -> int: ...

    def now(self) -> datetime: ...

    def transaction(self) -> AbstractContextManager[Any]: ...

    def read(self, *, lock: bool = False) -> list[Row]:
        """Return the rows that exist, in the order of their selection."""

    def form_data(self, rows: Sequence[Row]) -> Iterable[tuple[str, Any]]:
        """Return form data that selects ``rows``."""

    def label(self, row: Row) -> str: ...

    def notes(self, action: str, rows: Sequence[Row]) -> Iterator[str]:
        """Yield sentences about what else the action does to ``rows``, which were read."""

    def set_expiry(
        self, rows: Sequence[Row], at: datetime | None, by: timedelta | None = None
    ) -> Result:
        """Let ``rows`` expire ``at`` a time, or ``by`` so much later than at present or then."""

    def delete(self, rows: Sequence[Row]) -> Result: ...

    def send_deleted(self, rows: Sequence[Row]) -> None:
        """Send session_deleted for the deleted rows, unless the store has done so."""

    def lines(self, rows: Sequence[Row]) -> Iterator[str]:
        """Yield ``rows`` as JSON Lines, in pieces."""

    def session_name(self, row: Row) -> SessionName: ...

    def is_taken(self, name: SessionName) -> bool: ...

    def branch(self, source: SessionName, new_id: str) -> Row:
        """Copy a session; raise SessionNotFound, SessionExists or ProtectedRow."""

    def log(self, request: HttpRequest, rows: Sequence[Row], message: str, flag: int) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The rows that a request selects."""

    admin: Any
    request: HttpRequest
    parts: Sequence[Rows]
    list_url: str

    page_url: str = ""
    """The page of the selected row, if the request comes from there."""

    is_confirmed: bool = False

    action: str = ""
    """The action's name in the request, if it is another one."""

    form_data: Sequence[tuple[str, Any]] = ()
    """What the form of the confirmation sends besides the rows."""

    context: dict[str, Any] = field(default_factory=dict)
    """The context of the confirmation, besides the action's."""

    def show(self, level: int, message: Any) -> None:
        messages.add_message(self.request, level, str(message))

    def to_list(self) -> HttpResponseRedirect:
        return HttpResponseRedirect(self.list_url)

    def back(self) -> HttpResponseRedirect:
        return HttpResponseRedirect(self.page_url or self.list_url)


def format_keys(keys: Iterable[int]) -> str:
    """Return keys as form data: "3,7-9"."""
    spans: list[list[int]] = []
    for key in sorted(keys):
        if spans and spans[-1][1] == key - 1:
            spans[-1][1] = key
        else:
            spans.append([key, key])
    return ",".join(f"{first}-{last}" if last > first else str(first) for first, last in spans)


def parse_keys(text: str) -> list[int]:
    """Reverse ``format_keys``; raise SuspiciousOperation for any other text."""
    keys: list[int] = []
    for span in text.split(",") if _KEYS.fullmatch(text) else [""]:
        first, _, last = span.partition("-")
        start, end = int(first or 1), int(last or first or 0)
        if not start <= end <= MAX_KEY or len(keys) + end - start >= MAX_ROWS:
            raise SuspiciousOperation("these are no keys, or too many")
        keys.extend(range(start, end + 1))
    return keys
