"""Copies sessions, threads and documents from one store to another."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from parlant_store.management.transfers import TransferCommand, since_of, store_of
from parlant_store.transfer import Selection, StoreSource


class Command(TransferCommand):
    help = (
        "Copies sessions with their items, threads with their checkpoints, and documents, from one "
        "store to another, with their times. What both have already is not written again, so that "
        "the command may be stopped at any time and run again, also while others write. At the "
        "end, both sides are compared; the exit code is 1 if they differ."
    )

    without_documents = "use --sessions-only to leave them"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", metavar="FROM", help="A store of PARLANT_STORES.")
        parser.add_argument("target", metavar="TO", help="Another store of PARLANT_STORES.")
        parser.add_argument("--namespace", help="Only sessions and threads of this namespace.")
        parser.add_argument("--collection", help="Only documents of this collection.")
        parser.add_argument(
            "--sessions-only",
            action="store_true",
            help="Copy no threads and documents, for stores that have sessions only.",
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
        since=since_of(options),
        sessions_only=options["sessions_only"],
    )
