"""The documents of one user among those of Parlant."""

from collections.abc import Iterator

from parlant_store.content.related_documents import prefix_of, session_prefixes, sessions_prefix
from parlant_store.personal_documents import is_own_document
from parlant_store.transfer.readers.base import Reader, batches
from parlant_store.transfer.selection import Selection
from parlant_store.types import DocumentRecord


class ParlantReader(Reader):
    """A source of Parlant's documents."""

    knows_times = False
    knows_users = True

    def documents(self, collection: str, selection: Selection) -> Iterator[list[DocumentRecord]]:
        records = self.first_documents(collection)
        if self.user_id is None:
            return batches(records)
        user_id, session_ids = self.user_id, self._session_ids(collection)
        return batches(
            record
            for record in records
            if is_own_document(collection, record.document, user_id, session_ids)
        )

    def _session_ids(self, collection: str) -> set[str]:
        """Return the ids of the user's sessions to which documents of the collection belong."""
        names = self.list_collections()
        prefix = prefix_of(collection, session_prefixes(names))
        return {
            id_
            for name in names
            if prefix is not None and sessions_prefix(name) == prefix
            for record in self.read_documents(name)
            if record.document.get("customer_id") == self.user_id
            and isinstance(id_ := record.document.get("id"), str)
        }
