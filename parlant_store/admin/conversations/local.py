"""The conversations of the project's own databases: a page of those that match."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import accumulate
from typing import Any, NamedTuple

from django.db import DatabaseError, InterfaceError, connections, transaction
from django.utils.translation import gettext as _

from parlant_store.admin.actions.selection import DOCUMENT_PREFIX, THREAD_PREFIX
from parlant_store.admin.conversations.conversation import (
    ACTIVITY,
    CREATION,
    LENGTH,
    PARLANT,
    Conversation,
    Criteria,
)
from parlant_store.admin.conversations.header import Links
from parlant_store.admin.conversations.rows import (
    DocumentRow,
    Persons,
    SessionRow,
    active_time,
    read_documents,
    read_persons,
    read_sessions,
)
from parlant_store.admin.conversations.search import streams
from parlant_store.admin.conversations.search.names import (
    AGENTS,
    CUSTOMERS,
    MAX_PERSONS,
    Names,
    named,
    persons_named,
    read_names,
)
from parlant_store.admin.conversations.search.selection import (
    DOCUMENT,
    KINDS,
    SESSION,
    THREAD,
    Matches,
)
from parlant_store.admin.conversations.search.streams import (
    Place,
    Table,
    count,
    is_cut,
    select,
    select_and_count,
)
from parlant_store.admin.conversations.search.words import (
    EVENT,
    ITEM,
    MESSAGE,
    Words,
    search,
    snippets,
)
from parlant_store.admin.conversations.threads import ThreadRow, message_url, read_threads
from parlant_store.admin.formatting import column_name, cut, grouped, joined_name
from parlant_store.admin.views.base import parsed_time
from parlant_store.content import codec
from parlant_store.content.related_documents import SESSIONS

Read = Callable[[Any, Sequence[Table], int], tuple[list[Place], int]]
"""Returns the first places of the tables, and the number of all of them."""


class Access(NamedTuple):
    """What the user may see."""

    sessions: bool
    items: bool
    documents: bool
    threads: bool
    checkpoints: bool


class Database(NamedTuple):
    """A database with conversations."""

    using: str
    alias: str
    """The store of another database; "" for the database of this admin."""


class Page(NamedTuple):
    """A page of conversations."""

    conversations: list[Conversation]
    total: int
    """How many there are, up to one more than streams.MAX_ROWS."""

    notes: list[str]


class _Matching(NamedTuple):
    """The conversations of a database that match."""

    database: Database
    query: str
    names: Names | None
    """None: they were not needed."""

    tables: list[Table]
    words: Words
    places: list[Place]
    total: int
    is_cut: bool


def read_page(
    databases: Sequence[Database],
    criteria: Criteria,
    access: Access,
    links: Links,
    *,
    start: int,
    size: int,
) -> Page:
    """Return the page that starts with the conversation number ``start``, from 0."""
    found, notes = [], []
    for database in databases:
        try:
            with savepoint(database.using):
                found.append(_match(database, criteria, access, start + size))
        except (DatabaseError, InterfaceError) as exc:
            if not database.alias:
                raise
            notes.append(_unanswered(database, exc))
    placed = [(matching, place) for matching in found for place in matching.places]
    placed.sort(key=lambda one: (_comparable(one[1].value), -one[1].kind, one[1].key), reverse=True)
    shown = placed[start : start + size]
    rows: dict[tuple[str, int, int], Conversation] = {}
    for matching in found:
        places = [place for other, place in shown if other is matching]
        with savepoint(matching.database.using):
            rows |= _read(matching, places, access, links)
    keys = [(matching.database.using, place.kind, place.key) for matching, place in shown]
    total = min(sum(matching.total for matching in found), streams.MAX_ROWS + 1)
    notes += _notes(found, criteria)
    conversations = [rows[key] for key in keys if key in rows]
    if criteria.order == ACTIVITY:
        # The places of those of one minute are in the order of their keys.
        conversations.sort(key=lambda one: _time(one.active_at), reverse=True)
    return Page(conversations, total, notes)


def select_keys(
    database: Database, criteria: Criteria, access: Access, limit: int
) -> dict[int, list[int]]:
    """Return the keys of all rows of each kind that match, for an action on them."""
    return _by_kind(_match(database, criteria, access, limit).places[:limit])


def _by_kind(places: Sequence[Place]) -> dict[int, list[int]]:
    return {kind: [place.key for place in places if place.kind == kind] for kind in KINDS}


def savepoint(using: str) -> AbstractContextManager[Any]:
    """Keep a failure from breaking the transaction of the request, if there is one."""
    is_inside = connections[using].in_atomic_block
    return transaction.atomic(using=using) if is_inside else nullcontext()


def _match(database: Database, criteria: Criteria, access: Access, limit: int) -> _Matching:
    connection = connections[database.using]
    names, matches, words = _matches(database.using, criteria, access)
    may_view = {SESSION: access.sessions, DOCUMENT: access.documents, THREAD: access.threads}
    kinds = (KINDS[kind] for kind in KINDS if may_view[kind])
    built = (kind(connection, criteria, matches).build() for kind in kinds)
    tables = [table for table in built if table is not None]
    if not tables:
        return _Matching(database, criteria.query, names, [], words, [], 0, False)
    places: list[Place] = []
    total, is_incomplete = 0, False
    for has_filters, read in ((False, _select_and_count_index), (True, select_and_count)):
        group = [table for table in tables if has_filters == _has_filters(table)]
        if group and criteria.order == CREATION:
            read = partial(_by_creation, read)
        found, number = read(connection, group, limit) if group else ([], 0)
        places += found
        total += number
        is_incomplete |= has_filters and is_cut(connection, group)
    return _Matching(database, criteria.query, names, tables, words, places, total, is_incomplete)


def _has_filters(table: Table) -> bool:
    """Whether rows are found or filtered: those are counted with the page."""
    return any(stream.filters or not stream.is_sorted for stream in table.streams)


def _select_and_count_index(
    connection: Any, tables: Sequence[Table], limit: int
) -> tuple[list[Place], int]:
    return select(connection, tables, limit), count(connection, tables)


def _streams(tables: Sequence[Table]) -> Iterator[Any]:
    return (stream for table in tables for stream in table.streams)


def _by_creation(
    read: Read, connection: Any, tables: Sequence[Table], limit: int
) -> tuple[list[Place], int]:
    """Read each table in the order of its keys or texts, with times that never grow."""
    places: list[Place] = []
    total = 0
    for table in tables:
        found, number = read(connection, [table], limit)
        times = accumulate((_time(place.value) for place in found), min)
        places += (place._replace(value=time) for place, time in zip(found, times, strict=True))
        total += number
    return places, total


def _time(value: Any) -> float:
    """Return a time of a column, or the text of a document, as seconds since 1970."""
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else value
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, AttributeError):
        return 0.0


def _comparable(value: Any) -> float:
    return -1.0 if value is None else float(value)


def _matches(using: str, criteria: Criteria, access: Access) -> tuple[Names | None, Matches, Words]:
    """Search the names and words that are filters or the search."""
    connection = connections[using]
    needs_names = criteria.query or criteria.owner or criteria.agent or criteria.order == CREATION
    names = read_names(connection) if needs_names else Names()
    collections = names.ending(SESSIONS)
    customers = agents = []
    if access.documents:
        customers = persons_named(connection, names, CUSTOMERS, criteria.owner or criteria.query)
        agents = persons_named(connection, names, AGENTS, criteria.agent)
    keys, words = None, Words()
    if criteria.query or (criteria.owner and access.documents):
        may_read = {
            ITEM: access.sessions and access.items,
            EVENT: access.documents,
            MESSAGE: access.threads and access.checkpoints,
        }
        kinds = [kind for kind in may_read if may_read[kind]]
        words = search(connection, criteria.query, criteria.owner, kinds=kinds)
        customers = list(dict.fromkeys([*customers, *words.customers]))[:MAX_PERSONS]
    if criteria.query:
        persons = [] if criteria.owner else customers
        found = named(connection, names, criteria.query, persons, list(words.events))
        found[SESSION].update(words.items)
        found[THREAD].update(words.threads)
        keys = [sorted(of_kind) for of_kind in found]
    matches = Matches(
        keys,
        collections,
        customers if criteria.owner else (),
        agents,
        names.containing(criteria.agent) if criteria.agent else None,
    )
    return (names if needs_names else None), matches, words


def _read(
    matching: _Matching, places: Sequence[Place], access: Access, links: Links
) -> dict[tuple[str, int, int], Conversation]:
    """Read what the page shows of these conversations."""
    (using, alias), words, keys = matching.database, matching.words, _by_kind(places)
    sessions = read_sessions(using, keys[SESSION], may_read=access.items)
    documents = read_documents(using, keys[DOCUMENT])
    threads = read_threads(using, keys[THREAD], may_read=access.checkpoints)
    persons = read_persons(using, documents, matching.names)
    items = {row.key: words.items[row.key] for row in sessions if row.key in words.items}
    events = {row.key: event for row in documents if (event := _event(row, words))}
    messages = {row.key: words.threads[row.key] for row in threads if row.key in words.threads}
    shown = {
        ITEM: [*items.values()],
        EVENT: [*events.values()],
        MESSAGE: [message.key for message in messages.values()],
    }
    texts = snippets(connections[using], shown, words.terms)
    found = {}
    for row in sessions:
        one = row_conversation(row, alias, links)
        snippet = texts.get((ITEM, items.get(row.key, 0)), "")
        found[using, SESSION, row.key] = replace(one, snippet=snippet)
    for document in documents:
        one = document_conversation(document, persons, alias, links)
        snippet = texts.get((EVENT, events.get(document.key, 0)), "")
        found[using, DOCUMENT, document.key] = replace(one, snippet=snippet)
    for thread in threads:
        one = row_conversation(thread, alias, links)
        if message := messages.get(thread.key):
            url = message_url(one.url, matching.query, message.number)
            one = replace(one, snippet=texts.get((MESSAGE, message.key), ""), url=url)
        found[using, THREAD, thread.key] = one
    return found


def _event(row: DocumentRow, words: Words) -> int | None:
    return words.events.get((f"{row.prefix}events", row.document_id or ""))


def row_conversation(row: SessionRow | ThreadRow, alias: str, links: Links) -> Conversation:
    """Return a session or thread; ``alias`` is the store of another database, or ""."""
    prefix = THREAD_PREFIX if isinstance(row, ThreadRow) else ""
    return Conversation(
        pk="" if alias else f"{prefix}{row.key}",
        url=links.row(row, alias),
        name=joined_name(column_name(row.namespace), column_name(row.session_id)),
        title=_text(row.title) or _text(row.first_message) or "",
        framework=row.framework,
        person=cut(column_name(row.user_id)),
        person_url=links.person(row.owner),
        agent=cut(column_name(row.namespace)),
        item_count=row.item_count,
        last_message=_text(row.last_message),
        active_at=row.updated_at,
        created_at=row.created_at,
        expires_at=row.expires_at,
        failed_calls=row.failed_calls,
        waiting=max(0, row.waiting or 0),
    )


def document_conversation(
    row: DocumentRow, persons: Persons, alias: str, links: Links
) -> Conversation:
    return Conversation(
        pk="" if alias else f"{DOCUMENT_PREFIX}{row.key}",
        url=links.row(row, alias),
        name=cut(column_name(row.document_id)) or str(row.key),
        title=_text(row.title) or _text(row.first_message) or "",
        framework=PARLANT,
        person=cut(column_name(row.customer_id)),
        person_name=_text(persons.customer(row)),
        person_url=links.person(row.customer_id and codec.unescape(row.customer_id)),
        agent=_text(persons.agent(row)) or cut(column_name(row.agent_id)),
        item_count=row.item_count,
        last_message=_text(row.last_message),
        active_at=active_time(row.active_minute) or parsed_time(row.creation_utc),
        expires_at=row.expires_at,
        failed_calls=row.failed_calls or 0,
    )


def _text(text: str | None) -> str | None:
    """Return the beginning of a text of a JSON column."""
    return text and cut(" ".join(codec.printable(codec.unescape(text)).split()))


def _unanswered(database: Database, exc: Exception) -> str:
    text = _("The store %(alias)s could not answer: %(error)s")
    return text % {"alias": database.alias, "error": codec.printable(str(exc).strip())}


def _notes(found: Sequence[_Matching], criteria: Criteria) -> Iterator[str]:
    has_filters = any(stream.filters for matching in found for stream in _streams(matching.tables))
    bound = streams.MAX_FILTERED if has_filters else streams.MAX_SORTED
    number = {"number": grouped(bound)}
    if any(matching.words.is_partial for matching in found):
        yield _("Many messages match: not every conversation that has one is listed.")
    if any(matching.is_cut for matching in found):
        if criteria.order == LENGTH and criteria._replace(order=ACTIVITY) == Criteria():
            yield _("Only the longest %(number)s conversations are sorted by length.") % number
        else:
            yield (
                _(
                    "The filters were applied to the first %(number)s conversations only: choose a "
                    "date, an owner or an agent to see others."
                )
                % number
            )
