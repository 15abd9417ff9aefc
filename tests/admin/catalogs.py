"""The texts that the package marks for translation, and the catalogs that translate them.

Read with Babel and Django's own reader of templates: gettext's programs, which Django's commands
start, are not on every machine.
"""

import ast
import io
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import django
from babel.messages import mofile, pofile
from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from django.utils.translation.template import templatize

import parlant_store

PACKAGE = Path(parlant_store.__file__).parent
DJANGO = Path(django.__file__).parent
LOCALE = PACKAGE / "locale"
LANGUAGES = ["ar", "de", "es", "fr", "ja", "pt_BR"]

KEYWORDS = {
    "gettext": None,
    "gettext_lazy": None,
    "gettext_noop": None,
    "_": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
    "npgettext_lazy": ((1, "c"), 2, 3),
}
"""The functions whose arguments makemessages extracts."""

COMMENT = re.compile(r"^\s*#.*$| # .*$", re.MULTILINE)

Key = tuple[str, ...]
"""The context, the text, and its plural if it has one."""


@cache
def marked() -> dict[Key, str]:
    """Every text that the package marks, and a file where it does."""
    found: dict[Key, str] = {}
    for path in sorted(PACKAGE.rglob("*")):
        if path.suffix in (".py", ".html"):
            for _, message, _, context in extract("python", source(path), keywords=KEYWORDS):
                texts = (message,) if isinstance(message, str) else message
                found.setdefault((context or "", *texts), str(path.relative_to(PACKAGE)))
    return found


def source(path: Path) -> io.BytesIO:
    """Python that calls gettext for each text of a file."""
    text = path.read_text()
    if path.suffix == ".html":
        # What stands between the calls is no Python, and has no indentation. Comments go first.
        text = " ".join(COMMENT.sub("", templatize(text)).split())
    return io.BytesIO(text.encode())


def names_of_functions() -> Iterator[tuple[str, str]]:
    """What translates a text, by the names that files import it under."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "django.utils.translation":
                for name in node.names:
                    yield str(path.relative_to(PACKAGE)), name.asname or name.name


def po(language: str) -> Catalog:
    with (LOCALE / language / "LC_MESSAGES" / "django.po").open("rb") as file:
        return pofile.read_po(file)


def mo(language: str) -> Catalog:
    with (LOCALE / language / "LC_MESSAGES" / "django.mo").open("rb") as file:
        return mofile.read_mo(file)


def messages(catalog: Catalog) -> dict[Key, tuple[str, ...]]:
    """The translations of each text: one, or one for each plural form."""
    return {
        (message.context or "", *as_tuple(message.id)): as_tuple(message.string)
        for message in catalog
        if message.id
    }


def as_tuple(text: str | tuple[str, ...] | list[str]) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text)


CATALOGS = ("conf", "contrib/admin")
"""Those of Django that translate the admin."""


def djangos(language: str) -> dict[Key, tuple[str, ...]]:
    """What Django translates in the admin."""
    found = {}
    for name in CATALOGS:
        path = DJANGO / name / "locale" / language / "LC_MESSAGES" / "django.mo"
        with path.open("rb") as file:
            found |= messages(mofile.read_mo(file))
    return found


def untranslated_by_django(language: str) -> re.Pattern[str]:
    """What matches the texts of the admin that Django's catalogs of the language lack."""
    english: set[Key] = set()
    for name in CATALOGS:
        path = DJANGO / name / "locale" / "en" / "LC_MESSAGES" / "django.po"
        with path.open("rb") as file:
            english |= set(messages(pofile.read_po(file)))
    texts = {text for key in english - set(djangos(language)) for text in key[1:]}
    parts = [map(re.escape, re.split(r"%\(\w+\)s", text)) for text in texts]
    return re.compile("|".join(".+".join(part) for part in parts) or "(?!)")
