"""Deletes sessions, documents and threads that have expired, or that a rule matches."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from time import monotonic
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from parlant_store.backends.base import BaseBackend
from parlant_store.backends.contract.expiry import ToExpire
from parlant_store.backends.contract.retention import check_rule, parse_duration
from parlant_store.exceptions import InvalidInput
from parlant_store.management.arguments import Attempt, add_store_argument, store_aliases
from parlant_store.management.interruption import Interruption
from parlant_store.management.progress import Progress
from parlant_store.types import (
    ExpiredCheckpoints,
    ExpiredDocument,
    ExpiredItems,
    ExpiredSession,
    ExpiredThread,
    Retention,
)


@dataclass
class Report:
    """What was deleted from a store."""

    store: str
    sessions: int = 0
    documents: int = 0
    items: int = 0
    threads: int = 0
    checkpoints: int = 0
    protected: list[str] = field(default_factory=list)
    seconds: float = 0.0
    finished: bool = False
    error: str | None = None

    def __str__(self) -> str:
        items = f" and {self.items:,} items of other sessions" if self.items else ""
        threads = f" and {self.threads:,} threads" if self.threads else ""
        checkpoints = f" and {self.checkpoints:,} checkpoints" if self.checkpoints else ""
        return (
            f"{self.store}: removed {self.sessions:,} sessions and {self.documents:,} documents"
            f"{items}{threads}{checkpoints} in {self.seconds:.1f} s"
            + ("" if self.finished else "; not finished")
        ) + "".join(f"\n{self.store}: not deleted: the {row}" for row in self.protected)


class Command(BaseCommand):
    help = (
        "Deletes from every store the sessions, documents and threads that have expired, and "
        "those that the rules of its option retention match; --older-than, --idle, "
        "--keep-last-items, --keep-last-turns and --keep-checkpoints replace these rules. "
        "The command may be stopped at any time, and several may run at once. Rows that rows of "
        "the project protect are not deleted, but listed. If a store fails, the command goes on "
        "with the others and its exit code is 1."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        add_store_argument(parser)
        parser.add_argument(
            "--older-than",
            metavar="AGE",
            help="Delete what was created at least this long ago: 90d, 12h, 30m, 45s or 2w.",
        )
        parser.add_argument(
            "--idle", metavar="AGE", help="Delete what was last written to at least this long ago."
        )
        parser.add_argument(
            "--keep-last-items",
            type=int,
            metavar="N",
            help="Delete the items of sessions before the turns that have the latest N items.",
        )
        parser.add_argument(
            "--keep-last-turns",
            type=int,
            metavar="N",
            help="Delete the items of sessions before the latest N turns.",
        )
        parser.add_argument(
            "--keep-checkpoints",
            type=int,
            metavar="N",
            help="Delete all but the latest N checkpoints of each namespace of a thread.",
        )
        parser.add_argument("--namespace", help="With a rule: only sessions of this namespace.")
        parser.add_argument("--collection", help="With an age: only documents of this collection.")
        parser.add_argument(
            "--batch-size",
            type=int,
            default=1_000,
            metavar="N",
            help="How many rows to delete in one transaction (1000).",
        )
        parser.add_argument(
            "--max-seconds", type=float, metavar="N", help="Start no other batch after N seconds."
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="Delete nothing: print what would be deleted."
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
        aliases = store_aliases(options)
        if options["dry_run"]:
            failed = [alias for alias in aliases if not self._list(alias, rule, options)]
        else:
            failed = self._delete_all(aliases, rule, options)
        if failed:
            raise CommandError(f"{len(failed)} of {len(aliases)} stores failed")

    def _delete_all(
        self, aliases: list[str], rule: Retention | None, options: dict[str, Any]
    ) -> list[str]:
        """Delete rows from each store; return the aliases of those that failed."""
        seconds = options["max_seconds"]
        self._deadline = None if seconds is None else monotonic() + seconds
        self._progress = Progress(self.stderr)
        reports = [Report(alias) for alias in aliases]
        with Interruption() as self._interruption:
            for report in reports:
                if not self._must_stop():
                    self._delete(report, rule, options["batch_size"])
                if not options["json"]:
                    self.stdout.write(str(report))
                    self.stdout.flush()
                if report.error is not None:
                    self.stderr.write(f"{report.store}: {report.error}")
        if options["json"]:
            self.stdout.write(_as_json(reports))
        if self._interruption:
            raise CommandError(
                "stopped: run it again to delete the rest",
                returncode=self._interruption.returncode,
            )
        return [report.store for report in reports if report.error is not None]

    def _delete(self, report: Report, rule: Retention | None, batch_size: int) -> None:
        start = monotonic()
        with Attempt(report.store) as attempt:
            report.finished = self._delete_by_rules(attempt.store, report, rule, batch_size)
        report.error = attempt.error
        report.seconds = round(monotonic() - start, 3)
        self._progress.clear()

    def _delete_by_rules(
        self, store: BaseBackend, report: Report, rule: Retention | None, batch_size: int
    ) -> bool:
        """Delete batch by batch; return False if it stopped before the end."""
        for applied in _rules(store, rule):
            for batch in store.expire_batches(rule=applied, batch_size=batch_size):
                report.sessions += batch.sessions
                report.documents += batch.documents
                report.items += batch.items
                report.threads += batch.threads
                report.checkpoints += batch.checkpoints
                report.protected += map(str, batch.protected)
                self._progress.show(
                    f"{report.store}: {report.sessions:,} sessions, {report.documents:,} documents"
                )
                if self._must_stop():
                    return False
        return True

    def _must_stop(self) -> bool:
        is_late = self._deadline is not None and monotonic() >= self._deadline
        return is_late or bool(self._interruption)

    def _list(self, alias: str, rule: Retention | None, options: dict[str, Any]) -> bool:
        """Print what would be deleted from the store; return False if it fails."""
        counts: Counter[str] = Counter()
        with Attempt(alias) as attempt:
            for row in _expired(attempt.store, rule):
                counts[_group(row)] += _count(row)
                if options["json"]:
                    self.stdout.write(json.dumps({"store": alias, **_as_dict(row)}))
                elif options["verbosity"] > 1:
                    self.stdout.write(f"{alias}: {_label(row)}")
        if not options["json"] and attempt.error is None:
            for group, count in sorted(counts.items()) or [("sessions and documents", 0)]:
                self.stdout.write(f"{alias}: would remove {count:,} {group}")
        if attempt.error is not None:
            self.stderr.write(f"{alias}: {attempt.error}")
        return attempt.error is None


def _rule(options: dict[str, Any]) -> Retention | None:
    """Return the rule that the options describe, or None."""
    ages: dict[str, Any] = {
        name: parse_duration(options[name], f"--{name.replace('_', '-')}")
        for name in ("older_than", "idle")
        if options[name] is not None
    }
    names = ("keep_last_items", "keep_last_turns", "keep_checkpoints")
    limits = {name: options[name] for name in names}
    namespace, collection = options["namespace"], options["collection"]
    if ages or any(limit is not None for limit in limits.values()):
        return check_rule(Retention(**ages, **limits, namespace=namespace, collection=collection))
    if namespace is not None or collection is not None:
        raise CommandError("--namespace and --collection go with --older-than or --idle")
    return None


def _rules(store: BaseBackend, rule: Retention | None) -> list[Retention | None]:
    """Return the rules to apply: None for expired rows, then ``rule`` or those of the store."""
    return [None, *([rule] if rule is not None else store.retention)]


def _expired(store: BaseBackend, rule: Retention | None) -> Iterator[ToExpire]:
    """Return what would be deleted, each row once even if several rules match it."""
    rules = _rules(store, rule)
    # A rule does not match what has expired: with a single rule, no row comes twice.
    has_duplicates = len(rules) > 2
    seen: dict[type, set[object]] = {kind: set() for kind in _KINDS}
    for applied in rules:
        for row in store.list_expired(rule=applied):
            if row.key not in seen[type(row)]:
                if has_duplicates:
                    seen[type(row)].add(row.key)
                yield row


def _count(row: ToExpire) -> int:
    if isinstance(row, ExpiredItems):
        return row.item_count
    return row.checkpoint_count if isinstance(row, ExpiredCheckpoints) else 1


def _group(row: ToExpire) -> str:
    if isinstance(row, ExpiredThread):
        return f"threads of the namespace {row.namespace!r}"
    if isinstance(row, ExpiredCheckpoints):
        return f"checkpoints of threads of the namespace {row.namespace!r}"
    if isinstance(row, ExpiredItems):
        return f"first items of sessions of the namespace {row.namespace!r}"
    if isinstance(row, ExpiredSession):
        return f"sessions of the namespace {row.namespace!r}"
    return f"documents of the collection {row.collection!r}"


def _label(row: ToExpire) -> str:
    if isinstance(row, ExpiredThread):
        return f"thread {row.thread_id!r} of {row.namespace!r}"
    if isinstance(row, ExpiredCheckpoints):
        return (
            f"thread {row.thread_id!r} of {row.namespace!r}, {row.checkpoint_count:,} checkpoints"
        )
    if isinstance(row, ExpiredItems):
        return (
            f"session {row.session_id!r} of {row.namespace!r}, its first {row.item_count:,} items"
        )
    if isinstance(row, ExpiredSession):
        return f"session {row.session_id!r} of {row.namespace!r}, {row.item_count:,} items"
    return f"document {row.id!r} of {row.collection!r}"


_KINDS: dict[type, str] = {
    ExpiredSession: "session",
    ExpiredDocument: "document",
    ExpiredItems: "items",
    ExpiredThread: "thread",
    ExpiredCheckpoints: "checkpoints",
}


def _as_dict(row: ToExpire) -> dict[str, Any]:
    fields = asdict(row)
    fields.pop("key", None)
    return {"kind": _KINDS[type(row)], **fields}


_OTHERS = ("items", "threads", "checkpoints")
"""Numbers of a report that are left out if they are 0."""


def _as_json(reports: list[Report]) -> str:
    dicts = [asdict(report) for report in reports]
    for fields in dicts:
        if fields["error"] is None:
            del fields["error"]
        for name in _OTHERS:
            if not fields[name]:
                del fields[name]
    total = {
        "sessions": sum(report.sessions for report in reports),
        "documents": sum(report.documents for report in reports),
        "finished": all(report.finished for report in reports),
    }
    for name in _OTHERS:
        if count := sum(getattr(report, name) for report in reports):
            total[name] = count
    return json.dumps({"stores": dicts, **total})
