"""Which stores a command works on, and about whom."""

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError, CommandParser

from parlant_store.backends.base import BaseBackend
from parlant_store.exceptions import InvalidInput, StoreError
from parlant_store.handler import stores


def add_store_argument(parser: CommandParser) -> None:
    parser.add_argument(
        "--store",
        action="extend",
        nargs="+",
        metavar="ALIAS",
        help="Stores of PARLANT_STORES; by default all of them.",
    )


def add_person_arguments(parser: CommandParser) -> None:
    parser.add_argument("--user", required=True, metavar="ID", help="The person's id.")
    add_store_argument(parser)


def chosen(options: dict[str, Any]) -> list[str]:
    """The aliases that ``--store`` names, or all; raises CommandError for one that is unknown."""
    try:
        known = list(stores)
    except ImproperlyConfigured as exc:
        raise CommandError(str(exc)) from exc
    named = list(dict.fromkeys(options["store"] or known))
    if unknown := [alias for alias in named if alias not in known]:
        raise CommandError(
            f"there is no store {', '.join(map(repr, unknown))}; PARLANT_STORES has "
            + (", ".join(map(repr, known)) or "none")
        )
    return named


class Attempt:
    """Work on one store, whose failure does not keep the command from the others.

    ``error`` is what went wrong, in words; None: nothing. A wrong argument would be wrong for
    each of them: it raises CommandError.
    """

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.error: str | None = None

    def __enter__(self) -> "Attempt":
        return self

    @property
    def store(self) -> BaseBackend:
        return stores[self.alias]

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> bool:
        if isinstance(error, InvalidInput):
            raise CommandError(str(error)) from error
        if not isinstance(error, (StoreError, ImproperlyConfigured)):
            return False
        self.error = str(error) or type(error).__name__
        return True
