"""The tables, limits, defaults and links of README.md and the other pages."""

import ast
import inspect
import re
import sys
from pathlib import Path

import pytest

from parlant_store import conf, exceptions
from parlant_store.backends import base
from parlant_store.backends.contract import validation
from parlant_store.backends.orm import OrmBackend
from parlant_store.content import codec, query
from tests.docs.pages import PAGES, README, ROOT, table

STORE = ROOT / "docs" / "store.md"


@pytest.mark.any_database
def test_the_table_of_options_is_complete():
    assert table("option") == conf._options(OrmBackend)


@pytest.mark.any_database
def test_the_table_of_errors_is_complete():
    errors = {name for name in vars(exceptions) if isinstance(getattr(exceptions, name), type)}
    others = {"StoreError", "InvalidInput", "InvalidStoreError", "ImproperlyConfigured"}
    assert table("error") == errors - others


@pytest.mark.any_database
def test_the_table_of_checks_is_complete():
    """And no page names a check that there is not."""
    lines = Path(ROOT, "docs/operating.md").read_text("utf-8").splitlines()
    named = {line.split("`")[1] for line in lines if line.startswith("| `parlant_store.")}
    code = "".join(path.read_text("utf-8") for path in ROOT.glob("parlant_store/**/*.py"))
    assert named == set(re.findall(r'id="(parlant_store\.\w+)"', code))
    pages = "".join(page.read_text("utf-8") for page in PAGES)
    assert named == set(re.findall(r"`(parlant_store\.[EWI]\d+)`", pages))


@pytest.mark.any_database
def test_the_operators_are_named():
    named = set(re.findall(r"`\$(\w+)`", STORE.read_text("utf-8")))
    for operator in named - {"and", "or"}:
        query.parse({"field": {f"${operator}": [] if operator in ("in", "nin") else 1}})
    assert len(named) == 10


@pytest.mark.any_database
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


@pytest.mark.any_database
def test_seconds_are_those_of_the_code():
    page = Path(ROOT, "docs/projects.md").read_text("utf-8")
    assert f"else {base.IDLE_SECONDS:g} seconds" in page


@pytest.mark.any_database
def test_defaults_of_options_are_those_of_the_code():
    """The column beside each option, for those that are numbers, texts or None."""
    lines = README.read_text("utf-8").splitlines()
    rows = [line.split("|") for line in lines if re.match(r"\| `\w+` \| `", line)]
    shown = {row[1].strip(" `"): row[2].strip(" `") for row in rows}
    for cls in OrmBackend.__mro__:
        for name, parameter in inspect.signature(cls).parameters.items():
            if parameter.kind is parameter.KEYWORD_ONLY and not callable(parameter.default):
                assert ast.literal_eval(shown[name]) == parameter.default, name


@pytest.mark.any_database
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
