"""Prints the policies of a Supabase project alone, or keeps them in a file."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from parlant_store.management.commands.supabase_sql import _written
from parlant_store.sql.policies import (
    POLICIES,
    SESSIONS_COLLECTION,
    lock_django_sql,
    policies_sql,
)


class Command(BaseCommand):
    help = (
        "Prints the grants, the row level security and the policies that supabase_sql prints "
        "with the tables, for tables that are there. No database is reached. The SQL may run "
        "again, and takes the place of any other policy."
    )
    requires_system_checks: list[str] = []  # noqa: RUF012

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
            "in place of auth.uid(); dots lead into it, as app_metadata.org.",
        )
        parser.add_argument(
            "--sessions-collection",
            default=SESSIONS_COLLECTION,
            metavar="NAME",
            help="With --policy owner: the collection of Parlant's sessions, whose documents "
            f"say whose the events are ({SESSIONS_COLLECTION}).",
        )
        parser.add_argument(
            "--lock-django",
            action="store_true",
            help="Close Django's other tables in the schema to the Data API, as auth_user.",
        )
        parser.add_argument("--output", metavar="FILE", help="Write to FILE and print its path.")

    def handle(
        self, *args: Any, policy: str, lock_django: bool, output: str | None, **options: Any
    ) -> str:
        schema = options["schema"]
        try:
            parts = [
                policies_sql(
                    schema=schema,
                    policy=policy,
                    owner_claim=options["owner_claim"],
                    sessions_collection=options["sessions_collection"],
                )
            ]
        except ValueError as exc:
            raise CommandError(str(exc)) from exc
        if lock_django:
            parts.append(lock_django_sql(schema))
        if policy == "open":
            self.stderr.write(
                "With --policy open, anyone who has the project's public key reads and changes "
                "everything in these tables."
            )
        script = "\n".join(["begin;\n", *parts, "commit;\n"])
        return script if output is None else _written(Path(output), script)
