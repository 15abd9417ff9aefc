"""Checks whether a store can work in a Supabase project."""

import json
import os
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from parlant_store.backends.secrets import Secret
from parlant_store.backends.supabase import SupabaseBackend
from parlant_store.handler import stores

if TYPE_CHECKING:
    from parlant_store.backends.supabase.project_check.findings import Finding

NO_STORE = (
    'PARLANT_STORES has no store in Supabase. Add "supabase": {"BACKEND": '
    '"parlant_store.backends.supabase.SupabaseBackend", "OPTIONS": {"url": ..., "key": ...}}, '
    "or give --url, with the key in SUPABASE_KEY."
)


class Command(BaseCommand):
    help = (
        "Connects to Supabase with the keys of the stores and prints which checks pass (OK), "
        "which fail (FAIL, with what to do), and which need a key that is missing (SKIP). The "
        "exit code is 1 if any check fails. Other users of the machine can see keys on the "
        "command line: set them in the environment instead."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--store",
            metavar="ALIAS",
            help="A store of PARLANT_STORES; by default all that use Supabase.",
        )
        parser.add_argument(
            "--url",
            type=Secret,
            help="The URL of a project that no store uses, as https://name.supabase.co.",
        )
        parser.add_argument(
            "--key", type=Secret, help="With --url: its key; by default SUPABASE_KEY."
        )
        parser.add_argument(
            "--schema", help="With --url: its schema; by default SUPABASE_SCHEMA, or public."
        )
        parser.add_argument(
            "--anon-key",
            type=Secret,
            metavar="KEY",
            help="The public key, to check what everyone can read; by default SUPABASE_ANON_KEY.",
        )
        parser.add_argument(
            "--user-token",
            type=Secret,
            metavar="JWT",
            help="A user's token, to check what the user can read; by default SUPABASE_USER_TOKEN.",
        )
        parser.add_argument(
            "--no-write",
            action="store_true",
            help="Skip the check that writes and deletes a session.",
        )
        parser.add_argument("--json", action="store_true", help="Print JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        reports = []
        for store in _stores(options):
            with closing(store):
                reports.append(self._report(store, options))
        if options["json"]:
            self.stdout.write(json.dumps(reports, indent=2))
        outcomes = [finding["outcome"] for report in reports for finding in report["findings"]]
        if failed := outcomes.count("FAIL"):
            raise CommandError(f"{failed} of {len(outcomes)} checks failed")

    def _report(self, store: SupabaseBackend, options: dict[str, Any]) -> dict[str, Any]:
        from parlant_store.backends.supabase.project_check.diagnosis import diagnose
        from parlant_store.backends.supabase.rest.requests import Rest

        rest = Rest.of(store.connection.client(), None)
        project = {"store": store.alias, "url": rest.project, "schema": rest.schema}
        show = not options["json"]
        if show:
            self.stdout.write("Store '{store}' at {url}, schema {schema}".format_map(project))
        findings = []
        for finding in diagnose(
            store,
            anon_key=_value(options["anon_key"], "SUPABASE_ANON_KEY"),
            user_token=_value(options["user_token"], "SUPABASE_USER_TOKEN"),
            write=not options["no_write"],
        ):
            findings.append(asdict(finding))
            if show:
                self._print(finding)
        return {**project, "findings": findings}

    def _print(self, finding: "Finding") -> None:
        styles = {"OK": self.style.SUCCESS, "FAIL": self.style.ERROR, "SKIP": self.style.WARNING}
        outcome = styles[finding.outcome](f"{finding.outcome:<4}")
        self.stdout.write(f"{outcome}  {finding.about:<12}  {finding.message}")
        if finding.mend:
            self.stdout.write(f"{'':6}{finding.mend}")
        self.stdout.flush()


def _stores(options: dict[str, Any]) -> Iterable[SupabaseBackend]:
    """Return the stores in the options; raise CommandError if there is none."""
    alias, url = options["store"], options["url"]
    if alias is not None and url is not None:
        raise CommandError("--store and --url exclude each other")
    if url is None and (options["key"], options["schema"]) != (None, None):
        raise CommandError("--key and --schema go with --url; a store has its own")
    try:
        if url is not None:
            return [_store_at(options)]
        all_stores = [stores[name] for name in ([alias] if alias is not None else stores)]
    except ImproperlyConfigured as exc:
        raise CommandError(str(exc)) from exc
    in_supabase = [store for store in all_stores if isinstance(store, SupabaseBackend)]
    if not in_supabase:
        raise CommandError(NO_STORE if alias is None else f"the store {alias!r} is not in Supabase")
    return in_supabase


def _store_at(options: dict[str, Any]) -> SupabaseBackend:
    return SupabaseBackend(
        "command line",
        url=_value(options["url"]),
        key=_value(options["key"], "SUPABASE_KEY"),
        schema=options["schema"] or os.environ.get("SUPABASE_SCHEMA"),
    )


def _value(option: Secret[str] | str | None, variable: str = "") -> str | None:
    """Return the value of the option, or of the environment variable."""
    value = option.reveal() if isinstance(option, Secret) else option
    return value or os.environ.get(variable)
