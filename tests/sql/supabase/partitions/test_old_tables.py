"""Tables with the names of collections, which the script adopts."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import dict_row

from parlant_store.types import PROMOTED
from tests.sql.supabase.catalogs import differences
from tests.sql.supabase.databases import Database, sql_for
from tests.sql.supabase.linter import UNAVOIDABLE, findings
from tests.sql.supabase.partitions.partitioned import (
    DEFAULT,
    EVENTS,
    Row,
    columns_of,
    in_columns,
    rows,
    whole,
    write,
)

# Tables to adopt

MANY = 1_000
UUIDS = "('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid"
DATA = """
    jsonb_build_object('n', n, 'agent_id', null, 'text', repeat('x', n)) || (case n % 3
        when 0 then '{"version": "9", "session_id": "s"}' when 1 then '{"version": 9}' else '{}'
    end)::jsonb"""
LAYOUTS = {
    "documented": (
        "id text primary key, version text not null, creation_utc text not null, session_id text,"
        " customer_id text, agent_id text, data jsonb not null",
        f"n, '1', '2030', case when n % 2 = 0 then 't' end, 'c', 'a', {DATA}",
    ),
    "of other types": (
        "id uuid primary key default gen_random_uuid(), version varchar(20) default '1',"
        " creation_utc timestamptz not null default now(), session_id uuid, customer_id char(9),"
        " agent_id varchar, data json default '{}', updated_at timestamp default localtimestamp",
        f"{UUIDS}, null, '2030-01-01 00:00+00'::timestamptz + n * interval '0.5 s', {UUIDS},"
        f" 'c ', '', {DATA}, '2030-01-01'",
    ),
    "the least": ("data jsonb, id text unique", f"{DATA}, n"),
    "in another order": (
        "data jsonb, session_id text generated always as (data ->> 'session_id') stored,"
        " creation_utc timestamp, expires_at timestamptz, id varchar primary key",
        f"{DATA}, default, '2030-01-01'::timestamp + n * interval '1 h', null, n",
    ),
    "with keys": (
        "key bigint generated always as identity, collection text, data jsonb check (data <> '5'),"
        ' id text collate "POSIX" primary key, updated_at timestamptz',
        f"default, null, {DATA}, n, null",
    ),
}


def old_table(database: Database, layout: str, name: str = EVENTS) -> dict[str, Row]:
    """Makes a table of the layout, in an empty database; the documents that its rows are."""
    columns, values = LAYOUTS[layout]
    values = values.replace("default,", "")
    generated = {"session_id", "key"} if "default," in LAYOUTS[layout][1] else set()
    database.execute(f"set timezone to 'Asia/Tokyo'; create table {name} ({columns})")
    made = [row.name for row in database.execute(f"select * from {name}").description or ()]
    named = ", ".join(column for column in made if column not in generated)
    database.execute(
        f"insert into {name} ({named}) select {values} from generate_series(1, {MANY}) n"
    )
    with database.cursor(row_factory=dict_row) as cursor:
        documents = [document_of(row) for row in cursor.execute(f"select * from {name}")]
    assert len(documents) == MANY
    return {document["id"]: document for document in documents}


def document_of(row: Row) -> Row:
    """What its data says, and what its columns say where data says nothing."""
    columns = {name: text_of(row[name]) for name in PROMOTED if row.get(name) is not None}
    data: Row = row["data"]
    return data | {name: text for name, text in columns.items() if type(data.get(name)) is not str}


def text_of(value: Any) -> str:
    if isinstance(value, datetime):
        value = value if value.tzinfo else value.replace(tzinfo=UTC)
        return value.astimezone(UTC).isoformat()
    return str(value).rstrip(" ")


@pytest.mark.parametrize(
    ("layout", "policy"), [("documented", "service"), *((layout, "owner") for layout in LAYOUTS)]
)
def test_an_old_table_is_adopted_with_its_rows(database, layout, policy):
    documents = old_table(database, layout)
    database.execute(
        f"create policy anyone on {EVENTS} using (true); grant all on {EVENTS} to anon"
    )
    table = database.execute(f"select '{EVENTS}'::regclass::oid").fetchone()
    options = {"collections": f"c,{EVENTS}", "policy": policy}
    database.execute(sql_for(adopt=True, **options))
    made = whole(database)
    database.execute(sql_for(adopt=True, **options))
    database.execute(sql_for(**options))
    assert differences(whole(database), made) == []
    partition = f"parlant_store_collections.{EVENTS}"
    assert database.execute(f"select '{partition}'::regclass::oid").fetchone() == table
    with database.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute("select * from parlant_store_document order by key").fetchall()
    assert {row["id"]: row["data"] for row in found} == documents
    assert [row["key"] for row in found] == list(range(1, MANY + 1))
    assert all(in_columns(row) == columns_of(row["data"]) for row in found)
    assert {row["collection"] for row in found} == {EVENTS}
    assert all(row["updated_at"].tzinfo for row in found)
    write(database, EVENTS, "new")
    database.execute(f"insert into {EVENTS} (id, data) values ('by name', '{{}}')")
    assert len(database.execute(f"select id from {EVENTS}").fetchall()) == MANY + 2
    assert {finding.rule for finding in findings(database.cursor())} == UNAVOIDABLE[policy]


def test_defaults_of_an_old_table_stay(database):
    old_table(database, "of other types")
    database.execute(sql_for(collections=EVENTS, adopt=True))
    database.execute(f"insert into {EVENTS} (session_id) values ('new')")
    (data,) = database.execute(
        "select data from parlant_store_document where session_id = 'new'"
    ).fetchone()
    assert UUID(data["id"])
    assert data["version"] == "1"
    assert datetime.fromisoformat(data["creation_utc"]).utcoffset() == timedelta()
    assert "T" in data["creation_utc"]


def test_an_old_table_takes_the_documents_of_its_name(database):
    database.execute(sql_for())
    write(database, EVENTS, "a", "b")
    old_table(database, "documented")
    database.execute(sql_for(collections=EVENTS, adopt=True))
    assert len(rows(database)) == MANY + 2
    assert len({row[0] for row in rows(database)}) == MANY + 2
    assert rows(database, DEFAULT) == []


def test_an_old_table_with_keys_of_documents_is_left_alone(database):
    database.execute(sql_for())
    write(database, "c", "a")
    old_table(database, "with keys")
    with pytest.raises(psycopg.Error, match="documents have keys of its rows"):
        database.execute(sql_for(collections=EVENTS, adopt=True))


REFUSED = {
    "create table c (id text primary key, data jsonb)": (False, "c exists already"),
    "create view c as select 'a' as id": (False, "c exists already"),
    "create view c as select 'b' as id": (True, "c cannot be adopted: it is not a plain table"),
    "create table c (key bigint)": (True, "c cannot be adopted: it has no column id, data"),
    "create table c (id text, data jsonb, extra int, more text)": (
        True,
        "c cannot be adopted with its column extra integer, more text",
    ),
    "create table c (id int, data jsonb)": (True, "c cannot be adopted with its column id integer"),
    "create table c (id text, data text)": (True, "c cannot be adopted with its column data text"),
    "create table c (id text primary key, data jsonb); insert into c values ('a', '[]')": (
        True,
        "data of 'a' must be a JSON object",
    ),
}


@pytest.mark.parametrize("statement", REFUSED)
def test_another_table_is_left_alone(database, statement):
    database.execute(statement)
    before = whole(database)
    adopt, message = REFUSED[statement]
    with pytest.raises(psycopg.Error, match=message) as error:
        database.execute(sql_for(collections="c", adopt=adopt))
    assert adopt or "--adopt" in str(error.value)
    database.execute("rollback")
    assert differences(whole(database), before) == []
