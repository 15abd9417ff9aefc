"""The admin over a thousand conversations and over a quarter of a million: what each page costs.

    python -m benchmarks.admin [--sessions 200000] [--events 1000000] [--rounds 15]
        [--only sqlite|postgresql] [--pages REGEX] [--keep FOLDER]

Each database is filled twice, with a thousand conversations and with those of the options; --keep
stores the filled databases in a folder, and the next run with it fills none. Every session has five
items, every Parlant session 20 events, and every thread of LangGraph, of which there are a quarter
as many as sessions, two checkpoints. The last activity of all is within the last ten days.
What a page asks for has as many results with a thousand conversations as with all: the rows of a
page, or those of one person, id or word. A page is requested by Django's test client, in each round
from both databases in turn, so that a busy machine slows both; a cell is the median of the CPU time
of Django and of its server process, in milliseconds, and the number of statements. The times are
the median of the quotients of the rounds. The last column has the tables of the project that a
statement reads without an index.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import django
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.servers.postgresql import PostgreSQL, postgresql

ADMIN = {"defaults": {"is_superuser": True, "is_staff": True}}

SMALL = (640, 4_000)
"""The sessions and the events of a thousand conversations: 200 are Parlant's, 160 threads."""

ITEMS = 5
"""The items of a session."""

EVENTS = 20
"""The events of a Parlant session."""

CHECKPOINTS = 2
"""The checkpoints of a thread."""

NUMBERS = {
    "sqlite": "WITH RECURSIVE t (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t LIMIT {count}) ",
    "postgresql": "WITH t (n) AS (SELECT generate_series(1, {count})) ",
}
TEXT = "'question number ' || n || CASE n WHEN 77 THEN ' platypus' ELSE '' END"
NAME = "CASE n WHEN 3 THEN 'Grace Hopper' ELSE 'Customer ' || n END"
TERMS = {"sqlite": "lower({text})", "postgresql": "to_tsvector('simple', {text})"}
JSON = {"sqlite": "json_object", "postgresql": "jsonb_build_object"}
BYTES = {"sqlite": "CAST({text} AS BLOB)", "postgresql": "convert_to({text}, 'UTF8')"}

# The factor spreads neighbours: keys are not in the order of times.
AGO = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%S', 'now', '-' || (n * 17 % 14400) || ' minutes')",
    "postgresql": "(now() - (n::bigint * 17 % 14400) * interval '1 minute')",
}
"""A time within the last ten days."""

CREATED = {
    "sqlite": "strftime('%Y-%m-%dT%H:%M:%S+00:00', {ago})",
    "postgresql": """to_char({ago} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"')""",
}
"""The same as Parlant writes it."""

PAGES = {
    "the app": "",
    "conversations": "session/",
    "conversations, page 9": "session/?p=9",
    "conversations by creation": "session/?order=creation",
    "conversations by length": "session/?order=length",
    "conversations of yesterday": "session/?date=yesterday",
    "conversations of a week of last year": "session/?from=2025-03-01&to=2025-03-07",
    "conversations with a failed tool": "session/?failed=yes",
    "conversations that have expired": "session/?state=expired",
    "conversations that have not expired": "session/?state=live",
    "conversations of an owner": "session/?owner=user3@example.org",
    "conversations of a customer by name": "session/?owner=grace+hopper",
    "conversations of an agent": "session/?agent=agent-1",
    "conversations of a namespace": "session/?agent=shop-1",
    "conversations of Parlant": "session/?framework=parlant",
    "conversations of LangGraph": "session/?framework=langgraph",
    "conversations by four filters": "session/?framework=openai&state=live&agent=shop&date=7days",
    "conversations by a rare word": "session/?q=platypus",
    "conversations by a word of every item": "session/?q=question",
    "conversations by a name": "session/?q=grace+hopper",
    "conversations by an id": "session/?q=chat77z",
    "conversations by the id of an owner": "session/?q=user3@example.org",
    "a session": "session/{session}/change/",
    "a Parlant session": "document/{parlant}/change/",
    "a thread": "thread/1/change/",
    "documents": "document/",
    "documents of a collection": "document/?collection=parlant_sessions_events",
    "documents of a session": "document/?q=p3z",
    "documents by a field": "document/?collection=parlant_sessions_events&q=kind:tool",
    "events of a kind": "document/?collection=parlant_sessions_events&kind=tool",
    "people": "session/people/",
    "people found": "session/people/?q=ser3%40ex",
    "a person": "session/person/?user=user3@example.org",
    "a customer": "session/person/?user=customer1@example.org",
    "overview": "session/overview/",
}


