"""Prints the policies of a Supabase project alone, or keeps them in a file."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from parlant_store.management.scripts import ScriptCommand, written
from parlant_store.sql.supabase.locking import lock_django_sql
from parlant_store.sql.supabase.partitions import partition_policies_sql
from parlant_store.sql.supabase.policies import policies_sql


class Command(ScriptCommand):
    help = (
        "Prints the grants, the row level security and the policies that supabase_sql prints "
        "with the tables, for tables that are there. No database is reached. The SQL may run "
        "again, and takes the place of any other policy."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--lock-django",
            action="store_true",
            help="Close Django's other tables in the schema to the Data API, as auth_user.",
        )

    def handle(self, *args: Any, lock_django: bool, output: str | None, **options: Any) -> str:
        access = self.access(options)
        try:
            parts = [policies_sql(**access), partition_policies_sql(**access)]
        except ValueError as exc:
            raise CommandError(str(exc)) from exc
        if lock_django:
            parts.append(lock_django_sql(access["schema"]))
        script = "\n".join(["begin;\n", *parts, "commit;\n"])
        return script if output is None else written(Path(output), script)
