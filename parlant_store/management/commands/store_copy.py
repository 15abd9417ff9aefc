"""Copies sessions and documents from one store to another."""

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from parlant_store.backends.contract.retention import parse_duration
from parlant_store.content.times import as_utc
from parlant_store.exceptions import InvalidInput
from parlant_store.management.transfers import TransferCommand, store_of
from parlant_store.transfer import Selection, StoreSource


class Command(TransferCommand):
    help = (
        "Copies sessions with their items, and documents, from one store to another, with their "
        "times. What both have already is not written again, so that the command may be stopped "
        "at any time and run again, also while others write. At the end, both sides are compared; "
        "the exit code is 1 if they differ."
    )

    without_documents = "use --sessions-only to leave them"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", metavar="FROM", help="A store of PARLANT_STORES.")
        parser.add_argument("target", metavar="TO", help="Another store of PARLANT_STORES.")
        parser.add_argument("--namespace", help="Only sessions of this namespace.")
        parser.add_argument("--collection", help="Only documents of this collection.")
        parser.add_argument(
            "--user", metavar="ID", help="Only sessions and documents of this user."
        )
        parser.add_argument(
            "--since",
            metavar="TIME",
            help="Only what was written since a time in ISO 8601 (2026-01-31, "
            "2026-01-31T12:00:00+00:00) or in a duration before now: 90d, 12h, 30m, 45s or 2w.",
        )
        parser.add_argument(
            "--sessions-only",
            action="store_true",
            help="Copy no documents, for stores that have sessions only.",
        )
        super().add_arguments(parser)

    def handle(self, *args: Any, source: str, target: str, **options: Any) -> None:
        if source == target:
            raise CommandError(f"FROM and TO are both the store {source!r}")
        self.copy(StoreSource(store_of(source)), store_of(target), _selection(options), options)


def _selection(options: dict[str, Any]) -> Selection:
    if options["sessions_only"] and options["collection"] is not None:
        raise CommandError("--collection selects documents, and --sessions-only excludes them")
    return Selection(
        namespace=options["namespace"],
        collection=options["collection"],
        user_id=options["user"],
        since=None if options["since"] is None else _time(options["since"]),
        sessions_only=options["sessions_only"],
    )


def _time(text: str) -> datetime:
    try:
        return as_utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        pass
    try:
        return datetime.now(UTC) - parse_duration(text, "--since")
    except InvalidInput:
        raise CommandError(
            f"--since must be a time such as {timezone.now():%Y-%m-%d} or a duration such as 90d, "
            f"not {text!r}"
        ) from None
