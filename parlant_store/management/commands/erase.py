"""Removes everything of one person, in every store."""

import json
import sys
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from parlant_store.management.choosing import Attempt, add_person_arguments, chosen
from parlant_store.management.files import PRIVATE, whole_file
from parlant_store.management.stopping import Stop
from parlant_store.people import Person, PersonDocument
from parlant_store.types import JSONObject, SessionInfo

_ANSWERS = (
    "What writes over HTTP answered, what was erased now among it, is kept for an hour so that "
    "no write is done twice; the first writes after that remove it."
)


@dataclass
class Report:
    """What of the person went from a store, or would go."""

    store: str
    sessions: int = 0
    items: int = 0
    documents: int = 0
    requests: int = 0
    left: int | None = None
    error: str | None = None
    note: str | None = None
    found: list[JSONObject] = field(default_factory=list)

    def add(self, one: SessionInfo | PersonDocument) -> None:
        if isinstance(one, PersonDocument):
            self.documents += 1
            id_ = one.document.get("id")
            self.found.append({"collection": one.collection, "id": id_})
        else:
            self.sessions += 1
            self.items += one.item_count
            self.found.append({"namespace": one.namespace, "session_id": one.session_id})

    def add_all(self, person: Person) -> None:
        for session in person.sessions():
            self.add(session)
        for document in person.documents():
            self.add(document)

    def as_json(self, *, ids: bool) -> JSONObject:
        said = {name: value for name, value in asdict(self).items() if value is not None}
        if not ids:
            del said["found"]
        return said


class Command(BaseCommand):
    help = (
        "Removes everything of one person, in every store, and prints a receipt in JSON that "
        "says how much went and that nothing is left; with --verbosity 2, the ids too. It may "
        "run again. The exit code is 1 when a store fails or something is left."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        add_person_arguments(parser)
        parser.add_argument(
            "--dry-run", action="store_true", help="Remove nothing: say what would go."
        )
        parser.add_argument(
            "--noinput",
            "--no-input",
            action="store_false",
            dest="interactive",
            help="Do not ask before it begins.",
        )
        parser.add_argument(
            "--receipt",
            metavar="FILE",
            help="Write the receipt to FILE, which only its owner may read.",
        )

    def handle(self, *args: Any, user: str, receipt: str | None, **options: Any) -> None:
        aliases = chosen(options)
        if options["dry_run"]:
            reports = [self._look(alias, user) for alias in aliases]
            self.stdout.write(_receipt("dry run", user, reports, options))
        else:
            if options["interactive"]:
                self._ask(user, aliases)
            # Opened before anything is gone: what is erased has its receipt.
            target = nullcontext(self.stdout) if receipt is None else whole_file(receipt, PRIVATE)
            with target as file, Stop() as stop:
                reports = [self._erase(alias, user, stop) for alias in aliases]
                file.write(_receipt("erase", user, reports, options) + "\n")
            if receipt is not None:
                self.stdout.write(receipt)
            if stop:
                raise CommandError("stopped: run it again", returncode=stop.returncode)
        failed = [report.store for report in reports if report.error is not None or report.left]
        if failed:
            raise CommandError(f"{len(failed)} of {len(aliases)} stores failed or have more")

    def _ask(self, user: str, aliases: list[str]) -> None:
        """Let a person confirm it; raises CommandError otherwise."""
        if not sys.stdin.isatty():
            raise CommandError("nobody can be asked here: give --noinput to erase")
        for report in [self._look(alias, user) for alias in aliases]:
            self.stderr.write(
                f"{report.store}: {report.sessions:,} sessions, {report.items:,} items, "
                f"{report.documents:,} documents"
            )
        try:
            answer = input(f"Everything of {user!r} in these stores will be gone. Type 'yes': ")
        except EOFError:
            answer = ""
        if answer != "yes":
            raise CommandError("nothing was erased")

    def _look(self, alias: str, user: str) -> Report:
        report = Report(alias)
        with Attempt(alias) as attempt:
            report.add_all(Person(attempt.store, user))
        return self._ended(report, attempt)

    def _erase(self, alias: str, user: str, stop: Stop) -> Report:
        report = Report(alias)
        with Attempt(alias) as attempt:
            person = Person(attempt.store, user)
            for one in () if stop else person.erase():
                report.add(one)
                if stop:
                    break
            report.requests = attempt.store.forget_requests(user)
            report.note = _ANSWERS if attempt.store.keeps_answers else None
            left = Report(alias)
            left.add_all(person)
            report.left = left.sessions + left.documents
        return self._ended(report, attempt)

    def _ended(self, report: Report, attempt: Attempt) -> Report:
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
            "time": timezone.now().isoformat(),
            "stores": [report.as_json(ids=options["verbosity"] > 1) for report in reports],
        },
        indent=2,
    )