def fill(vendor: str, sessions: int, events: int) -> None:
    numbers, build, ago, created = NUMBERS[vendor], JSON[vendor], AGO[vendor], CREATED[vendor]
    created = created.format(ago=ago)
    terms, names = (TERMS[vendor].format(text=text) for text in (TEXT, NAME))
    talks, threads = max(1, events // EVENTS), max(1, sessions // 4)
    messages = f"{build}('type', 'human', 'content', {TEXT})"
    messages, empty = (
        BYTES[vendor].format(text=text)
        for text in (f"'[' || CAST({messages} AS text) || ']'", "''")
    )
    statements = [
        numbers.format(count=sessions)
        + "INSERT INTO parlant_store_session (namespace, session_id, user_id, metadata, state,"
        " next_position, item_count, failed_calls, created_at, updated_at, expires_at)"
        " SELECT 'shop-' || (n % 4), 'chat' || n || 'z', 'user' || (n / 4) || '@example.org',"
        f" '{{}}', '{{}}', {ITEMS}, {ITEMS}, CASE n % 4 WHEN 0 THEN 1 ELSE 0 END, {ago}, {ago},"
        " CASE n % 5 WHEN 0 THEN CURRENT_TIMESTAMP END FROM t",
        numbers.format(count=sessions * ITEMS)
        + "INSERT INTO parlant_store_session_item (session_key, position, role, text, data,"
        f" terms, created_at) SELECT (n - 1) / {ITEMS} + 1, (n - 1) % {ITEMS}, 'user', {TEXT},"
        f" CAST({build}('role', 'user', 'content', {TEXT}) AS text), {terms},"
        " CURRENT_TIMESTAMP FROM t",
        # The triggers of sessions count events that exist already, whose keys are the last ones.
        numbers.format(count=talks * EVENTS)
        + "INSERT INTO parlant_store_document (key, collection, id, version, creation_utc,"
        " session_id, data, terms, failed_calls, updated_at)"
        f" SELECT {talks * 2} + n, 'parlant_sessions_events', 'e' || n || 'z', '0.9.0', {created},"
        f" 'p' || ((n - 1) / {EVENTS} + 1) || 'z', {build}('id', 'e' || n || 'z', 'offset',"
        f" (n - 1) % {EVENTS}, 'source', 'customer', 'kind', CASE n % 4 WHEN 0 THEN 'tool'"
        f" ELSE 'message' END, 'data', {build}('message', {TEXT})), {terms},"
        f" CASE n % 60 WHEN 0 THEN 1 END, {ago} FROM t",
        numbers.format(count=talks)
        + "INSERT INTO parlant_store_document (key, collection, id, version, creation_utc,"
        " customer_id, agent_id, data, updated_at)"
        f" SELECT n, 'parlant_sessions_sessions', 'p' || n || 'z', '0.9.0', {created},"
        " 'customer' || (n / 2) || '@example.org', 'agent-' || (n % 2),"
        f" {build}('id', 'p' || n || 'z'), {ago} FROM t",
        numbers.format(count=talks // 2)
        + "INSERT INTO parlant_store_document (key, collection, id, creation_utc, data, terms,"
        f" updated_at) SELECT {talks} + n, 'parlant_sessions_customers',"
        " 'customer' || n || '@example.org',"
        f" {created}, {build}('id', 'customer' || n || '@example.org', 'name', {NAME}), {names},"
        " CURRENT_TIMESTAMP FROM t",
        numbers.format(count=threads)
        + "INSERT INTO parlant_store_thread (key, namespace, thread_id, user_id, created_at,"
        " updated_at, expires_at) SELECT n, 'shop-' || (n % 4), 't' || n || 'z',"
        f" 'user' || (n / 4) || '@example.org', {ago}, {ago},"
        " CASE n % 5 WHEN 0 THEN CURRENT_TIMESTAMP END FROM t",
        numbers.format(count=threads * CHECKPOINTS)
        + "INSERT INTO parlant_store_checkpoint (thread_key, checkpoint_ns, checkpoint_id, type,"
        f" value, versions, metadata, created_at) SELECT (n - 1) / {CHECKPOINTS} + 1, '',"
        f" CAST((n - 1) % {CHECKPOINTS} AS text), 'null', {empty}, {build}('messages', '1'),"
        f" {build}('step', (n - 1) % {CHECKPOINTS}, 'source', 'loop'), CURRENT_TIMESTAMP FROM t",
        numbers.format(count=threads)
        + "INSERT INTO parlant_store_channel_value (thread_key, checkpoint_ns, channel, version,"
        f" type, value) SELECT n, '', 'messages', '1', 'json', {messages} FROM t",
        numbers.format(count=threads)
        + "INSERT INTO parlant_store_checkpoint_write (thread_key, checkpoint_ns, checkpoint_id,"
        " task_id, idx, task_path, channel, type, value) SELECT n, '', '1', 't', -3, '',"
        f" '__interrupt__', 'null', {empty} FROM t",
    ]
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if vendor == "postgresql" else "ANALYZE")


def server_process() -> int | None:
    """Return the process of PostgreSQL that answers this connection."""
    if connection.vendor == "sqlite":
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def cpu_seconds(server: int | None) -> float:
    """Return the CPU time of this process and of the server's, which Linux tells."""
    path = Path(f"/proc/{server}/schedstat")
    nanoseconds = int(path.read_text().split()[0]) if server is not None and path.exists() else 0
    return time.process_time() + nanoseconds / 1e9


class Scans:
    """Notes the tables of the project that statements read without an index."""

    def __init__(self) -> None:
        self.tables: set[str] = set()
        self._prefix = "EXPLAIN " if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN "

    def __call__(
        self, execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]
    ) -> Any:
        # On SQLite the rows of a table are in the order of their keys.
        is_sorted = connection.vendor == "sqlite" and BY_KEY.search(sql)
        if sql.lstrip("(").startswith(("SELECT", "WITH")) and not many and not is_sorted:
            execute(self._prefix + sql, params, many, context)
            for row in context["cursor"].fetchall():
                self.tables.update(SCAN.findall(str(row[-1])))
        return execute(sql, params, many, context)


