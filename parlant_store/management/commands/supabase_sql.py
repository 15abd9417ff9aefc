"""Prints the SQL that makes a Supabase project ready, or keeps it in a file."""

import os
import re
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from parlant_store.sql.policies import POLICIES
from parlant_store.sql.supabase import supabase_sql, without_header

_NAME = re.compile(r"[A-Za-z0-9_-]+")


class Command(BaseCommand):
    help = (
        "Prints the SQL that a Supabase project needs, rendered from the models: tables, "
        "indexes, functions, grants, row level security and policies. No database is reached. "
        "The SQL may run again, and on tables that migrate made; it changes nothing then."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--schema", default="public", help="The schema of the tables (public).")
        parser.add_argument(
            "--policy",
            choices=POLICIES,
            default="service",
            help="Who reads and writes: the service role alone (service); each signed-in user "
            "what is theirs (owner); everyone with the public key (open).",
        )
        parser.add_argument(
            "--owner-claim",
            metavar="CLAIM",
            help="With --policy owner: the claim of the user's token that names the owner, "
            "in place of auth.uid().",
        )
        parser.add_argument(
            "--realtime", action="store_true", help="Send changes to Supabase Realtime."
        )
        parser.add_argument(
            "--cron",
            metavar="SCHEDULE",
            help="Remove what has expired by a job of pg_cron, as --cron '*/15 * * * *'.",
        )
        parser.add_argument("--output", metavar="FILE", help="Write to FILE and print its path.")
        parser.add_argument(
            "--migration",
            nargs="?",
            const="parlant_store",
            metavar="NAME",
            help="Write to supabase/migrations/<time>_NAME.sql (parlant_store) and print its "
            "path; nothing is written when the newest of this NAME does the same.",
        )

    def handle(
        self, *args: Any, policy: str, output: str | None, migration: str | None, **options: Any
    ) -> str:
        names = ("schema", "owner_claim", "realtime", "cron")
        arguments = {name: options[name] for name in names}
        _check_target(output, migration)
        try:
            # Supabase's CLI runs a migration in a transaction of its own.
            script = supabase_sql(policy=policy, transaction=migration is None, **arguments)
        except ValueError as exc:
            raise CommandError(str(exc)) from exc
        if policy == "open":
            self.stderr.write(
                "With --policy open, anyone who has the project's public key reads and changes "
                "everything in these tables."
            )
        if output is not None:
            return _written(Path(output), script)
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
        return _written(folder / f"{_free_time(folder)}_{name}.sql", script)


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


def _written(path: Path, script: str) -> str:
    """The path, of a file that holds the whole script; until then it is as it was."""
    try:
        _write(path.resolve(), script)
    except OSError as exc:
        raise CommandError(f"{path} cannot be written: {exc.strerror or exc}") from exc
    return str(path)


def _write(path: Path, script: str) -> None:
    if not path.parent.is_dir():
        raise NotADirectoryError(f"there is no folder {path.parent}")
    if path.exists() and not path.is_file():
        raise OSError("it is no file")
    unfinished = path.with_name(f".parlant_store.{secrets.token_hex(8)}")
    try:
        with unfinished.open("x", encoding="utf-8", newline="\n") as file:
            file.write(script)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
