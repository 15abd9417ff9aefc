"""README.md and the other pages: their blocks of code, and what runs them."""

import re
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from parlant_store.backends.base import BaseBackend
from parlant_store.conf import _options

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = [README, *(ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md"))]
PAGES += sorted(ROOT.glob("docs/*.md"))
ELSEWHERE = {
    "files.md": "tests/backends/jsonfile/test_docs.py",
    "moving.md": "tests/transfer/test_docs.py",
    "openai-agents.md": "tests/adapters/openai_agents/test_docs.py",
    "redis.md": "tests/backends/redis/test_docs.py",
    "selectools.md": "tests/adapters/selectools/test_docs.py",
    "supabase.md": "tests/backends/supabase/test_docs.py",
}
"""Pages whose code needs more than a database, and what runs it."""


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
    """Which of the tests runs the block."""
    if block.language == "python" and "parlant_store.setup(" in block.text:
        return "script"
    if block.file == "settings.py" and "django.db.backends.postgresql" in block.text:
        return "settings for PostgreSQL"
    return block.file or block.language


def of_kind(*kinds: str) -> list[Any]:
    return [pytest.param(block, id=block.where) for block in blocks() if kind(block) in kinds]


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


def installable(requirement: str) -> None:
    described = tomllib.loads(Path(ROOT, "pyproject.toml").read_text("utf-8"))["project"]
    name, _, extra = requirement.rstrip("]").partition("[")
    assert name == described["name"]
    assert extra in described["optional-dependencies"]


def check_options(page: Path, backend: type[BaseBackend]) -> None:
    """The table of options has the backend's own; a sentence names those of every store."""
    of_every_store = _options(BaseBackend)
    assert table("option", page) == _options(backend) - of_every_store
    (named,) = re.findall(r"^The options (.*?) mean\b", page.read_text("utf-8"), re.M | re.S)
    assert set(re.findall(r"`(\w+)`", named)) == of_every_store
