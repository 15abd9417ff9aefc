"""What the policies make of the catalog: the linter finds nothing, and nothing stays of another."""

import re
from typing import Any
from uuid import uuid4

import pytest
from psycopg.errors import InsufficientPrivilege

from parlant_store.sql.functions import functions_sql
from parlant_store.sql.supabase.access import POLICIES
from parlant_store.sql.supabase.django_tables import lock_django_sql
from parlant_store.sql.supabase.policies import document_policies_sql, policies_sql
from parlant_store.sql.supabase.schema import identifier, tables_sql
from tests.sql.supabase.linter import RULES, UNAVOIDABLE, Finding, findings
from tests.sql.supabase.policies.projects import TABLES, TAGS, A, Project

ODD = 'Ten\'ant "x" 100% $$ {schema} \\'

OPTIONS: dict[str, Any] = {
    "owner_claim": "app_metadata.org",
    "table_prefixes": ("parlant_", "it's ", ""),
    "user_collections": ("notes", "it's % {x} $$"),
    "readable_collections": (TAGS, "sessions_events_failed_migrations"),
    "anonymous": "deny",
}


# The linter

READ_BY_USERS = [
    Finding("0027", f"public.parlant_store_{table}") for table in TABLES if table != "request"
]
"""What users read by its name, each what is theirs: pg_graphql shows them that it is there."""


@pytest.mark.parametrize("policy", POLICIES)
def test_the_linter_finds_nothing(project, policy):
    project.use(policy)
    project.run(lock_django_sql("public"))
    found = findings(project.server.cursor())
    tables = [f"public.parlant_store_{table}" for table in TABLES]
    expected: dict[str, list[Finding]] = {
        "service": [],
        "owner": READ_BY_USERS,
        "open": sorted(
            [Finding("0024", f"parlant_store_open on {table}") for table in tables]
            + [Finding(rule, table) for rule in ("0026", "0027") for table in tables]
        ),
    }
    assert found == expected[policy]


@pytest.mark.parametrize("claim", ["email", "app_metadata.org", 'it\'s "x" \\ {schema} $$'])
def test_the_linter_finds_nothing_with_a_claim(project, claim):
    project.use("owner", owner_claim=claim)
    project.run(lock_django_sql("public"))
    assert findings(project.server.cursor()) == READ_BY_USERS


def test_the_linter_finds_nothing_with_every_option(project):
    project.use("owner", **OPTIONS)
    project.run(lock_django_sql("public"))
    assert findings(project.server.cursor()) == READ_BY_USERS


@pytest.mark.parametrize("policy", POLICIES)
def test_a_schema_of_any_name(project, policy):
    project.use("service")
    project.run(lock_django_sql("public"))
    project.run(f"create schema {identifier(ODD)}")
    project.run(tables_sql(ODD))
    project.run(functions_sql(identifier(ODD)))
    for _ in range(2):
        project.run(policies_sql(schema=ODD, policy=policy))
    found = findings(project.server.cursor(), exposed_schemas=(ODD,))
    assert {finding.rule for finding in found} <= UNAVOIDABLE[policy]


def test_two_schemas_have_policies_of_their_own(project):
    for schema in (ODD, "x" * 63):
        project.run(f"create schema {identifier(schema)}")
        project.run(tables_sql(schema))
        project.run(functions_sql(identifier(schema)))
        project.run(policies_sql(schema=schema, policy="owner"))
        begin = f"select {identifier(schema).replace('%', '%%')}.parlant_store_begin_request(%s)"
        assert project.ask(A, begin, uuid4()) == [(None,)]
        select = f"select user_id from {identifier(schema)}.parlant_store_request"
        assert project.ask("service_role", select) == [(A,)]
    project.run(policies_sql(schema=ODD, policy="service"))
    assert project.ask(A, begin, uuid4()) == [(None,)]


