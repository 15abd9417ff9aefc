"""Copies what a framework has stored on its own to a store."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from parlant_store.management.transfers import TransferCommand, since_of, store_of
from parlant_store.transfer import Selection, SourceError
from parlant_store.transfer.readers import KINDS, Reader, options_of

_OPTIONS = {
    "namespace": "The namespace of sessions that have none, and of threads.",
    "sessions_table": "The SDK's option sessions_table (agent_sessions).",
    "messages_table": "The SDK's option messages_table (agent_messages).",
    "table_prefix": "The prefix of Parlant's collections, and of its tables (parlant_).",
    "table": "The table of selectools-supabase or postgres-session.",
    "schema": "The schema of the tables (public).",
    "user_label": "The place of the user's id in the namespaces of LangGraph's store, from 0.",
    "key_prefix": "The prefix of the keys of openai-redis or selectools-redis.",
}


class Command(TransferCommand):
    help = (
        "Copies what a framework has stored on its own to a store. The source is never written "
        "to. What cannot be read is counted and named. What the store has already is not written "
        "again, so that the command may be stopped at any time and run again, also while others "
        "write. At the end, both sides are compared; the exit code is 1 if they differ."
    )

    without_documents = "choose a store that has them"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("kind", metavar="KIND", choices=KINDS, help=", ".join(KINDS))
        parser.add_argument("source", metavar="SOURCE", help="A file, a folder or a URL.")
        parser.add_argument("target", metavar="TO", help="A store of PARLANT_STORES.")
        for name, text in _OPTIONS.items():
            parser.add_argument(f"--{name.replace('_', '-')}", metavar="NAME", help=text)
        parser.add_argument(
            "--all-files",
            action="store_true",
            default=None,
            help="Also files of Parlant's stores that server_stores() does not persist.",
        )
        super().add_arguments(parser)

    def handle(self, *args: Any, kind: str, source: str, target: str, **options: Any) -> None:
        try:
            reader = _reader(kind, source, options)
            reader.select(since=since_of(options), user_id=options["user"])
        except SourceError as exc:
            raise CommandError(str(exc)) from exc
        self.copy(reader, store_of(target), Selection(), options)


def _reader(kind: str, source: str, options: dict[str, Any]) -> Reader:
    given = {name: options[name] for name in (*_OPTIONS, "all_files") if options[name] is not None}
    allowed = options_of(kind)
    for name in given:
        if name not in allowed:
            raise CommandError(
                f"{kind} has no --{name.replace('_', '-')}; it has "
                + (", ".join(f"--{each.replace('_', '-')}" for each in allowed) or "no options")
            )
    return KINDS[kind](source, **given)
