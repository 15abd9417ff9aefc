"""Deletes all data of a user, in every store."""

import sys
from contextlib import nullcontext
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from parlant_store.management.arguments import Attempt, add_user_arguments, store_aliases
from parlant_store.management.atomic_file import PRIVATE_MODE, atomic_file
from parlant_store.management.interruption import Interruption
from parlant_store.personal_data import PersonalData
from parlant_store.receipts import Report, receipt


class Command(BaseCommand):
    help = (
        "Deletes all data of a user, in every store, and prints a receipt in JSON with the "
        "number of deleted rows and of rows that are left; with --verbosity 2, with their ids. "
        "It may run again. The exit code is 1 if a store fails or rows are left."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        add_user_arguments(parser)
        parser.add_argument(
            "--dry-run", action="store_true", help="Delete nothing: print what would be deleted."
        )
        parser.add_argument(
            "--noinput",
            "--no-input",
            action="store_false",
            dest="interactive",
            help="Do not ask for confirmation.",
        )
        parser.add_argument(
            "--receipt",
            metavar="FILE",
            help="Write the receipt to FILE, which only its owner may read.",
        )

    def handle(self, *args: Any, user: str, **options: Any) -> None:
        aliases = store_aliases(options)
        path, ids = options["receipt"], options["verbosity"] > 1
        if options["dry_run"]:
            reports = [self._count(alias, user) for alias in aliases]
            self.stdout.write(receipt("dry run", user, reports, ids=ids))
        else:
            if options["interactive"]:
                self._confirm(user, aliases)
            # Opened first: without a receipt, nothing is deleted.
            target = nullcontext(self.stdout) if path is None else atomic_file(path, PRIVATE_MODE)
            with target as file, Interruption() as interruption:
                reports = [self._erase(alias, user, interruption) for alias in aliases]
                file.write(receipt("erase", user, reports, ids=ids) + "\n")
            if path is not None:
                self.stdout.write(path)
            if interruption:
                raise CommandError("stopped: run it again", returncode=interruption.returncode)
        failed = [report.store for report in reports if not report.is_complete]
        if failed:
            raise CommandError(f"{len(failed)} of {len(aliases)} stores failed or have more")

    def _confirm(self, user: str, aliases: list[str]) -> None:
        """Ask for confirmation; raise CommandError without it."""
        if not sys.stdin.isatty():
            raise CommandError("no terminal to ask for confirmation: use --noinput to erase")
        for report in [self._count(alias, user) for alias in aliases]:
            self.stderr.write(
                f"{report.store}: {report.sessions:,} sessions, {report.items:,} items, "
                f"{report.documents:,} documents"
            )
        try:
            answer = input(f"All data of {user!r} in these stores will be deleted. Type 'yes': ")
        except EOFError:
            answer = ""
        if answer != "yes":
            raise CommandError("nothing was erased")

    def _count(self, alias: str, user: str) -> Report:
        report = Report(alias)
        with Attempt(alias) as attempt:
            report.add_all(PersonalData(attempt.store, user))
        return self._finished(report, attempt)

    def _erase(self, alias: str, user: str, interruption: Interruption) -> Report:
        report = Report(alias)
        with Attempt(alias) as attempt:
            report.erase(attempt.store, user, lambda: interruption)
            for line in report.protected:
                self.stderr.write(f"{alias}: not deleted: the {line}")
        return self._finished(report, attempt)

    def _finished(self, report: Report, attempt: Attempt) -> Report:
        report.error = attempt.error
        if attempt.error is not None:
            self.stderr.write(f"{report.store}: {attempt.error}")
        return report
