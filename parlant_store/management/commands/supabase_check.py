"""Asks a Supabase project, line by line, whether a store can work on it."""

import json
import os
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from parlant_store.backends.supabase import SupabaseBackend
from parlant_store.handler import stores

if TYPE_CHECKING:
    from parlant_store.backends.supabase.findings import Finding

NO_STORE = (
    'PARLANT_STORES has no store in Supabase. Add "supabase": {"BACKEND": '
    '"parlant_store.backends.supabase.SupabaseBackend", "OPTIONS": {"url": ..., "key": ...}}, '
    "or give --url, with the key in SUPABASE_KEY."
)


class Command(BaseCommand):
    help = (
        "Connects to Supabase with the keys of the stores and says what is as it should be (OK), "
        "what is not (FAIL, with what to do) and what needs a key that was not given (SKIP). "
        "The exit code is 1 when anything fails. Keys on the command line are seen in the list "
        "of processes: the environment is the better place for them."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--store",
            metavar="ALIAS",
            help="A store of PARLANT_STORES; by default all that are in Supabase.",
        )
        parser.add_argument(
            "--url", help="A project that no store names, as https://name.supabase.co."
        )
        parser.add_argument("--key", help="With --url: its key; by default SUPABASE_KEY.")
        parser.add_argument(
            "--schema", help="With --url: its schema; by default SUPABASE_SCHEMA, or public."
        )
        parser.add_argument(
            "--anon-key",
            metavar="KEY",
            help="The public key, to see what everybody sees; by default SUPABASE_ANON_KEY.",
        )
        parser.add_argument(
            "--user-token",
            metavar="JWT",
            help="A user's token, to see what that user sees; by default SUPABASE_USER_TOKEN.",
        )
        parser.add_argument(
            "--no-write", action="store_true", help="Leave out to write and delete a session."
        )
        parser.add_argument("--json", action="store_true", help="Print JSON in place of lines.")

    def handle(self, *args: Any, **options: Any) -> None:
        reports = []
        for store in _stores(options):
            with closing(store):
                reports.append(self._report(store, options))
        if options["json"]:
            self.stdout.write(json.dumps(reports, indent=2))
        found = [finding["outcome"] for report in reports for finding in report["findings"]]
        if failed := found.count("FAIL"):
            raise CommandError(f"{failed} of {len(found)} checks failed")

    def _report(self, store: SupabaseBackend, options: dict[str, Any]) -> dict[str, Any]:
        from parlant_store.backends.supabase.diagnosis import diagnose
        from parlant_store.backends.supabase.rest import Rest

        rest = Rest.of(store.connection)
        where = {"store": store.alias, "url": rest.project, "schema": rest.schema}
        show = not options["json"]
        if show:
            self.stdout.write("Store '{store}' at {url}, schema {schema}".format_map(where))
        findings = []
        for finding in diagnose(
            store,
            rest,
            anon_key=options["anon_key"] or os.environ.get("SUPABASE_ANON_KEY"),
            user_token=options["user_token"] or os.environ.get("SUPABASE_USER_TOKEN"),
            write=not options["no_write"],
        ):
            findings.append(asdict(finding))
            if show:
                self._print(finding)
        return {**where, "findings": findings}

    def _print(self, finding: "Finding") -> None:
        styles = {"OK": self.style.SUCCESS, "FAIL": self.style.ERROR, "SKIP": self.style.WARNING}
        outcome = styles[finding.outcome](f"{finding.outcome:<4}")
        self.stdout.write(f"{outcome}  {finding.about:<12}  {finding.said}")
        if finding.mend:
            self.stdout.write(f"{'':6}{finding.mend}")
        self.stdout.flush()


def _stores(options: dict[str, Any]) -> Iterable[SupabaseBackend]:
    """The stores that the options name; raises CommandError when there is none."""
    alias, url = options["store"], options["url"]
    if alias is not None and url is not None:
        raise CommandError("--store and --url exclude each other")
    if url is None and (options["key"], options["schema"]) != (None, None):
        raise CommandError("--key and --schema go with --url; a store has its own")
    try:
        if url is not None:
            return [_store_at(url, options)]
        found = [stores[each] for each in ([alias] if alias is not None else stores)]
    except ImproperlyConfigured as exc:
        raise CommandError(str(exc)) from exc
    ours = [store for store in found if isinstance(store, SupabaseBackend)]
    if not ours:
        raise CommandError(NO_STORE if alias is None else f"the store {alias!r} is not in Supabase")
    return ours


def _store_at(url: str, options: dict[str, Any]) -> SupabaseBackend:
    return SupabaseBackend(
        "command line",
        url=url,
        key=options["key"] or os.environ.get("SUPABASE_KEY"),
        schema=options["schema"] or os.environ.get("SUPABASE_SCHEMA"),
    )
