"""What the commands that copy to a store have in common: arguments, progress and report."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from parlant_store.backends.base import BaseBackend
from parlant_store.backends.contract.retention import parse_duration
from parlant_store.content.times import as_utc
from parlant_store.exceptions import InvalidInput, NotSupported, StoreError
from parlant_store.handler import stores
from parlant_store.management.interruption import Interruption
from parlant_store.management.progress import Progress
from parlant_store.transfer import (
    Conflict,
    Copy,
    Report,
    Selection,
    Source,
    SourceError,
    Stopped,
)
from parlant_store.types import JSONObject

MAX_NAMED = 20
"""How many things that cannot be read are printed."""


class TransferCommand(BaseCommand):
    """A command that copies sessions, threads and documents to a store."""

    requires_system_checks = ()

    without_documents: str
    """What to do if the target stores no documents or no threads."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--user", metavar="ID", help="Only sessions, threads and documents of this user."
        )
        parser.add_argument(
            "--since",
            metavar="TIME",
            help="Only what was written since a time in ISO 8601 (2026-01-31, "
            "2026-01-31T12:00:00+00:00) or in a duration before now: 90d, 12h, 30m, 45s or 2w.",
        )
        parser.add_argument(
            "--on-conflict",
            choices=["error", "skip", "replace"],
            default="error",
            help="What happens if a session, thread or document exists with another content: stop "
            "(error, the default), leave it as it is (skip), or replace it.",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="Write nothing: print what would be copied."
        )
        parser.add_argument("--json", action="store_true", help="Print a JSON object.")

    def copy(
        self, source: Source, target: BaseBackend, selection: Selection, options: dict[str, Any]
    ) -> None:
        """Copy, and print the report; raise CommandError if something is not the same."""
        progress = Progress(self.stderr)
        with Interruption() as interruption:
            try:
                copy = Copy(
                    source,
                    target,
                    selection,
                    on_conflict=options["on_conflict"],
                    dry_run=options["dry_run"],
                    show=progress.show,
                    is_stopped=lambda: bool(interruption),
                )
                report = copy.run()
            except Conflict as exc:
                raise CommandError(f"{exc}: use --on-conflict skip or replace") from exc
            except NotSupported as exc:
                raise CommandError(f"{exc}: {self.without_documents}") from exc
            except SourceError as exc:
                raise CommandError(str(exc)) from exc
            except Stopped as exc:
                raise CommandError(str(exc), returncode=interruption.returncode) from exc
            except (StoreError, ImproperlyConfigured) as exc:
                raise CommandError(f"{exc}; run it again to copy the rest") from exc
            finally:
                progress.clear()
        self._print(report, options)

    def _print(self, report: Report, options: dict[str, Any]) -> None:
        for note in report.notes[:MAX_NAMED]:
            self.stderr.write(f"not copied: {note}")
        if len(report.notes) > MAX_NAMED:
            self.stderr.write(f"and {len(report.notes) - MAX_NAMED:,} more; --json has all")
        for difference in report.differences:
            self.stderr.write(f"differs: {difference}")
        self.stdout.write(
            json.dumps(_as_json(report)) if options["json"] else _text(report, options["dry_run"])
        )
        if report.difference_count:
            raise CommandError(
                f"{report.difference_count:,} sessions, threads or documents are not the same on "
                "both sides: run it again, with --on-conflict replace if the target has changed"
            )


def store_of(alias: str) -> BaseBackend:
    """Return the store; raise CommandError for an unknown alias or a bad option."""
    try:
        return stores[alias]
    except ImproperlyConfigured as exc:
        raise CommandError(str(exc)) from exc


def since_of(options: dict[str, Any]) -> datetime | None:
    """Return the time of --since; raise CommandError if it is none."""
    text = options["since"]
    if text is None:
        return None
    try:
        return as_utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        pass
    try:
        return datetime.now(UTC) - parse_duration(text, "--since")
    except InvalidInput:
        raise CommandError(
            f"--since must be a time such as {timezone.now():%Y-%m-%d} or a duration such as 90d, "
            f"not {text!r}"
        ) from None


def _text(report: Report, dry_run: bool) -> str:
    verb = "would write" if dry_run else "wrote"
    what, parts = "sessions and documents", f"{report.items:,} items"
    if report.checkpoints or "threads" in report.totals:
        what = "sessions, threads and documents"
        parts += f" and {report.checkpoints:,} checkpoints"
    lines = [
        f"{verb} {report.written + report.replaced:,} {what}, with {parts}; "
        f"{report.same:,} were the same already"
    ]
    counts = {
        "replaced": report.replaced,
        "skipped": report.skipped,
        "copied again": report.updated,
        "deleted again": report.deleted,
        "could not be read": len(report.notes),
    }
    lines += [f"{count:,} {what}" for what, count in counts.items() if count]
    for kind, totals in report.totals.items():
        counted = {"sessions": "items", "threads": "checkpoints"}.get(kind)
        what = f"{totals.records:,} {kind}, {totals.items:,} {counted}"
        if counted is None:
            what = f"{totals.records:,} documents of {kind}"
        is_same = totals.source == totals.target
        sums = totals.source[:16] if is_same else f"{totals.source[:16]}, {totals.target[:16]}"
        lines.append(f"{'the same' if is_same else 'not the same'} on both sides: {what}, {sums}")
    return "\n".join(lines)


def _as_json(report: Report) -> JSONObject:
    fields = asdict(report)
    del fields["refused"]
    return {
        **fields,
        "notes": [str(note) for note in report.notes],
        "totals": {kind: totals._asdict() for kind, totals in report.totals.items()},
    }
