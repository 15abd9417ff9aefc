"""The admin over a thousand conversations and over a quarter of a million: what each page costs.

    python -m benchmarks.admin [--sessions 200000] [--events 1000000] [--rounds 5]
        [--only sqlite|postgresql]

Each database is filled twice, with a thousand sessions and as many events, and with so many of
both. Every session has five items, every Parlant session 20 events, and the last activity of all
is within the last 30 days. A page is requested by Django's test client; a cell is the median over
the rounds, in milliseconds, and the number of its statements.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from statistics import median

import django
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.servers.postgresql import postgresql

SMALL = 1_000
ITEMS = 5

NUMBERS = {
    "sqlite": "WITH RECURSIVE t (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t LIMIT {count}) ",
    "postgresql": "WITH t (n) AS (SELECT generate_series(1, {count})) ",
}
TEXT = {
    "sqlite": "'question number ' || n || CASE n WHEN 77 THEN ' platypus' ELSE '' END",
    "postgresql": "'question number ' || n || CASE n WHEN 77 THEN ' platypus' ELSE '' END",
}
TERMS = {"sqlite": "{text}", "postgresql": "to_tsvector('simple', {text})"}
JSON = {"sqlite": "json_object", "postgresql": "jsonb_build_object"}

EVENTS = 20
"""The events of a Parlant session."""

AGO = {
    "sqlite": "strftime('%Y-%m-%d %H:%M:%S', 'now', '-' || (n % 43200) || ' minutes')",
    "postgresql": "now() - (n % 43200) * interval '1 minute'",
}
"""A time within the last 30 days."""

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
    "conversations of an owner": "session/?owner=user-3",
    "conversations of a customer by name": "session/?owner=grace+77",
    "conversations of an agent": "session/?agent=agent-1",
    "conversations of a namespace": "session/?agent=shop-1",
    "conversations of Parlant": "session/?framework=parlant",
    "conversations by four filters": "session/?framework=openai&state=live&agent=shop&date=7days",
    "conversations by a rare word": "session/?q=platypus",
    "conversations by a word of every item": "session/?q=question",
    "conversations by a name": "session/?q=grace+77&date=7days",
    "conversations by an id": "session/?q=s-77",
    "a session": "session/{session}/change/",
    "a Parlant session": "document/{parlant}/change/",
    "documents": "document/",
    "documents of a collection": "document/?collection=parlant_sessions_events",
    "documents of a session": "document/?q=p-3",
    "documents by a field": "document/?collection=parlant_sessions_events&q=kind:tool",
    "events of a kind": "document/?collection=parlant_sessions_events&kind=tool",
    "people": "session/people/",
    "people found": "session/people/?q=ser-3",
    "a person": "session/person/?user=user-3",
    "a customer": "session/person/?user=c-0",
    "overview": "session/overview/",
}


def fill(vendor: str, sessions: int, events: int) -> None:
    numbers, build, text, ago = NUMBERS[vendor], JSON[vendor], TEXT[vendor], AGO[vendor]
    terms = TERMS[vendor].format(text=text)
    name = "'Grace ' || n"
    names = TERMS[vendor].format(text="'grace ' || n")
    talks = max(1, events // EVENTS)
    statements = [
        numbers.format(count=sessions)
        + "INSERT INTO parlant_store_session (namespace, session_id, user_id, metadata, state,"
        " next_position, item_count, failed_calls, created_at, updated_at, expires_at)"
        " SELECT 'shop-' || (n % 10), 's-' || n, 'user-' || (n / 200), '{}', '{}',"
        f" {ITEMS}, {ITEMS}, CASE n % 100 WHEN 0 THEN 1 ELSE 0 END, {ago}, {ago},"
        " CASE n % 5 WHEN 0 THEN CURRENT_TIMESTAMP END FROM t",
        numbers.format(count=sessions * ITEMS)
        + "INSERT INTO parlant_store_session_item (session_key, position, role, text, data,"
        f" terms, created_at) SELECT (n - 1) / {ITEMS} + 1, (n - 1) % {ITEMS}, 'user', {text},"
        f" CAST({build}('role', 'user', 'content', {text}) AS text), {terms},"
        " CURRENT_TIMESTAMP FROM t",
        # The triggers of sessions count events that exist already.
        numbers.format(count=talks * EVENTS)
        + "INSERT INTO parlant_store_document (collection, id, version, creation_utc,"
        " session_id, data, terms, failed_calls, updated_at)"
        f" SELECT 'parlant_sessions_events', 'e-' || n, '0.9.0', '2026-01-01T00:00:' || n,"
        f" 'p-' || ((n - 1) / {EVENTS} + 1), {build}('id', 'e-' || n, 'offset',"
        f" (n - 1) % {EVENTS}, 'source', 'customer', 'kind', 'message', 'data',"
        f" {build}('message', {text})), {terms}, CASE n % 2000 WHEN 0 THEN 1 END, {ago} FROM t",
        numbers.format(count=talks)
        + "INSERT INTO parlant_store_document (collection, id, version, creation_utc,"
        " customer_id, agent_id, data, updated_at)"
        " SELECT 'parlant_sessions_sessions', 'p-' || n, '0.9.0', '2026-01-01T00:00:' || n,"
        f" 'c-' || (n / 50), 'agent-' || (n % 5), {build}('id', 'p-' || n), {ago} FROM t",
        numbers.format(count=talks // 50 + 1)
        + "INSERT INTO parlant_store_document (collection, id, creation_utc, data, terms,"
        " updated_at) SELECT 'parlant_sessions_customers', 'c-' || n, '2026-01-01T00:00:' || n,"
        f" {build}('id', 'c-' || n, 'name', {name}), {names}, CURRENT_TIMESTAMP FROM t",
    ]
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if vendor == "postgresql" else "ANALYZE")


def measure(rounds: int) -> dict[str, tuple[float, int]]:
    """Of each page: milliseconds, and statements."""
    from django.contrib.auth.models import User

    from parlant_store.models import Document, Session

    client = Client(headers={"host": "localhost"})
    client.force_login(User.objects.create_superuser("admin"))
    key = Session.objects.values_list("key", flat=True)[0]
    talk = Document.objects.filter(collection="parlant_sessions_sessions").values_list("key")[0][0]
    found = {}
    for name, path in PAGES.items():
        url = f"/admin/parlant_store/{path.format(session=key, parlant=talk)}"
        times = []
        for _ in range(rounds + 1):
            with CaptureQueriesContext(connection) as queries:
                began = time.perf_counter()
                answer = client.get(url, follow=True)
                times.append(time.perf_counter() - began)
            if answer.status_code != 200:
                raise RuntimeError(f"{url} answers {answer.status_code}")
        found[name] = (median(times[1:]) * 1_000, len(queries))
    return found


def work(sessions: int, events: int, rounds: int) -> None:
    """One size on the database of DATABASE_URL, which is empty; prints what was measured."""
    django.setup()
    call_command("migrate", verbosity=0)
    fill(connection.vendor, sessions, events)
    json.dump(measure(rounds), sys.stdout)


def run(uris: list[str], sizes: list[tuple[int, int]], rounds: int) -> None:
    found = []
    for uri, (sessions, events) in zip(uris, sizes, strict=True):
        own = {"DATABASE_URL": uri, "DJANGO_SETTINGS_MODULE": "project.settings"}
        given = [str(number) for number in (sessions, events, rounds)]
        command = [sys.executable, "-m", "benchmarks.admin", "--work", *given]
        output = subprocess.run(command, env=os.environ | own, check=True, stdout=subprocess.PIPE)
        found.append(json.loads(output.stdout))
    small, large = found
    (fewer, _), (sessions, events) = sizes
    print(f"| page | {fewer:,} of each | {sessions:,} sessions, {events:,} events | times |")
    print("|---|---|---|---|")
    for name, (before, few) in small.items():
        after, many = large[name]
        print(
            f"| {name} | {before:.0f} ms, {few} statements | {after:.0f} ms, {many} statements"
            f" | {after / before:.1f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--sessions", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    parser.add_argument("--work", type=int, nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(*options.work)
        return
    sizes = [(SMALL, SMALL), (options.sessions, options.events)]
    if options.only != "postgresql":
        print("\n## SQLite\n")
        with tempfile.TemporaryDirectory() as folder:
            uris = [f"sqlite:///{folder}/{sessions}.sqlite3" for sessions, _ in sizes]
            run(uris, sizes, options.rounds)
    if options.only != "sqlite":
        print("\n## PostgreSQL\n")
        with postgresql() as server:
            for sessions, _ in sizes:
                server.psql(f"create database rows_{sessions}")
            uris = [server.get_uri(f"rows_{sessions}") for sessions, _ in sizes]
            run(uris, sizes, options.rounds)


if __name__ == "__main__":
    main()
