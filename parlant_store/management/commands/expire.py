"""Removes what has expired, and what the rules of retention keep no longer."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from time import monotonic
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from parlant_store.backends.base import BaseBackend
from parlant_store.backends.retention import check_rule, parse_duration
from parlant_store.exceptions import InvalidInput
from parlant_store.management.choosing import Attempt, add_store_argument, chosen
from parlant_store.management.progress import Progress
from parlant_store.management.stopping import Stop
from parlant_store.types import ExpiredDocument, ExpiredSession, Retention


@dataclass
class Report:
    """What was removed from a store."""

    store: str
    sessions: int = 0
    documents: int = 0
    seconds: float = 0.0
    finished: bool = False
    error: str | None = None

    def __str__(self) -> str:
        return (
            f"{self.store}: removed {self.sessions:,} sessions and {self.documents:,} documents "
            f"in {self.seconds:.1f} s" + ("" if self.finished else "; not finished")
        )


class Command(BaseCommand):
    help = (
        "Removes what has expired from every store, and what its option retention keeps no "
        "longer; with --older-than or --idle, what these say in place of the option. It may be "
        "stopped at any moment and run several times at once. The exit code is 1 when a store "
        "fails; the others are done all the same."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        add_store_argument(parser)
        parser.add_argument(
            "--older-than",
            metavar="AGE",
            help="Remove what began so long ago: 90d, 12h, 30m, 45s or 2w.",
        )
        parser.add_argument(
            "--idle", metavar="AGE", help="Remove what was last written to so long ago."
        )
        parser.add_argument("--namespace", help="With an age: sessions of this namespace alone.")
        parser.add_argument("--collection", help="With an age: documents of this collection alone.")
        parser.add_argument(
            "--batch-size",
            type=int,
            default=1_000,
            metavar="N",
            help="How many go in one transaction (1000).",
        )
        parser.add_argument(
            "--max-seconds", type=float, metavar="N", help="Begin no other batch after N seconds."
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="Remove nothing: say what would go."
        )
        parser.add_argument(
            "--json",
            action="store_true",
            help="Print a JSON object; with --dry-run, one for each session and document.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            rule = _rule(options)
        except InvalidInput as exc:
            raise CommandError(str(exc)) from exc
        if options["batch_size"] < 1:
            raise CommandError("--batch-size must be 1 or more")
        aliases = chosen(options)
        if options["dry_run"]:
            failed = [alias for alias in aliases if not self._list(alias, rule, options)]
        else:
            failed = self._remove_all(aliases, rule, options)
        if failed:
            raise CommandError(f"{len(failed)} of {len(aliases)} stores failed")

    def _remove_all(
        self, aliases: list[str], rule: Retention | None, options: dict[str, Any]
    ) -> list[str]:
        """Remove what is to go from each store; return which failed."""
        patience = options["max_seconds"]
        self._deadline = None if patience is None else monotonic() + patience
        self._progress = Progress(self.stderr)
        reports = [Report(alias) for alias in aliases]
        with Stop() as self._stop:
            for report in reports:
                if not self._is_over():
                    self._remove(report, rule, options["batch_size"])
                if not options["json"]:
                    self.stdout.write(str(report))
                    self.stdout.flush()
                if report.error is not None:
                    self.stderr.write(f"{report.store}: {report.error}")
        if options["json"]:
            self.stdout.write(_as_json(reports))
        if self._stop:
            raise CommandError(
                "stopped: what is not finished goes the next time",
                returncode=self._stop.returncode,
            )
        return [report.store for report in reports if report.error is not None]

    def _remove(self, report: Report, rule: Retention | None, batch_size: int) -> None:
        start = monotonic()
        with Attempt(report.store) as attempt:
            report.finished = self._remove_by_rules(attempt.store, report, rule, batch_size)
        report.error = attempt.error
        report.seconds = round(monotonic() - start, 3)
        self._progress.clear()

    def _remove_by_rules(
        self, store: BaseBackend, report: Report, rule: Retention | None, batch_size: int
    ) -> bool:
        """Remove batch by batch; False when it ended before its time."""
        for each in _rules(store, rule):
            for batch in store.expire_batches(rule=each, batch_size=batch_size):
                report.sessions += batch.sessions
                report.documents += batch.documents
                self._progress.show(
                    f"{report.store}: {report.sessions:,} sessions, {report.documents:,} documents"
                )
                if self._is_over():
                    return False
        return True

    def _is_over(self) -> bool:
        is_late = self._deadline is not None and monotonic() >= self._deadline
        return is_late or bool(self._stop)

    def _list(self, alias: str, rule: Retention | None, options: dict[str, Any]) -> bool:
        """Say what would go from the store; False when it fails."""
        counts: Counter[str] = Counter()
        with Attempt(alias) as attempt:
            for one in _found(attempt.store, rule):
                counts[_where(one)] += 1
                if options["json"]:
                    self.stdout.write(json.dumps({"store": alias, **_described(one)}))
                elif options["verbosity"] > 1:
                    self.stdout.write(f"{alias}: {_named(one)}")
        if not options["json"] and attempt.error is None:
            for where, count in sorted(counts.items()) or [("sessions and documents", 0)]:
                self.stdout.write(f"{alias}: would remove {count:,} {where}")
        if attempt.error is not None:
            self.stderr.write(f"{alias}: {attempt.error}")
        return attempt.error is None


def _rule(options: dict[str, Any]) -> Retention | None:
    """The rule of the command line; None when it has none."""
    ages: dict[str, Any] = {
        name: parse_duration(options[name], f"--{name.replace('_', '-')}")
        for name in ("older_than", "idle")
        if options[name] is not None
    }
    namespace, collection = options["namespace"], options["collection"]
    if ages:
        return check_rule(Retention(**ages, namespace=namespace, collection=collection))
    if namespace is not None or collection is not None:
        raise CommandError("--namespace and --collection go with --older-than or --idle")
    return None


def _rules(store: BaseBackend, rule: Retention | None) -> list[Retention | None]:
    """What is to go: what has expired (None), then what the rule or the store's own say."""
    return [None, *([rule] if rule is not None else store.retention)]


