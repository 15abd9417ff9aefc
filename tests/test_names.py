"""Names and docstrings use the terms of Django, PostgreSQL and the frameworks.

A reader must learn every word that a package makes up, such as "crew" for a pool. The lists below
have such words, each with its usual term. Only whole words are searched, and in docstrings and
comments of SQL only those that have no other use: "here" and "said" are good English there, but
not names of functions.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "parlant_store"

pytestmark = pytest.mark.any_database

TERMS = {
    "alive": "not expired",
    "anew": "again",
    "bury": "delete expired",
    "crew": "pool",
    "folding": "JSON tree",
    "mailbox": "completion queue",
    "meant": "eligible, matches",
    "medium": "backend",
    "narrowed": "filters",
    "narrows": "filters",
    "remembered": "cache, saved state",
    "somebody": "user, caller, staff, owner",
    "stepped": "loose index scan",
    "stepping": "loose index scan",
    "suits": "eligible, matches",
    "whoever": "user, caller, staff, owner",
    "whom": "user, caller, staff, owner",
    "whomever": "user, caller, staff, owner",
    "wiring": "server set-up",
}
"""Words that are not used in names, docstrings and comments of SQL, each with its usual term."""

NAMES = TERMS | {
    "asked": "request, form data, message, label",
    "belonging": "related documents",
    "beside": "related",
    "chosen": "selection",
    "confirming": "confirmation",
    "doing": "actions",
    "elsewhere": "remote store",
    "given": "parameters, arguments",
    "gone": "deleted",
    "heard": "request, form data, message, label",
    "here": "local store",
    "horizon": "MAX_EXPIRES_AT",
    "kept": "stored",
    "least": "MIN_...",
    "lives": "expires_at",
    "most": "MAX_...",
    "opening": "migration",
    "patience": "TIMEOUT_SECONDS",
    "people": "user, caller, staff, owner",
    "questioning": "confirmation",
    "said": "request, form data, message, label",
    "told": "request, form data, message, label",
    "wanted": "expected, required",
    "whose": "owner",
    "wish": "operation, request",
}
"""Words that are not used in names of modules, classes, functions and constants, nor of SQL."""

PHRASES = {
    r"goes? along": "related documents",
    r"have a look|looks? at|looks? through": "select, read, fetch",
    r"(its|whose) time has come": "has expired",
    r"(if|when) need be": "if there is none",
    r"puts? off": "extend",
    r"takes? the place of": "replace",
    r"to end (it|them) now": "expire",
}
"""Phrases that are not used in docstrings, nor in comments of SQL."""


def modules() -> list[Path]:
    paths = [*sorted(PACKAGE.rglob("*.py")), *sorted(PACKAGE.rglob("*.sql"))]
    return [path for path in paths if "migrations" not in path.parts]


def words_of(name: str) -> set[str]:
    """The words of a name in snake_case or CamelCase."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def public_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name
    for scope in (tree, *(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))):
        for statement in scope.body:
            targets = [*statement.targets] if isinstance(statement, ast.Assign) else []
            targets += [statement.target] if isinstance(statement, ast.AnnAssign) else []
            yield from (target.id for target in targets if isinstance(target, ast.Name))


SCOPES = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def docstrings(tree: ast.Module) -> Iterator[str]:
    """The docstrings, those below attributes and constants included."""
    for node in ast.walk(tree):
        for statement in node.body if isinstance(node, SCOPES) else ():
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                yield str(statement.value.value)


def sql_names(text: str) -> Iterator[str]:
    """The names of functions, parameters and variables in the text of an .sql file."""
    yield from re.findall(r"\bparlant_store_(\w+)", text)
    yield from re.findall(r"\b[pv]_(\w+)", text)


def sql_comments(text: str) -> Iterator[str]:
    """The comments, each of them with all its lines."""
    for lines in re.findall(r"(?:^ *--.*\n)+", text, re.MULTILINE):
        yield re.sub(r"\s*-- *", " ", lines)


def findings(path: Path) -> list[str]:
    source = path.read_text("utf-8")
    where = path.relative_to(PACKAGE)
    if path.suffix == ".sql":
        names, texts = [path.stem, *sorted(set(sql_names(source)))], sql_comments(source)
    else:
        tree = ast.parse(source)
        names = [path.stem, *(name for name in public_names(tree) if not name.startswith("_"))]
        texts = docstrings(tree)
    found = [
        f"{where}: {name}: use {NAMES[word]!r} instead of {word!r}"
        for name in names
        for word in sorted(words_of(name) & NAMES.keys())
    ]
    for text in texts:
        lower = " ".join(text.lower().split())
        words = TERMS.keys() & set(re.findall(r"[a-z]+", lower))
        used = [(word, TERMS[word]) for word in sorted(words)]
        used += [(phrase, PHRASES[phrase]) for phrase in PHRASES if re.search(phrase, lower)]
        first = text.strip().splitlines()[0] if text.strip() else ""
        found += [f"{where}: {first!r}: use {term!r} instead of {word!r}" for word, term in used]
    return found


def test_only_usual_terms_are_used():
    found = [text for path in modules() for text in findings(path)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("module.py", "def people(): ..."),
        ("module.py", "class StepChosen: ..."),
        ("module.py", "MOST = 1"),
        ("module.py", 'def f():\n    """Ask whoever calls."""'),
        ("module.py", 'LIMIT = 1\n"""Its time\nhas come."""'),
        ("functions.sql", "-- Ask\n-- whoever calls.\n"),
        ("functions.sql", "-- Delete it if its\n-- time has come.\n"),
        ("functions.sql", "create function f(p_told text)"),
        ("functions.sql", "create function parlant_store_told()"),
        ("belonging.sql", "select 1"),
    ],
)
def test_other_words_are_found(file, source, tmp_path, monkeypatch):
    monkeypatch.setattr("tests.test_names.PACKAGE", tmp_path)
    path = tmp_path / file
    path.write_text(source)
    assert len(findings(path)) == 1
