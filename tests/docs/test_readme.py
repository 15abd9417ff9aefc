"""The snippets, commands, tables and links of README.md and the other pages."""

import ast
import asyncio
import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.conf import settings

from parlant_store import conf, exceptions
from parlant_store.backends import base
from parlant_store.backends.contract import validation
from parlant_store.backends.orm import OrmBackend
from parlant_store.content import codec, query

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = [README, *(ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md"))]
PAGES += sorted(ROOT.glob("docs/*.md"))
STORE = ROOT / "docs" / "store.md"
ELSEWHERE = {
    "selectools.md": "tests/adapters/selectools/test_docs.py",
    "supabase.md": "tests/backends/supabase/test_docs.py",
}
"""Pages whose code needs more than a database, and what runs it."""
MODULES = ("routers.py", "tenants.py", "views.py")
"""Files that the settings of the project name, or a test."""
BASE = """
from pathlib import Path

from project.settings import *

BASE_DIR = Path(__file__).parent
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "a.sqlite3"}}
INSTALLED_APPS.remove("parlant_store")
del PARLANT_STORES
"""


any_database = pytest.mark.any_database


class Block(NamedTuple):
    """A fenced block of a page."""

    where: str
    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The file that the block names in its first line."""
        named = re.match(r"# (\w+\.py)\n", self.text)
        return named and named[1]


def blocks() -> list[Block]:
    return [block for page in PAGES if page.name not in ELSEWHERE for block in blocks_of(page)]


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    return [
        Block(f"{page.name}:{text[: match.start()].count(chr(10)) + 1}", match[1], match[2])
        for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]


def kind(block: Block) -> str:
    """Which of the tests below runs the block."""
    if block.language == "python" and "parlant_store.setup(" in block.text:
        return "script"
    if block.file == "settings.py" and "django.db.backends.postgresql" in block.text:
        return "settings for PostgreSQL"
    return block.file or block.language


def of_kind(*kinds: str) -> list[Any]:
    return [pytest.param(block, id=block.where) for block in blocks() if kind(block) in kinds]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Of a process that knows nothing of this run of tests."""
    own = ("DJANGO_SETTINGS_MODULE", "DATABASE_URL", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    inherited = {name: value for name, value in os.environ.items() if name not in own}
    return inherited | {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])} | more


def run(folder: Path, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env=environment(folder, **more), capture_output=True, text=True
    )


def succeed(folder: Path, *command: str, **more: str) -> str:
    process = run(folder, *command, **more)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout + process.stderr


def manage(folder: Path, *command: str, **more: str) -> str:
    """What manage.py of the project in ``folder`` prints."""
    more["DJANGO_SETTINGS_MODULE"] = "settings"
    return succeed(folder, sys.executable, "manage.py", *command, **more)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A Django project with all that the README tells to put into its settings."""
    return write_project(tmp_path, settings_told())


def settings_told() -> list[str]:
    return [block.text for block in blocks() if kind(block) == "settings.py"]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the project's databases as migrate makes them."""
    folder = write_project(tmp_path_factory.mktemp("tables"), settings_told())
    manage(folder, "migrate")
    return folder


@pytest.fixture
def migrated(project: Path, tables: Path) -> Path:
    """The project with its tables."""
    for file in tables.glob("*.sqlite3*"):
        shutil.copy(file, project)
    return project


def write_project(folder: Path, told: list[str]) -> Path:
    Path(folder, "settings.py").write_text("\n".join([BASE, *told]))
    for block in blocks():
        if kind(block) in MODULES:
            Path(folder, kind(block)).write_text(block.text)
    shutil.copy(ROOT / "manage.py", folder)
    return folder


@any_database
@pytest.mark.parametrize("page", ELSEWHERE)
def test_pages_that_are_followed_elsewhere(page):
    assert Path(ROOT, "docs", page) in PAGES
    assert page in Path(ROOT, ELSEWHERE[page]).read_text("utf-8")


@any_database
def test_every_block_is_run_by_a_test():
    run_here = {"python", "script", "sh", "settings.py", "settings for PostgreSQL", *MODULES}
    run_here |= {"models.py", "tests.py", "test_agents.py"}
    unknown = [block.where for block in blocks() if kind(block) not in run_here]
    assert not unknown, f"teach {Path(__file__).name} to run the blocks at {', '.join(unknown)}"
    assert run_here == {kind(block) for block in blocks()}


def asserting(source: str) -> str:
    """``source`` with each result that a comment after code shows turned into an assertion."""
    lines = []
    for line in source.splitlines():
        code, _, shown = line.partition("  # ")
        if shown and code.strip():
            ast.literal_eval(shown)
            ast.parse(code, mode="eval")
            line = f"assert ({code}) == ({shown}), ({code!r}, ({code}))"
        lines.append(line)
    return "\n".join(lines)


@any_database
def test_a_wrong_result_in_a_comment_is_noticed():
    with pytest.raises(AssertionError):
        exec(asserting("1 + 1  # 3"), {})
    exec(asserting("1 + 1  # 2"), {})


@pytest.mark.parametrize("block", of_kind("python"))
def test_python(block, store):
    names: dict[str, Any] = {}
    exec(compile(asserting(block.text), block.where, "exec"), names)
    if "agent" in names:
        reply_offline(names, store)


def reply_offline(names: dict[str, Any], store: Any) -> None:
    from agents import set_tracing_disabled

    from project.demo_agent import ScriptedModel

    set_tracing_disabled(True)
    names["agent"].model = ScriptedModel()
    answer = asyncio.run(names["reply"]("session-1", "ada", "Hello."))
    session = store.get_session("session-1", namespace="guide")
    assert (answer, session.user_id, session.item_count) == ("Where do you live?", "ada", 2)


@any_database
@pytest.mark.parametrize("block", of_kind("script"))
def test_script(block, tmp_path):
    then = """
        import asyncio
        from parlant_store.adapters.openai_agents import Session
        assert asyncio.run(Session("session-1").get_items())[0]["content"] == "hello"
        """
    succeed(tmp_path, sys.executable, "-c", block.text + textwrap.dedent(then))
    assert Path(tmp_path, "agents.sqlite3").exists()


@any_database
def test_settings(project):
    manage(project, "check", "--fail-level", "WARNING")
    manage(project, "migrate")
    code = "from parlant_store import store; print(store.find('c').documents, store.using)"
    assert "() None" in manage(project, "shell", "-c", code)
    assert "parlant_store" not in manage(project, "check", "--database", "default")
    code = "from parlant_store import store; print(store._connection().alias, store.reads)"
    assert "replica router" in manage(project, "shell", "-c", code)


@any_database
def test_the_default_that_is_shown_is_the_default():
    (text,) = [b.text for b in blocks() if b.text.startswith("# settings.py\nPARLANT_STORES = ")]
    names: dict[str, Any] = {}
    exec(text, names)
    assert names["PARLANT_STORES"] == conf.DEFAULT


@any_database
def test_sqlite_without_the_recommended_options_is_warned_of(tmp_path):
    write_project(tmp_path, ['INSTALLED_APPS += ["parlant_store"]'])
    warned = manage(tmp_path, "check")
    assert "parlant_store.W001" in warned
    assert "database is locked" in README.read_text("utf-8")


@any_database
@pytest.mark.parametrize("block", of_kind("settings for PostgreSQL"))
def test_settings_for_postgresql(block, tmp_path):
    write_project(tmp_path, ['INSTALLED_APPS += ["parlant_store"]', block.text])
    manage(tmp_path, "check", "--fail-level", "WARNING")
    code = """
        from django.db import connection
        from parlant_store import store
        from parlant_store.backends.orm.database.connection import may_prepare

        print(store.executor.count, "threads, prepared:", may_prepare(connection))
        """
    # Without a server: the settings alone decide.
    said = manage(tmp_path, "shell", "-c", textwrap.dedent(code))
    assert "5 threads, prepared: False" in said
    with Path(tmp_path, "settings.py").open("a") as file:
        file.write("del PARLANT_STORES\n")
    said = manage(tmp_path, "check")
    assert "parlant_store.W015" in said
    assert "Set its threads to 5" in said


@pytest.fixture
def tested_project(project: Path) -> Path:
    """The project with one database: the one of this run."""
    more = ["DATABASE_ROUTERS = []", 'del DATABASES["replica"]']
    if "postgresql" in settings.DATABASES["default"]["ENGINE"]:
        address = os.environ["DATABASE_URL"]
        more.append(f'DATABASES["default"] = environ.Env.db_url_config({address!r})')
        more.append('DATABASES["default"]["TEST"] = {"NAME": "test_readme"}')
        more.append('DATABASES["default"]["ATOMIC_REQUESTS"] = True')
    with Path(project, "settings.py").open("a") as file:
        file.write("\n".join(["", *more, ""]))
    return project


@pytest.mark.parametrize("block", of_kind("tests.py"))
def test_tests(block, tested_project):
    Path(tested_project, "tests.py").write_text(block.text)
    count = block.text.count("def test_")
    assert f"Ran {count} test" in manage(tested_project, "test", "--noinput")


@pytest.mark.parametrize("block", of_kind("test_agents.py"))
def test_tests_of_pytest(block, tested_project):
    Path(tested_project, "test_agents.py").write_text(block.text)
    Path(tested_project, "pytest.ini").write_text("[pytest]\nDJANGO_SETTINGS_MODULE = settings\n")
    said = succeed(tested_project, sys.executable, "-m", "pytest", "-p", "no:cacheprovider")
    assert f"{block.text.count('def test_')} passed" in said


@any_database
def test_tenants(migrated):
    """What the option's function returns is entered around the call, on the store's thread."""
    code = """
        import asyncio
        from threading import current_thread
        from parlant_store.adapters.openai_agents import Session
        from parlant_store.signals import session_saved
        from tenants import current_tenant, use_tenant

        def receive(**kwargs):
            print(current_tenant(), "on", current_thread().name)

        session_saved.connect(receive)
        with use_tenant("acme"):
            asyncio.run(Session("session-1").add_items([{}]))
        asyncio.run(Session("session-1").add_items([{}]))
        """
    said = manage(migrated, "shell", "-c", textwrap.dedent(code))
    assert "acme on store-default-0\nNone on store-default-0" in said


@any_database
def test_views(migrated):
    """A view writes by the store and by an adapter, in the transaction of its request."""
    code = """
        from django.http import JsonResponse
        from django.test import Client
        from django.urls import path
        from parlant_store import store
        import views

        def failing(request):
            views.message(request)
            raise ValueError("after both have written")

        class urls:
            urlpatterns = [path("message", views.message), path("failing", failing)]

        client = Client(raise_request_exception=False)
        from django.test import override_settings
        with override_settings(ROOT_URLCONF=urls, ALLOWED_HOSTS=["testserver"]):
            items = client.post("/message", {"text": "hello"}).json()["items"]
            print([item["content"] for item in items])
            print(client.post("/failing", {"text": "hello"}).status_code)
            print(len(store.get_items("session-1")), "items")
        """
    said = manage(migrated, "shell", "-c", textwrap.dedent(code))
    assert "['hello', 'Thank you.']" in said
    assert "500\n2 items" in said


@any_database
def test_an_adapter_in_the_callers_own_transaction(migrated):
    """It is not let wait for itself, and the error says what the page says."""
    code = """
        from asgiref.sync import async_to_sync
        from django.db import transaction
        from parlant_store import store
        from parlant_store.adapters.openai_agents import Session
        from parlant_store.exceptions import StoreUnavailable

        with transaction.atomic():
            store.add_items("session-1", [{}])
            try:
                async_to_sync(Session("session-1").add_items)([{}])
            except StoreUnavailable as exc:
                print(exc)
            async_to_sync(Session("session-1", store="request").add_items)([{}])
        print(len(store.get_items("session-1")), "items")
        """
    said = manage(migrated, "shell", "-c", textwrap.dedent(code))
    assert "caller's own (transaction.atomic, ATOMIC_REQUESTS)" in said
    assert "option threads: 0" in said
    assert "2 items" in said


@any_database
@pytest.mark.parametrize("block", of_kind("models.py"))
def test_models(block, project):
    Path(project, "shop").mkdir()
    Path(project, "shop", "__init__.py").touch()
    Path(project, "shop", "models.py").write_text(block.text)
    with Path(project, "settings.py").open("a") as file:
        file.write('INSTALLED_APPS += ["shop"]\n')
    manage(project, "makemigrations", "shop")
    manage(project, "migrate")
    code = """
        from django.utils import timezone
        from parlant_store import store
        from parlant_store.models import Session
        from shop.models import Complaint, Rating

        for name, model, fields in [("a", Rating, {"stars": 5}), ("b", Complaint, {})]:
            store.add_items(name, [{"role": "user", "content": "hello"}])
            model.objects.create(session=Session.objects.get(session_id=name), **fields)
            store.set_expiry(name, timezone.now())
        """
    manage(project, "shell", "-c", textwrap.dedent(code))
    said = manage(project, "store_expire")
    assert "removed 1 sessions" in said
    assert "session 'b' is protected by shop.Complaint 1" in said
    counted = "from shop.models import *; print(Rating.objects.count(), Complaint.objects.count())"
    assert "0 1" in manage(project, "shell", "-c", counted)


def commands() -> list[Any]:
    """Each command that a page shows in a block of shell, or names in its text as `make ...`."""
    shown = [
        (block.where, line)
        for block in blocks()
        if block.language == "sh"
        for line in block.text.splitlines()
    ]
    named = [
        (page.name, line)
        for page in PAGES
        for line in re.findall(r"`(make [^`]+)`", page.read_text("utf-8"))
    ]
    split = {(where, *shlex.split(line, comments=True)) for where, line in shown + named}
    return [pytest.param(words, id=f"{where} {' '.join(words)}") for where, *words in sorted(split)]


@any_database
@pytest.mark.parametrize("words", commands())
def test_command(words, project, request):
    match words:
        case ["make", *rest]:
            made(project, rest)
        case ["pip", "install", requirement]:
            installable(requirement)
        case ["python", "manage.py", *rest]:
            if rest[0] in ("store_expire", "store_export", "store_erase"):
                request.getfixturevalue("migrated")
            manage(project, *rest)
        case [".venv/bin/python", "-m", "pytest", *files]:
            succeed(ROOT, sys.executable, "-m", "pytest", "--collect-only", "-q", *files)
        case [".venv/bin/python", "-m", module, ".venv/bin/python", "-m", "pytest", file]:
            assert Path(ROOT, *module.split(".")).with_suffix(".py").exists()
            succeed(ROOT, sys.executable, "-m", "pytest", "--collect-only", "-q", file)
        case ["python", "examples/parlant_server.py" as script]:
            # Without the name of a database it makes one.
            assert "events are still there" in succeed(ROOT, sys.executable, script)
        case _:
            pytest.fail(f"teach {Path(__file__).name} to run {words}")


def made(folder: Path, rest: list[str]) -> None:
    """The Makefile knows how; the demo that ends by itself is run as the Makefile would."""
    steps = succeed(ROOT, "make", "--dry-run", *rest).splitlines()
    *_, python = [line for line in steps if "python -m" in line]
    assert run(ROOT, "make", "--dry-run", "no-such-target").returncode == 2
    if rest == ["demo", "SERVE=no"]:
        arguments = shlex.split(python)[1:]
        database = f"sqlite:///{folder / 'demo.sqlite3'}"
        assert "Lisbon" in succeed(ROOT, sys.executable, *arguments, DATABASE_URL=database)


def installable(requirement: str) -> None:
    described = tomllib.loads(Path(ROOT, "pyproject.toml").read_text("utf-8"))["project"]
    name, _, extra = requirement.rstrip("]").partition("[")
    assert name == described["name"]
    assert extra in described["optional-dependencies"]


def table(heading: str, page: Path = README) -> set[str]:
    """What stands in backticks in the first column of the table that starts with ``heading``."""
    lines = page.read_text("utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    found: set[str] = set()
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        found.update(re.findall(r"`(\w+)`", line.split("|")[1]))
    return found


@any_database
def test_the_table_of_options_is_complete():
    assert table("option") == conf._options(OrmBackend)


@any_database
def test_the_table_of_errors_is_complete():
    errors = {name for name in vars(exceptions) if isinstance(getattr(exceptions, name), type)}
    others = {"StoreError", "InvalidInput", "InvalidStoreError", "ImproperlyConfigured"}
    assert table("error") == errors - others


@any_database
def test_the_table_of_checks_is_complete():
    """And no page names a check that there is not."""
    lines = Path(ROOT, "docs/operating.md").read_text("utf-8").splitlines()
    named = {line.split("`")[1] for line in lines if line.startswith("| `parlant_store.")}
    code = "".join(path.read_text("utf-8") for path in ROOT.glob("parlant_store/**/*.py"))
    assert named == set(re.findall(r'id="(parlant_store\.\w+)"', code))
    pages = "".join(page.read_text("utf-8") for page in PAGES)
    assert named == set(re.findall(r"`(parlant_store\.[EWI]\d+)`", pages))


@any_database
def test_the_operators_are_named():
    named = set(re.findall(r"`\$(\w+)`", STORE.read_text("utf-8")))
    for operator in named - {"and", "or"}:
        query.parse({"field": {f"${operator}": [] if operator in ("in", "nin") else 1}})
    assert len(named) == 10


@any_database
@pytest.mark.parametrize(
    ("limit", "said"),
    [
        (codec.MAX_NAME, "{:,} characters"),
        (codec.MAX_COLUMN_BYTES, "{} bytes in UTF-8"),
        (validation.MAX_PREFIX_BYTES, "{} bytes in UTF-8"),
        (codec.MAX_DEPTH, "{} levels"),
        (query.MAX_NESTING, "{} levels"),
        (sys.int_info.default_max_str_digits, "{:,} digits"),
    ],
)
def test_limits_are_those_of_the_code(limit, said):
    assert said.format(limit) in STORE.read_text("utf-8")


@any_database
def test_seconds_are_those_of_the_code():
    page = Path(ROOT, "docs/projects.md").read_text("utf-8")
    assert f"else {base.IDLE_SECONDS:g} seconds" in page


@any_database
def test_defaults_of_options_are_those_of_the_code():
    """The column beside each option, for those that are numbers, texts or None."""
    lines = README.read_text("utf-8").splitlines()
    rows = [line.split("|") for line in lines if re.match(r"\| `\w+` \| `", line)]
    shown = {row[1].strip(" `"): row[2].strip(" `") for row in rows}
    for cls in OrmBackend.__mro__:
        for name, parameter in inspect.signature(cls).parameters.items():
            if parameter.kind is parameter.KEYWORD_ONLY and not callable(parameter.default):
                assert ast.literal_eval(shown[name]) == parameter.default, name


@any_database
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_files_exist(page):
    text = page.read_text("utf-8")
    links = re.findall(r"\]\((?!http)([^)#]+)\)", text)
    named = re.findall(r"`(parlant_store/[\w/]+\.\w+)`", text)
    missing = [str(path) for path in links if not Path(page.parent, path).exists()]
    missing += [path for path in named if not Path(ROOT, path).exists()]
    missing += [
        link for link in re.findall(r"\]\((?!http)([^)]+)\)", text) if no_heading(page, link)
    ]
    assert not missing


def no_heading(page: Path, link: str) -> bool:
    """Whether ``link`` of ``page`` leads to a heading that is not there."""
    path, _, anchor = link.partition("#")
    target = Path(page.parent, path) if path else page
    if not anchor or not target.exists():
        return False
    headings = re.findall(r"^#+ (.+)$", target.read_text("utf-8"), re.MULTILINE)
    return anchor not in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}
