"""What the commands that print SQL for Supabase have in common."""

import os
import secrets
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

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
