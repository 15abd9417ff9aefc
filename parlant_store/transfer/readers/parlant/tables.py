"""The tables of Parlant's own adapter for Supabase."""

from collections.abc import Iterator

from parlant_store.sql.supabase.parlant_tables import documented_tables
from parlant_store.transfer.readers.parlant.users import ParlantReader
from parlant_store.transfer.readers.tables import MissingTable, tables_of
from parlant_store.types import PROMOTED, DocumentRecord


class ParlantSeed(ParlantReader):
    """The tables of the guide of that adapter, in a Supabase project or a database.

    The table ``parlant_sessions_`` becomes the collection ``parlant_sessions_sessions``.
    """

    def __init__(
        self, source: str, *, table_prefix: str = "parlant_", schema: str = "public"
    ) -> None:
        super().__init__()
        self._tables = tables_of(source, schema)
        self._names = {
            table_prefix + collection.removeprefix("parlant_"): table_prefix
            + table.removeprefix("parlant_")
            for table, collection in documented_tables().items()
        }

    def list_collections(self) -> list[str]:
        return [name for name in self._names if self._exists(self._names[name])]

    def read_documents(self, collection: str) -> Iterator[DocumentRecord]:
        table = self._names[collection]
        for row in self._tables.rows(table, order="id"):
            data = row.get("data")
            if not isinstance(data, dict):
                self.note(f"row {row.get('id')!r} of {table}", "its data is no JSON object")
                continue
            columns = {name: row[name] for name in PROMOTED if row.get(name) is not None}
            yield DocumentRecord(document={**columns, **data})

    def _exists(self, table: str) -> bool:
        rows = self._tables.rows(table, order="id")
        try:
            next(rows, None)
        except MissingTable:
            return False
        finally:
            rows.close()  # type: ignore[attr-defined]  # a generator
        return True
