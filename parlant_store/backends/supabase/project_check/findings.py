"""The results of checking a project."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from django.apps import apps

KEYS = "(dashboard: Project Settings > API Keys)"
AGAIN = "Run this again; the logs of the project may have details."
CLOSE = "Run what manage.py supabase_rls --policy service prints, or --policy owner."


class Outcome(StrEnum):
    OK = "OK"
    FAIL = "FAIL"
    SKIP = "SKIP"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The result of one check, which contains no key and no token."""

    outcome: Outcome
    about: str
    """The name of the check."""

    message: str
    mend: str = ""
    """How to fix a FAIL; empty otherwise."""


def ok(about: str, message: str) -> Finding:
    return Finding(outcome=Outcome.OK, about=about, message=message)


def fail(about: str, message: str, mend: str) -> Finding:
    return Finding(outcome=Outcome.FAIL, about=about, message=message, mend=mend)


def skip(about: str, message: str) -> Finding:
    return Finding(outcome=Outcome.SKIP, about=about, message=message)


def plural(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def own_tables() -> list[str]:
    models = apps.get_app_config("parlant_store").get_models()
    return sorted(model._meta.db_table for model in models)


def names_of(names: Iterable[str]) -> str:
    """Return the first few names, sorted."""
    ordered = sorted(names)
    shown = ordered if len(ordered) <= 6 else ordered[:5]
    more = len(ordered) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
