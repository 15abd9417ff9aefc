"""Prints the policies of a Supabase project, or writes them to a file."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from parlant_store.management.sql_command import SQLCommand, write_script
from parlant_store.sql.supabase.django_tables import lock_django_sql
from parlant_store.sql.supabase.partitions import partition_policies_sql
from parlant_store.sql.supabase.policies import policies_sql


class Command(SQLCommand):
    help = (
        "Prints the part of supabase_sql for tables that exist: grants, row level security and "
        "policies. It does not connect to a database. The SQL may run again, and replaces every "
        "other policy."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--lock-django",
            action="store_true",
            help="Close Django's other tables in the schema, such as auth_user, to the Data API.",
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
        return script if output is None else write_script(Path(output), script)
