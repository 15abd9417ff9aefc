"""README.md and docs/ are followed here as a reader follows them."""

import ast
import asyncio
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

from parlant_store import codec, conf, exceptions, query
from parlant_store.backends import arguments
from parlant_store.backends.orm import OrmBackend

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted(ROOT.glob("docs/*.md"))]
ELSEWHERE = {
    "selectools.md": "tests/selectools/test_docs.py",
    "supabase.md": "tests/supabase/test_docs.py",
}
"""Pages whose code needs more than a database, and what runs it."""
BASE = """
from pathlib import Path

from project.settings import *

BASE_DIR = Path(__file__).parent
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "a.sqlite3"}}
INSTALLED_APPS.remove("parlant_store")
del PARLANT_STORES
"""


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
    told = [block.text for block in blocks() if kind(block) == "settings.py"]
    return write_project(tmp_path, told)


def write_project(folder: Path, told: list[str]) -> Path:
    Path(folder, "settings.py").write_text("\n".join([BASE, *told]))
    shutil.copy(ROOT / "manage.py", folder)
    return folder


@pytest.mark.parametrize("page", ELSEWHERE)
def test_pages_that_are_followed_elsewhere(page):
    assert Path(ROOT, "docs", page) in PAGES
    assert page in Path(ROOT, ELSEWHERE[page]).read_text("utf-8")


def test_every_block_is_run_by_a_test():
    run_here = {"python", "script", "settings.py", "tests.py", "sh"}
    unknown = [block.where for block in blocks() if kind(block) not in run_here]
    assert not unknown, f"teach {Path(__file__).name} to run the blocks at {', '.join(unknown)}"
    assert run_here == {kind(block) for block in blocks()}


def asserting(source: str) -> str:
    """``source`` with each result that a comment shows turned into an assertion."""
    lines = []
    for line in source.splitlines():
        code, _, shown = line.partition("  # ")
        if shown:
            ast.literal_eval(shown)
            ast.parse(code, mode="eval")
            line = f"assert ({code}) == ({shown}), ({code!r}, ({code}))"
        lines.append(line)
    return "\n".join(lines)


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


@pytest.mark.parametrize("block", of_kind("script"))
def test_script(block, tmp_path):
    then = """
        import asyncio
        from parlant_store.adapters.openai_agents import Session
        assert asyncio.run(Session("session-1").get_items())[0]["content"] == "hello"
        """
    succeed(tmp_path, sys.executable, "-c", block.text + textwrap.dedent(then))
    assert Path(tmp_path, "agents.sqlite3").exists()


def test_settings(project):
    manage(project, "check", "--fail-level", "WARNING")
    manage(project, "migrate")
    code = "from parlant_store import store; print(store.find('c').documents, store.using)"
    assert "() default" in manage(project, "shell", "-c", code)


def test_the_default_that_is_shown_is_the_default():
    (text,) = [b.text for b in blocks() if b.text.startswith("# settings.py\nPARLANT_STORES = ")]
    names: dict[str, Any] = {}
    exec(text, names)
    assert names["PARLANT_STORES"] == conf.DEFAULT


def test_sqlite_without_the_recommended_options_is_warned_of(tmp_path):
    write_project(tmp_path, ['INSTALLED_APPS += ["parlant_store"]'])
    warned = manage(tmp_path, "check")
    assert "parlant_store.W001" in warned
    assert "database is locked" in README.read_text("utf-8")


@pytest.mark.parametrize("block", of_kind("tests.py"))
def test_tests(block, project):
    Path(project, "tests.py").write_text(block.text)
    more = {}
    if "postgresql" in settings.DATABASES["default"]["ENGINE"]:
        more["DATABASE_URL"] = os.environ["DATABASE_URL"]
        with Path(project, "settings.py").open("a") as file:
            file.write('DATABASES = {"default": env.db() | {"TEST": {"NAME": "test_readme"}}}\n')
    assert "Ran 1 test" in manage(project, "test", "--noinput", **more)


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


@pytest.mark.parametrize("words", commands())
def test_command(words, project):
    match words:
        case ["make", *rest]:
            made(project, rest)
        case ["pip", "install", requirement]:
            installable(requirement)
        case ["python", "manage.py", *rest]:
            if rest[0] in ("expire", "export", "erase"):
                manage(project, "migrate")
            manage(project, *rest)
        case ["python", script]:
            succeed(ROOT, sys.executable, script)
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


def test_the_table_of_options_is_complete():
    assert table("option") == conf._options(OrmBackend)


def test_the_table_of_errors_is_complete():
    errors = {name for name in vars(exceptions) if isinstance(getattr(exceptions, name), type)}
    others = {"StoreError", "InvalidInput", "InvalidStoreError", "ImproperlyConfigured"}
    assert table("error") == errors - others


def test_the_operators_are_named():
    named = set(re.findall(r"`\$(\w+)`", README.read_text("utf-8")))
    for operator in named - {"and", "or"}:
        query.parse({"field": {f"${operator}": [] if operator in ("in", "nin") else 1}})
    assert len(named) == 10


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        (codec.MAX_NAME, "{:,} characters"),
        (codec.MAX_COLUMN_BYTES, "{} bytes in UTF-8"),
        (arguments.MAX_PREFIX_BYTES, "{} bytes in UTF-8"),
        (codec.MAX_DEPTH, "{} levels"),
        (query.MAX_NESTING, "{} levels"),
        (sys.int_info.default_max_str_digits, "{:,} digits"),
    ],
)
def test_limits_are_those_of_the_code(limit, said):
    assert said.format(limit) in Path(ROOT, "docs/design.md").read_text("utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_files_exist(page):
    text = page.read_text("utf-8")
    links = re.findall(r"\]\((?!http)([^)#]+)\)", text)
    named = re.findall(r"`(parlant_store/[\w/]+\.\w+)`", text)
    missing = [str(path) for path in links if not Path(page.parent, path).exists()]
    missing += [path for path in named if not Path(ROOT, path).exists()]
    assert not missing
