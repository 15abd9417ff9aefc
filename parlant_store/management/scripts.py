"""What the commands that print SQL for Supabase have in common."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from parlant_store.management.files import USUAL, whole_file
from parlant_store.sql.supabase.access import POLICIES, SESSIONS_COLLECTION


class ScriptCommand(BaseCommand):
    """A command that needs no database, and prints SQL or keeps it in a file."""

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
            "in place of auth.uid(); dots lead into it, as app_metadata.org.",
        )
        parser.add_argument(
            "--sessions-collection",
            default=SESSIONS_COLLECTION,
            metavar="NAME",
            help="With --policy owner: the collection of Parlant's sessions, whose documents "
            f"say whose the events are ({SESSIONS_COLLECTION}).",
        )
        parser.add_argument("--output", metavar="FILE", help="Write to FILE and print its path.")

    def access(self, options: dict[str, Any]) -> dict[str, Any]:
        """Whom the options let in, as ``policies_sql`` takes it; "open" is warned of."""
        if options["policy"] == "open":
            self.stderr.write(
                "With --policy open, anyone who has the project's public key reads and changes "
                "everything in these tables."
            )
        return {
            name: options[name]
            for name in ("schema", "policy", "owner_claim", "sessions_collection")
        }


def written(path: Path, script: str) -> str:
    """The path, of a file that holds the script."""
    with whole_file(path, USUAL) as file:
        file.write(script)
    return str(path)