MISTAKES = {
    "0001": "create table bad (id int primary key, other int references bad)",
    "0003": "create table bad (id uuid); create policy p on bad using (id = auth.uid())",
    "0004": "create table bad (id int)",
    "0006": "create table bad (id int); create policy p on bad using (id = 1);"
    " create policy q on bad for delete to anon using (id = 2)",
    "0007": "create table bad (id int); create policy p on bad using (id = 1)",
    "0008": "create table bad (id int); alter table bad enable row level security",
    "0009": "create table bad (id int); create index one on bad (id); create index two on bad (id)",
    "0010": "create view bad as select 1 as one",
    "0011": "create function bad() returns int language sql as 'select 1'",
    "0013": "create table bad (id int)",
    "0014": "update pg_extension set extnamespace = 'public'::regnamespace",
    "0015": "create table bad (id text); create policy p on bad using"
    " (id = (select auth.jwt()) -> 'user_metadata' ->> 'id')",
    "0023": "create table bad (id int, session_id text); grant select on bad to anon",
    "0024": "create table bad (id int); alter table bad enable row level security;"
    " create policy p on bad for insert to authenticated with check (true)",
    "0026": "create view bad as select 1 as one; grant select (one) on bad to anon",
    "0027": "create table bad (id int); grant select (id) on bad to authenticated",
    "0028": "create function bad() returns int language sql security definer as 'select 1'",
    "0029": "create function bad() returns int language sql security definer as 'select 1'",
}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_finds_its_mistake(owned, rule):
    owned.server.execute(MISTAKES[rule])
    found = findings(owned.server.cursor())
    names = [finding.object for finding in found if finding.rule == rule]
    assert [name for name in names if re.search("bad|plpgsql|one, two", name)]


# Running it again, and changing one's mind

STATE = {
    "relations": "select oid::regclass::text, relacl::text, relrowsecurity from pg_class"
    " where relnamespace = 'public'::regnamespace",
    "columns": "select attrelid::regclass::text, attname, attacl::text from pg_attribute"
    " where attacl is not null and attrelid > 16384",
    "functions": "select p.oid::regprocedure::text, proacl::text, prosrc from pg_proc p"
    " join pg_namespace n on n.oid = pronamespace where nspname ~ '^(public|parlant)'",
    "policies": "select schemaname, tablename, policyname, roles::text, cmd, qual, with_check"
    " from pg_policies",
    "triggers": "select pg_get_triggerdef(oid) from pg_trigger where not tgisinternal",
    "schemas": "select nspname from pg_namespace where nspname not like 'pg\\_%'",
}


def state(project: Project) -> dict[str, list[str]]:
    return {
        name: sorted(map(repr, project.server.execute(query).fetchall()))
        for name, query in STATE.items()
    }


@pytest.mark.parametrize("policy", POLICIES)
def test_running_it_again_changes_nothing(project, policy):
    project.use(policy)
    project.run(lock_django_sql("public"))
    before = state(project)
    project.use(policy)
    project.run(lock_django_sql("public"))
    assert state(project) == before


def test_a_policy_leaves_nothing_of_the_one_before(project):
    fresh: dict[str, Any] = {}
    for policy in (*POLICIES, "service", "open", "owner", "service"):
        project.use(policy)
        now = state(project)
        assert now == fresh.setdefault(policy, now)
    project.use("owner", **OPTIONS)
    project.use("owner")
    assert state(project) == fresh["owner"]


def test_a_partition_has_the_policies_of_the_table(project):
    project.run("create table public.part (like parlant_store_document including all)")
    for policy in ("owner", "open", "service"):
        project.use(policy)
        options = {"schema": "public", "policy": policy}
        project.run(document_policies_sql(table="part", **options))
        project.run(lock_django_sql("public"))
        found = {finding.rule for finding in findings(project.server.cursor())}
        assert found == UNAVOIDABLE[policy]
        of_both = project.server.execute(
            "select array_agg(row(policyname, roles, qual, with_check)::text order by policyname)"
            " from pg_policies where tablename in ('part', 'parlant_store_document')"
            " group by tablename"
        ).fetchall()
        texts = {repr(rows).replace("parlant_store_document", "part") for rows in of_both}
        assert len(texts) == 1
        for role in ("anon", A, "service_role"):
            with pytest.raises(InsufficientPrivilege):
                project.ask(role, "select from part")
