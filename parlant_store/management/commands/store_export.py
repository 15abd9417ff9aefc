"""Prints all data of a user, in every store."""

import json
from collections import Counter
from contextlib import nullcontext
from hashlib import sha256
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from parlant_store.content.times import as_utc
from parlant_store.management.arguments import Attempt, add_user_arguments, store_aliases
from parlant_store.management.atomic_file import PRIVATE_MODE, atomic_file
from parlant_store.personal_data import PersonalData
from parlant_store.types import JSONObject


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
            lines = Lines(file)
            failed = [alias for alias in aliases if not self._export(alias, user, lines)]
            lines.end(user, aliases, failed)
        if output is not None:
            self.stdout.write(output)
        if failed:
            raise CommandError(f"{len(failed)} of {len(aliases)} stores failed")

    def _export(self, alias: str, user: str, lines: "Lines") -> bool:
        """Write the user's data in the store; return False if it fails."""
        with Attempt(alias) as attempt:
            for record in PersonalData(attempt.store, user).exported():
                lines.write({"store": alias, **record})
        if attempt.error is not None:
            self.stderr.write(f"{alias}: {attempt.error}")
        return attempt.error is None


class Lines:
    """JSON Lines that end with a receipt."""

    def __init__(self, file: Any) -> None:
        self._file: TextIO = file
        self._digest = sha256()
        self._counts: Counter[tuple[str, str]] = Counter()

    def write(self, record: JSONObject) -> None:
        line = json.dumps(record) + "\n"
        self._digest.update(line.encode())
        self._counts[record["store"], record["kind"]] += 1
        self._file.write(line)

    def end(self, user: str, aliases: list[str], failed: list[str]) -> None:
        """Write the receipt, with the ``sha256`` of all lines before it."""
        counts = [
            {
                "store": alias,
                "sessions": self._counts[alias, "session"],
                "documents": self._counts[alias, "document"],
                "complete": alias not in failed,
            }
            for alias in aliases
        ]
        receipt = {
            "kind": "receipt",
            "user": user,
            "time": as_utc(timezone.now()).isoformat(),
            "stores": counts,
            "sha256": self._digest.hexdigest(),
        }
        self._file.write(json.dumps(receipt) + "\n")
