"""Prints the SQL that makes a Supabase project ready, or keeps it in a file."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from parlant_store.management.scripts import ScriptCommand, written
from parlant_store.sql.supabase.script import supabase_sql, without_header

_NAME = re.compile(r"[A-Za-z0-9_-]+")


class Command(ScriptCommand):
    help = (
        "Prints the SQL that a Supabase project needs, rendered from the models: tables, "
        "indexes, functions, grants, row level security and policies. No database is reached. "
        "The SQL may run again, and on tables that migrate made; it changes nothing then."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--collections",
            metavar="NAME,...",
            help="Make each of these collections of documents a table of its name, a partition "
            "of the one that keeps them all, as parlant_sessions_events.",
        )
        parser.add_argument(
            "--adopt",
            action="store_true",
            help="With --collections: a table of such a name that is there already keeps its "
            "rows and becomes the partition.",
        )
        parser.add_argument(
            "--realtime", action="store_true", help="Send changes to Supabase Realtime."
        )
        parser.add_argument(
            "--cron",
            metavar="SCHEDULE",
            help="Remove what has expired by a job of pg_cron, as --cron '*/15 * * * *'.",
        )
        parser.add_argument(
            "--migration",
            nargs="?",
            const="parlant_store",
            metavar="NAME",
            help="Write to supabase/migrations/<time>_NAME.sql (parlant_store) and print its "
            "path; nothing is written when the newest of this NAME does the same.",
        )

    def handle(self, *args: Any, output: str | None, migration: str | None, **options: Any) -> str:
        _check_target(output, migration)
        try:
            script = supabase_sql(
                **self.access(options),
                collections=_names(options["collections"]),
                adopt=options["adopt"],
                realtime=options["realtime"],
                cron=options["cron"],
                # Supabase's CLI runs a migration in a transaction of its own.
                transaction=migration is None,
            )
        except ValueError as exc:
            raise CommandError(str(exc)) from exc
        if output is not None:
            return written(Path(output), script)
        return script if migration is None else self._migration(migration, script)

    def _migration(self, name: str, script: str) -> str:
        """The path of the migration that does what ``script`` does; it is written if need be."""
        folder = _migrations()
        own = re.compile(rf"[0-9]+_{name}\.sql")
        found = sorted(path for path in folder.iterdir() if own.fullmatch(path.name))
        if found and without_header(_read(found[-1])) == without_header(script):
            self.stderr.write(
                "Nothing is written: the newest migration does the same.", self.style.NOTICE
            )
            return str(found[-1])
        return written(folder / f"{_free_time(folder)}_{name}.sql", script)


def _names(text: str | None) -> list[str]:
    return [] if text is None else [name.strip() for name in text.split(",")]


def _check_target(output: str | None, migration: str | None) -> None:
    if output is not None and migration is not None:
        raise CommandError("--output and --migration exclude each other")
    if migration is not None and not _NAME.fullmatch(migration):
        raise CommandError(
            f"{migration!r} is no name for a migration: it takes letters, digits, _ and -"
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
        raise CommandError(f"{folder} cannot be made: {exc.strerror}") from exc
    return folder


def _free_time(folder: Path) -> str:
    """Now, as Supabase's CLI names migrations; later when one has this time already."""
    moment = datetime.now(UTC)
    while any(folder.glob(f"{moment:%Y%m%d%H%M%S}_*")):
        moment += timedelta(seconds=1)
    return f"{moment:%Y%m%d%H%M%S}"


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise CommandError(f"{path} cannot be read: {exc}") from exc
