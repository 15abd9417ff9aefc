"""The base class of the commands that print SQL for Supabase."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from parlant_store.management.atomic_file import DEFAULT_MODE, atomic_file
from parlant_store.sql.supabase.access import ANONYMOUS, POLICIES, TABLE_PREFIX


class SQLCommand(BaseCommand):
    """A command that needs no database, and prints SQL or writes it to a file."""

    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--schema", default="public", help="The schema of the tables (public).")
        parser.add_argument(
            "--policy",
            choices=POLICIES,
            default="service",
            help="Who may read and write: only the service role (service); each signed-in user "
            "their own rows (owner); everyone with the public key (open).",
        )
        parser.add_argument(
            "--owner-claim",
            metavar="CLAIM",
            help="With --policy owner: the claim of the user's token that names the owner, "
            "in place of auth.uid(); dots separate the keys of a path, as in app_metadata.org.",
        )
        parser.add_argument(
            "--table-prefix",
            default=TABLE_PREFIX,
            metavar="PREFIX,...",
            help="With --policy owner: the table_prefix of each server. Users read and write their "
            f"documents in PREFIXsessions_sessions and PREFIXsessions_events ({TABLE_PREFIX}).",
        )
        parser.add_argument(
            "--sessions-collection",
            metavar="NAME",
            help="In place of --table-prefix: the collection of Parlant's sessions, as "
            "bot_sessions; the collection of its events has the same prefix, as bot_events.",
        )
        parser.add_argument(
            "--user-collections",
            metavar="NAME,...",
            help="With --policy owner: other collections in which users read and write their own "
            "documents.",
        )
        parser.add_argument(
            "--readable-collections",
            metavar="NAME,...",
            help="With --policy owner: other collections in which users read their own documents.",
        )
        parser.add_argument(
            "--anonymous",
            choices=ANONYMOUS,
            default="allow",
            help="With --policy owner: whether users who signed in anonymously have the rights of "
            "other users (allow) or none (deny).",
        )
        parser.add_argument("--output", metavar="FILE", help="Write to FILE and print its path.")

    def access(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of ``policies_sql`` from the options; warn of "open"."""
        if options["policy"] == "open":
            self.stderr.write(
                "With --policy open, anyone who has the project's public key reads and changes "
                "everything in these tables."
            )
        names = ("table_prefix", "user_collections", "readable_collections")
        prefixes, users, readable = (split_names(options[name]) for name in names)
        return {
            "schema": options["schema"],
            "policy": options["policy"],
            "owner_claim": options["owner_claim"],
            "table_prefixes": prefixes,
            "sessions_collection": options["sessions_collection"],
            "user_collections": users,
            "readable_collections": readable,
            "anonymous": options["anonymous"],
        }


def split_names(text: str | None) -> tuple[str, ...]:
    """Return the names in ``text``, which commas separate."""
    return () if text is None else tuple(name.strip() for name in text.split(","))


def write_script(path: Path, script: str) -> str:
    """Write the script to a file and return its path."""
    with atomic_file(path, DEFAULT_MODE) as file:
        file.write(script)
    return str(path)
