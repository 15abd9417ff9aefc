"""The arguments that several commands share: stores and a user."""

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


def add_user_arguments(parser: CommandParser) -> None:
    parser.add_argument("--user", required=True, metavar="ID", help="The user's id.")
    add_store_argument(parser)


def store_aliases(options: dict[str, Any]) -> list[str]:
    """Return the aliases in ``--store``, or all; raise CommandError for an unknown one."""
    try:
        configured = list(stores)
    except ImproperlyConfigured as exc:
        raise CommandError(str(exc)) from exc
    aliases = list(dict.fromkeys(options["store"] or configured))
    if unknown := [alias for alias in aliases if alias not in configured]:
        raise CommandError(
            f"there is no store {', '.join(map(repr, unknown))}; PARLANT_STORES has "
            + (", ".join(map(repr, configured)) or "none")
        )
    return aliases


class Attempt:
    """A context manager around the work on one store, so that the command goes on when it fails.

    ``error`` is the message of the error, or None. An invalid argument is invalid for every
    store: it raises CommandError.
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