def _found(
    store: BaseBackend, rule: Retention | None
) -> Iterator[ExpiredSession | ExpiredDocument]:
    """What would go, each once though several rules say so."""
    rules = _rules(store, rule)
    # No rule finds what has expired: where there is one rule, nothing is found twice.
    is_twice = len(rules) > 2
    seen: dict[type, set[int]] = {ExpiredSession: set(), ExpiredDocument: set()}
    for each in rules:
        for one in store.list_expired(rule=each):
            if one.key not in seen[type(one)]:
                if is_twice:
                    seen[type(one)].add(one.key)
                yield one


def _where(one: ExpiredSession | ExpiredDocument) -> str:
    if isinstance(one, ExpiredSession):
        return f"sessions of the namespace {one.namespace!r}"
    return f"documents of the collection {one.collection!r}"


def _named(one: ExpiredSession | ExpiredDocument) -> str:
    if isinstance(one, ExpiredSession):
        return f"session {one.session_id!r} of {one.namespace!r}, {one.item_count:,} items"
    return f"document {one.id!r} of {one.collection!r}"


def _described(one: ExpiredSession | ExpiredDocument) -> dict[str, Any]:
    kind = "session" if isinstance(one, ExpiredSession) else "document"
    fields = asdict(one)
    del fields["key"]
    return {"kind": kind, **fields}


def _as_json(reports: list[Report]) -> str:
    found = [asdict(report) for report in reports]
    for report in found:
        if report["error"] is None:
            del report["error"]
    total = {
        "sessions": sum(report.sessions for report in reports),
        "documents": sum(report.documents for report in reports),
        "finished": all(report.finished for report in reports),
    }
    return json.dumps({"stores": found, **total})
