"""The options of the policies, and manage.py supabase_rls."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from parlant_store.sql.supabase.access import POLICIES
from parlant_store.sql.supabase.policies import policies_sql
from tests.sql.supabase.databases import inside
from tests.sql.supabase.linter import UNAVOIDABLE, findings
from tests.sql.supabase.policies.projects import TAGS
from tests.sql.supabase.policies.test_catalog import ODD


def test_the_same_arguments_give_the_same_text():
    texts = {policies_sql(schema=ODD, policy="owner", owner_claim="email") for _ in range(3)}
    assert len(texts) == 1


@pytest.mark.parametrize(
    "claim", ["user_metadata", "user_metadata.org", "x.user_metadata", "", "a..b", ".a", "a\n"]
)
def test_a_claim_that_cannot_name_the_owner(claim):
    with pytest.raises(ValueError, match="The claim"):
        policies_sql(schema="public", policy="owner", owner_claim=claim)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"user_collections": ["notes_failed_migrations"]}, "could not be migrated"),
        ({"user_collections": ["parlant_agents_metadata"]}, "the version of"),
        ({"user_collections": ["parlant_store.collections.metadata"]}, "the version of"),
        ({"user_collections": ["parlant_sessions"]}, "--table-prefix"),
        ({"user_collections": [""]}, "must not be empty"),
        ({"user_collections": ["a\nb"]}, "cannot be printed"),
        ({"readable_collections": ["x" * 513]}, "512 bytes"),
        ({"table_prefixes": ["x" * 500]}, "512 bytes"),
        ({"table_prefixes": []}, "no prefix"),
        ({"anonymous": "maybe"}, "allow, deny"),
        ({"policy": "service", "anonymous": "deny"}, "needs the policy owner"),
        ({"policy": "service", "user_collections": ["notes"]}, "need the policy owner"),
        ({"policy": "open", "readable_collections": ["notes"]}, "need the policy owner"),
    ],
)
def test_options_that_open_what_must_be_closed(options, message):
    with pytest.raises(ValueError, match=message):
        policies_sql(**{"schema": "public", "policy": "owner"} | options)


def printed(*arguments: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("supabase_rls", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


@pytest.mark.parametrize("policy", POLICIES)
def test_the_command_prints_it(project, policy):
    out, err = printed("--policy", policy, "--lock-django")
    assert bool(err) is (policy == "open")
    assert policies_sql(schema="public", policy=policy) in out
    project.run(inside(out))
    found = {finding.rule for finding in findings(project.server.cursor())}
    assert found == UNAVOIDABLE[policy]


def test_the_command_has_all_options(tmp_path):
    options = ["--schema", ODD, "--policy", "owner", "--owner-claim", "email"]
    options += ["--sessions-collection", "talks"]
    given = {"schema": ODD, "policy": "owner", "owner_claim": "email"}
    expected = policies_sql(**given, sessions_collection="talks")
    assert expected in printed(*options)[0]
    options[-2:] = ["--table-prefix", "a_, b_", "--user-collections", "notes,memos"]
    options += ["--readable-collections", TAGS, "--anonymous", "deny"]
    given |= {"user_collections": ["notes", "memos"], "readable_collections": [TAGS]}
    expected = policies_sql(**given, table_prefixes=["a_", "b_"], anonymous="deny")
    out, err = printed(*options, "--output", str(tmp_path / "x.sql"))
    assert (out, err) == (f"{tmp_path / 'x.sql'}\n", "")
    assert expected in (tmp_path / "x.sql").read_text()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--policy", "owner", "--owner-claim", "user_metadata.org"),
        ("--policy", "owner", "--owner-claim", ""),
        ("--policy", "service", "--owner-claim", "email"),
        ("--policy", "everybody"),
        ("--policy", "owner", "--sessions-collection", ""),
        ("--policy", "owner", "--user-collections", "notes,"),
        ("--policy", "owner", "--user-collections", "notes_failed_migrations"),
        ("--policy", "owner", "--anonymous", "no"),
        ("--policy", "service", "--anonymous", "deny"),
    ],
    ids=repr,
)
def test_the_command_refuses(arguments):
    with pytest.raises(CommandError):
        printed(*arguments)
