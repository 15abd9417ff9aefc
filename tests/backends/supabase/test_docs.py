"""docs/supabase.md is followed here; the other pages are in tests/docs."""

import shlex
from pathlib import Path

import pytest

from parlant_store.backends.supabase import SupabaseBackend
from tests.contract.values import numbered
from tests.docs.pages import ROOT, blocks_of, check_options, installable
from tests.docs.projects import manage, project_of

PAGE = ROOT / "docs" / "supabase.md"
BLOCKS = blocks_of(PAGE)


@pytest.fixture
def environment(transactional_db, project):
    return {
        "SUPABASE_URL": project.url,
        "SUPABASE_KEY": project.secret_key,
        "SUPABASE_ANON_KEY": project.publishable_key,
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A Django project with what the page tells to put into its settings."""
    return project_of(tmp_path, PAGE)


def lines() -> list[str]:
    return [line for block in BLOCKS if block.language == "sh" for line in block.text.splitlines()]


def test_every_block_is_run():
    kinds = {block.file or block.language for block in BLOCKS}
    assert kinds == {"sh", "settings.py", "python"}


@pytest.mark.parametrize("line", lines())
def test_command(line, folder, environment):
    match shlex.split(line):
        case ["pip", "install", requirement]:
            installable(requirement)
        case ["python", "manage.py", *rest]:
            manage(folder, *rest, **environment)
            if "--output" in rest:
                assert "create policy" in Path(folder, rest[-1]).read_text("utf-8")
        case _:
            pytest.fail(f"teach {Path(__file__).name} to run {line}")


def test_settings(folder, environment):
    manage(folder, "check", "--fail-level", "WARNING", **environment)
    code = "from parlant_store import store; store.add_items('s', [{'n': 1}]); print(store.url)"
    assert environment["SUPABASE_URL"] in manage(folder, "shell", "-c", code, **environment)


def test_a_store_for_the_user_of_a_request(environment, project, make_store, monkeypatch):
    make_store().add_items("s", numbered(1))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    names: dict[str, object] = {}
    (block,) = [block for block in BLOCKS if block.language == "python" and not block.file]
    exec(block.text, names)
    names["access_token"].set(project.service_key)
    users = names["users"]
    assert users.submit(lambda: users.get_items("s")).result() == numbered(1)
    users.close()


def test_the_table_of_options_is_complete():
    check_options(PAGE, SupabaseBackend)
