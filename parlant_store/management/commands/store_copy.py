"""Copies sessions and documents from one store to another."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from parlant_store.management.transfers import TransferCommand, store_of
from parlant_store.transfer import StoreSource


class Command(TransferCommand):
    help = (
        "Copies sessions with their items, and documents, from one store to another, with their "
        "times. What both have already is not written again, so that the command may be stopped "
        "at any time and run again, also while others write. At the end, both sides are compared; "
        "the exit code is 1 if they differ."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", metavar="FROM", help="A store of PARLANT_STORES.")
        parser.add_argument("target", metavar="TO", help="Another store of PARLANT_STORES.")
        super().add_arguments(parser)

    def handle(self, *args: Any, source: str, target: str, **options: Any) -> None:
        if source == target:
            raise CommandError(f"FROM and TO are both the store {source!r}")
        self.copy(StoreSource(store_of(source)), store_of(target), options)
