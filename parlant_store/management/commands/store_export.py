"""Prints all data of a user, in every store."""

from contextlib import nullcontext
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from parlant_store.management.arguments import Attempt, add_user_arguments, store_aliases
from parlant_store.management.atomic_file import PRIVATE_MODE, atomic_file
from parlant_store.personal_data import PersonalData
from parlant_store.receipts import ExportedLines


class Command(BaseCommand):
    help = (
        "Prints all data of a user, in every store, as JSON Lines: an object for each session "
        "with its items and for each document, and a receipt at the end. If a store fails, the "
        "command goes on with the others and its exit code is 1."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        add_user_arguments(parser)
        parser.add_argument(
            "--output", metavar="FILE", help="Write to FILE, which only its owner may read."
        )

    def handle(self, *args: Any, user: str, output: str | None, **options: Any) -> None:
        aliases = store_aliases(options)
        target = nullcontext(self.stdout) if output is None else atomic_file(output, PRIVATE_MODE)
        with target as file:
            lines = ExportedLines(file)
            failed = [alias for alias in aliases if not self._export(alias, user, lines)]
            lines.end(user, aliases, failed)
        if output is not None:
            self.stdout.write(output)
        if failed:
            raise CommandError(f"{len(failed)} of {len(aliases)} stores failed")

    def _export(self, alias: str, user: str, lines: ExportedLines) -> bool:
        """Write the user's data in the store; return False if it fails."""
        with Attempt(alias) as attempt:
            for record in PersonalData(attempt.store, user).exported():
                lines.write({"store": alias, **record})
        if attempt.error is not None:
            self.stderr.write(f"{alias}: {attempt.error}")
        return attempt.error is None