PLANS = "plans of "
"""The beginning of a path of which the scans are noted."""

SCAN = re.compile(r"(?:Seq Scan on|SCAN) (parlant_store_\w+)(?!.* (?:USING|VIRTUAL) )")
BY_KEY = re.compile(r'ORDER BY (?:1|(?:\S+\.)?"?key"?) DESC\s+LIMIT')


class Request(NamedTuple):
    """What a request has cost."""

    seconds: float
    """CPU time."""

    statements: int
    scans: list[str]
    """The tables that statements read without an index."""


def answer(paths: Iterator[str]) -> Iterator[Request]:
    """Yield what the requests of the paths cost."""
    from django.contrib.auth.models import User

    from parlant_store.models import Document, Session

    server = server_process()
    client = Client(headers={"host": "localhost"})
    client.force_login(User.objects.get_or_create(username="admin", **ADMIN)[0])
    key = Session.objects.values_list("key", flat=True)[0]
    talk = Document.objects.filter(collection="parlant_sessions_sessions").values_list("key")[0][0]
    for path in paths:
        has_plans = path.startswith(PLANS)
        path = path.removeprefix(PLANS).format(session=key, parlant=talk)
        scans = Scans()
        with (
            CaptureQueriesContext(connection) as queries,
            connection.execute_wrapper(scans) if has_plans else nullcontext(),
        ):
            began = cpu_seconds(server)
            response = client.get(f"/admin/parlant_store/{path}", follow=True)
            seconds = cpu_seconds(server) - began
        if response.status_code != 200:
            raise RuntimeError(f"{path} answers {response.status_code}")
        yield Request(seconds, len(queries), sorted(scans.tables))


