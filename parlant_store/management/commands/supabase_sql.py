"""Prints the SQL that prepares a Supabase project, or writes it to a file."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from parlant_store.management.sql_command import SQLCommand, split_names, write_script
from parlant_store.sql.supabase.adoption import parse_adopted
from parlant_store.sql.supabase.script import supabase_sql, without_header

_NAME = re.compile(r"[A-Za-z0-9_-]+")


class Command(SQLCommand):
    help = (
        "Prints the SQL that a Supabase project needs, rendered from the models: tables, "
        "indexes, functions, grants, row level security and policies. It does not connect to a "
        "database. The SQL may run again, and on tables that migrate created."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--collections",
            metavar="NAME,...",
            help="Create a table for each of these collections of documents, as "
            "parlant_sessions_events: a partition of the table of all documents.",
        )
        parser.add_argument(
            "--adopt",
            nargs="?",
            const=True,
            default=False,
            metavar="TABLE[=COLLECTION],...",
            help="Adopt existing tables with their rows: those that Parlant's Supabase adapter "
            "documents, those of --collections, and those named here become collections; "
            "selectools' table becomes sessions.",
        )
        parser.add_argument(
            "--realtime", action="store_true", help="Send changes to Supabase Realtime."
        )
        parser.add_argument(
            "--cron",
            metavar="SCHEDULE",
            help="Delete expired rows with a job of pg_cron, as --cron '*/15 * * * *'.",
        )
        parser.add_argument(
            "--migration",
            nargs="?",
            const="parlant_store",
            metavar="NAME",
            help="Write to supabase/migrations/<time>_NAME.sql (parlant_store) and print its "
            "path; if the newest migration of this NAME is the same, write nothing.",
        )

    def handle(self, *args: Any, output: str | None, migration: str | None, **options: Any) -> str:
        _check_target(output, migration)
        try:
            script = supabase_sql(
                **self.access(options),
                collections=split_names(options["collections"]),
                adopt=_adopted(options["adopt"]),
                realtime=options["realtime"],
                cron=options["cron"],
                # Supabase's CLI runs a migration in a transaction of its own.
                transaction=migration is None,
            )
        except ValueError as exc:
            raise CommandError(str(exc)) from exc
        if output is not None:
            return write_script(Path(output), script)
        return script if migration is None else self._migration(migration, script)

    def _migration(self, name: str, script: str) -> str:
        """Return the path of a migration with this script; write it unless the newest has it."""
        folder = _migrations()
        own = re.compile(rf"[0-9]+_{name}\.sql")
        written = sorted(path for path in folder.iterdir() if own.fullmatch(path.name))
        if written and without_header(_read(written[-1])) == without_header(script):
            self.stderr.write(
                "Nothing is written: the newest migration does the same.", self.style.NOTICE
            )
            return str(written[-1])
        return write_script(folder / f"{_free_time(folder)}_{name}.sql", script)


def _adopted(option: str | bool) -> dict[str, str] | None:
    """Return the tables in the option with their collections; None without the option."""
    if isinstance(option, str):
        return parse_adopted(option)
    return {} if option else None


def _check_target(output: str | None, migration: str | None) -> None:
    if output is not None and migration is not None:
        raise CommandError("--output and --migration exclude each other")
    if migration is not None and not _NAME.fullmatch(migration):
        raise CommandError(
            f"{migration!r} is no name for a migration: use letters, digits, _ and -"
        )


def _migrations() -> Path:
    project = Path("supabase")
    if not project.is_dir():
        raise CommandError(
            f"There is no folder supabase in {Path.cwd()}: run `supabase init` first, or use "
            "--output"
        )
    folder = project / "migrations"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as exc:
        raise CommandError(f"{folder} cannot be created: {exc.strerror}") from exc
    return folder


def _free_time(folder: Path) -> str:
    """Return the current time as Supabase's CLI writes it, or the next second that is free."""
    moment = datetime.now(UTC)
    while any(folder.glob(f"{moment:%Y%m%d%H%M%S}_*")):
        moment += timedelta(seconds=1)
    return f"{moment:%Y%m%d%H%M%S}"


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise CommandError(f"{path} cannot be read: {exc}") from exc
