"""Computes search terms and failed calls of rows that an older version has written."""

from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from parlant_store.backends.orm.backend import OrmBackend
from parlant_store.backends.orm.reindex import Step
from parlant_store.management.arguments import Attempt, add_store_argument, store_aliases
from parlant_store.management.interruption import Interruption
from parlant_store.management.progress import Progress

KINDS = ("items", "documents", "threads")


def place(text: str) -> tuple[str, int]:
    kind, _, key = text.partition(":")
    if kind not in KINDS or not key.isdecimal():
        raise ArgumentTypeError("must be items:KEY, documents:KEY or threads:KEY")
    return kind, int(key)


class Command(BaseCommand):
    help = (
        "Computes the search terms, the tokens and the failed calls of stored items and documents "
        "again, and the search terms of threads, as new writes have them. Run it once after an "
        "upgrade: until then, items and documents of older versions are only found by what users "
        "and assistants said, and have no failed calls; threads are not found by words. "
        "The command may be stopped at any time, and agents may write meanwhile."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        add_store_argument(parser)
        parser.add_argument(
            "--batch-size",
            type=int,
            default=500,
            metavar="N",
            help="How many rows to read in one transaction (500).",
        )
        parser.add_argument(
            "--from",
            type=place,
            dest="place",
            default=("items", 0),
            metavar="PLACE",
            help="Where to go on, as a stopped command prints it; with one store.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["batch_size"] < 1:
            raise CommandError("--batch-size must be 1 or more")
        aliases = store_aliases(options)
        if options["place"] != ("items", 0) and len(aliases) != 1:
            raise CommandError("--from needs --store with one store")
        self._progress = Progress(self.stderr)
        failed = []
        with Interruption() as self._interruption:
            for alias in aliases:
                with Attempt(alias) as attempt:
                    self._reindex(alias, attempt.store, options)
                self._progress.clear()
                if attempt.error is not None:
                    self.stderr.write(f"{alias}: {attempt.error}")
                    failed.append(alias)
        if failed:
            raise CommandError(f"{len(failed)} of {len(aliases)} stores failed")

    def _reindex(self, alias: str, store: Any, options: dict[str, Any]) -> None:
        if not isinstance(store, OrmBackend):
            self.stdout.write(f"{alias}: this store is not in a database of the project")
            return
        kind, after = options["place"]
        for each in KINDS[KINDS.index(kind) :]:
            step = getattr(store, f"reindex_{each}")
            self._run(alias, each, step, after, options["batch_size"])
            after = 0

    def _run(
        self, alias: str, kind: str, step: Callable[[int, int], Step], after: int, size: int
    ) -> None:
        rows = changed = 0
        place: int | None = after
        while place is not None:
            if self._interruption:
                self._progress.clear()
                raise CommandError(
                    f"stopped: go on with --store {alias} --from {kind}:{place}",
                    returncode=self._interruption.returncode,
                )
            place, read, updated = step(place, size)
            rows, changed = rows + read, changed + updated
            self._progress.show(f"{alias}: {rows:,} {kind}")
        self._progress.clear()
        self.stdout.write(f"{alias}: changed {changed:,} of {rows:,} {kind}")