def work(sessions: int, events: int) -> None:
    """Answer the paths on standard input from the database of DATABASE_URL."""
    django.setup()
    from parlant_store.models import Session

    call_command("migrate", verbosity=0)
    if not Session.objects.exists():
        fill(connection.vendor, sessions, events)
    for request in answer(line.rstrip("\n") for line in sys.stdin):
        print(json.dumps(request), flush=True)


@contextmanager
def worker(uri: str, sessions: int, events: int) -> Iterator[Callable[[str], Request]]:
    """Yield a function that requests a path from a process of its own."""
    own = {"DATABASE_URL": uri, "DJANGO_SETTINGS_MODULE": "project.settings"}
    command = [sys.executable, "-m", "benchmarks.admin", "--work", str(sessions), str(events)]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    with subprocess.Popen(command, env=os.environ | own, **pipes) as process:
        paths, answers = process.stdin, process.stdout
        assert paths is not None
        assert answers is not None

        def request(path: str) -> Request:
            print(path, file=paths, flush=True)
            return Request(*json.loads(answers.readline()))

        yield request
        paths.close()


def run(uris: list[str], sizes: list[tuple[int, int]], rounds: int, pages: str) -> None:
    with (
        worker(uris[0], *sizes[0]) as small,
        worker(uris[1], *sizes[1]) as large,
    ):
        _, (sessions, events) = sizes
        print(
            f"| page | 1,000 conversations | {sessions:,} sessions, {events:,} events | times"
            " | scans |"
        )
        print("|---|---|---|---|---|")
        for name, path in PAGES.items():
            if not re.search(pages, name):
                continue
            scans = large(PLANS + path).scans
            for request in (small, large):
                request(path)
            found = [(small(path), large(path)) for _ in range(rounds)]
            times = median(after.seconds / before.seconds for before, after in found)
            print(
                f"| {name} | {' | '.join(map(cell, zip(*found, strict=True)))} | {times:.2f}"
                f" | {', '.join(scans) or 'none'} |",
                flush=True,
            )


def cell(found: tuple[Request, ...]) -> str:
    seconds = median(request.seconds for request in found)
    return f"{seconds * 1_000:.0f} ms, {found[-1].statements} statements"


@contextmanager
def folder_of(path: Path | None) -> Iterator[Path]:
    """Yield the folder, or one that is deleted afterwards."""
    if path is not None:
        path.mkdir(parents=True, exist_ok=True)
        yield path.resolve()
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@contextmanager
def server_of(path: Path | None) -> Iterator[PostgreSQL]:
    """Yield a server with the data of the folder, or with data that are deleted afterwards."""
    if path is None:
        with postgresql() as server:
            yield server
        return
    folder = path.resolve() / "postgresql"
    folder.mkdir(parents=True, exist_ok=True)
    server = PostgreSQL(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--sessions", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    parser.add_argument("--pages", default="")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--work", nargs=2, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(*options.work)
        return
    sizes = [SMALL, (options.sessions, options.events)]
    names = [f"rows_{sessions}_{events}" for sessions, events in sizes]
    if options.only != "postgresql":
        print("\n## SQLite\n")
        with folder_of(options.keep) as folder:
            uris = [f"sqlite:///{folder}/{name}.sqlite3" for name in names]
            run(uris, sizes, options.rounds, options.pages)
    if options.only != "sqlite":
        print("\n## PostgreSQL\n")
        with server_of(options.keep) as server:
            existing = server.psql("select datname from pg_database")
            for name in names:
                if name not in existing:
                    server.psql(f"create database {name}")
            uris = [server.get_uri(name) for name in names]
            run(uris, sizes, options.rounds, options.pages)


if __name__ == "__main__":
    main()
