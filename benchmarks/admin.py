"""The admin over a thousand rows and over a million: what each page costs, and how it grows.

    python -m benchmarks.admin [--documents 1000000] [--sessions 200000] [--rounds 5]
        [--only sqlite|postgresql]

Each database is filled twice, with a thousand sessions and documents and with so many; every
session has five items, one document in ten is a Parlant session, the others are events of
these. A page is asked for by Django's test client; a cell is the median over the rounds, in
milliseconds, and the statements that it took. Rounds go through all pages of one size and
then of the other.
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

PAGES = {
    "sessions": "session/",
    "sessions, page 9": "session/?p=9",
    "sessions that have expired": "session/?state=expired",
    "sessions of an owner": "session/?q=user-3",
    "sessions by a rare word": "session/?q=platypus",
    "sessions by a word of every item": "session/?q=question",
    "a session": "session/{session}/change/",
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


def fill(vendor: str, sessions: int, documents: int) -> None:
    numbers, build, text = NUMBERS[vendor], JSON[vendor], TEXT[vendor]
    terms = TERMS[vendor].format(text=text)
    statements = [
        numbers.format(count=sessions)
        + "INSERT INTO parlant_store_session (namespace, session_id, user_id, metadata, state,"
        " next_position, item_count, tokens, created_at, updated_at, expires_at)"
        f" SELECT '', 's-' || n, 'user-' || (n / 200), '{{}}', '{{}}', {ITEMS}, {ITEMS}, 0,"
        " CURRENT_TIMESTAMP, CURRENT_TIMESTAMP,"
        " CASE n % 5 WHEN 0 THEN CURRENT_TIMESTAMP END FROM t",
        numbers.format(count=sessions * ITEMS)
        + "INSERT INTO parlant_store_session_item (session_key, position, role, text, data,"
        f" terms, created_at) SELECT (n - 1) / {ITEMS} + 1, (n - 1) % {ITEMS}, 'user', {text},"
        f" CAST({build}('role', 'user', 'content', {text}) AS text), {terms},"
        " CURRENT_TIMESTAMP FROM t",
        numbers.format(count=documents)
        + "INSERT INTO parlant_store_document (collection, id, version, creation_utc,"
        " session_id, customer_id, data, updated_at) SELECT"
        " CASE n % 10 WHEN 0 THEN 'parlant_sessions_sessions' ELSE 'parlant_sessions_events' END,"
        " CASE n % 10 WHEN 0 THEN 'p-' || (n / 10) ELSE 'e-' || n END, '0.9.0',"
        " '2026-01-01T00:00:' || n, CASE n % 10 WHEN 0 THEN NULL ELSE 'p-' || (n / 10) END,"
        " CASE n % 10 WHEN 0 THEN 'c-' || (n % 1000) END,"
        f" {build}('id', CASE n % 10 WHEN 0 THEN 'p-' || (n / 10) ELSE 'e-' || n END,"
        " 'offset', n % 10, 'source', 'customer', 'kind', 'message'), CURRENT_TIMESTAMP FROM t",
    ]
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if vendor == "postgresql" else "ANALYZE")


def measure(rounds: int) -> dict[str, tuple[float, int]]:
    """Of each page: milliseconds, and statements."""
    from django.contrib.auth.models import User

    from parlant_store.models import Session

    client = Client(headers={"host": "localhost"})
    client.force_login(User.objects.create_superuser("admin"))
    key = Session.objects.values_list("key", flat=True)[0]
    found = {}
    for name, path in PAGES.items():
        url = f"/admin/parlant_store/{path.format(session=key)}"
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


def work(sessions: int, documents: int, rounds: int) -> None:
    """One size on the database of DATABASE_URL, which is empty; prints what was measured."""
    django.setup()
    call_command("migrate", verbosity=0)
    fill(connection.vendor, sessions, documents)
    json.dump(measure(rounds), sys.stdout)


def run(uris: list[str], sizes: list[tuple[int, int]], rounds: int) -> None:
    found = []
    for uri, (sessions, documents) in zip(uris, sizes, strict=True):
        own = {"DATABASE_URL": uri, "DJANGO_SETTINGS_MODULE": "project.settings"}
        given = [str(number) for number in (sessions, documents, rounds)]
        command = [sys.executable, "-m", "benchmarks.admin", "--work", *given]
        output = subprocess.run(command, env=os.environ | own, check=True, stdout=subprocess.PIPE)
        found.append(json.loads(output.stdout))
    small, large = found
    (fewer, _), (sessions, documents) = sizes
    print(f"| page | {fewer:,} of each | {sessions:,} sessions, {documents:,} documents | times |")
    print("|---|---|---|---|")
    for name, (before, few) in small.items():
        after, many = large[name]
        print(
            f"| {name} | {before:.0f} ms, {few} statements | {after:.0f} ms, {many} statements"
            f" | {after / before:.1f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--sessions", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=("sqlite", "postgresql"))
    parser.add_argument("--work", type=int, nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(*options.work)
        return
    sizes = [(SMALL, SMALL), (options.sessions, options.documents)]
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
