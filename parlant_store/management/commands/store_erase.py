"""Deletes all data of a user, in every store."""

import json
import sys
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from parlant_store.content.times import as_utc
from parlant_store.management.arguments import Attempt, add_user_arguments, store_aliases
from parlant_store.management.atomic_file import PRIVATE_MODE, atomic_file
from parlant_store.management.interruption import Interruption
from parlant_store.personal_data import PersonalData, PersonalDocument
from parlant_store.types import JSONObject, SessionInfo

_STORED_RESULTS = (
    "The results of some writes, which contain erased data, are stored for an hour so that no "
    "write runs twice; they are deleted after that, over HTTP by the first writes."
)


@dataclass
class Report:
    """What was deleted from a store, or would be."""

    store: str
    sessions: int = 0
    items: int = 0
    documents: int = 0
    requests: int = 0
    left: int | None = None
    protected: list[str] = field(default_factory=list)
    error: str | None = None
    note: str | None = None
    found: list[JSONObject] = field(default_factory=list)

    def add(self, record: SessionInfo | PersonalDocument) -> None:
        if isinstance(record, PersonalDocument):
            self.documents += 1
            id_ = record.content.get("id")
            self.found.append({"collection": record.collection, "id": id_})
        else:
            self.sessions += 1
            self.items += record.item_count
            self.found.append({"namespace": record.namespace, "session_id": record.session_id})

    def add_all(self, data: PersonalData) -> None:
        for session in data.sessions():
            self.add(session)
        for document in data.documents():
            self.add(document)

    def as_json(self, *, ids: bool) -> JSONObject:
        fields = {name: value for name, value in asdict(self).items() if value is not None}
        if not ids:
            del fields["found"], fields["protected"]
        return fields


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

    def handle(self, *args: Any, user: str, receipt: str | None, **options: Any) -> None:
        aliases = store_aliases(options)
        if options["dry_run"]:
            reports = [self._count(alias, user) for alias in aliases]
            self.stdout.write(_receipt("dry run", user, reports, options))
        else:
            if options["interactive"]:
                self._confirm(user, aliases)
            # Opened first: without a receipt, nothing is deleted.
            target = (
                nullcontext(self.stdout) if receipt is None else atomic_file(receipt, PRIVATE_MODE)
            )
            with target as file, Interruption() as interruption:
                reports = [self._erase(alias, user, interruption) for alias in aliases]
                file.write(_receipt("erase", user, reports, options) + "\n")
            if receipt is not None:
                self.stdout.write(receipt)
            if interruption:
                raise CommandError("stopped: run it again", returncode=interruption.returncode)
        failed = [report.store for report in reports if report.error is not None or report.left]
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
            data = PersonalData(attempt.store, user)
            for record in () if interruption else data.erase():
                report.add(record)
                if interruption:
                    break
            report.requests = attempt.store.forget_requests(user)
            report.note = _STORED_RESULTS if attempt.store.keeps_answers else None
            left = Report(alias)
            left.add_all(data)
            report.protected = [str(row) for row in data.protected]
            report.left = left.sessions + left.documents + data.hidden
            for line in report.protected:
                self.stderr.write(f"{alias}: not deleted: the {line}")
        return self._finished(report, attempt)

    def _finished(self, report: Report, attempt: Attempt) -> Report:
        report.error = attempt.error
        if attempt.error is not None:
            self.stderr.write(f"{report.store}: {attempt.error}")
        return report


def _receipt(action: str, user: str, reports: list[Report], options: dict[str, Any]) -> str:
    return json.dumps(
        {
            "kind": "receipt",
            "action": action,
            "user": user,
            "time": as_utc(timezone.now()).isoformat(),
            "stores": [report.as_json(ids=options["verbosity"] > 1) for report in reports],
        },
        indent=2,
    )
