"""Which sessions, threads and documents are copied."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Filters, of which all must match; None matches any."""

    namespace: str | None = None
    """The namespace of the sessions and threads; without a collection, no documents are copied."""

    collection: str | None = None
    """The collection of the documents; without a namespace, no others are copied."""

    user_id: str | None = None
    """The owner of the sessions and threads, and of the documents, as in
    parlant_store.personal_data."""

    since: datetime | None = None
    """The earliest time of the last write, in UTC."""

    sessions_only: bool = False

    @property
    def has_sessions(self) -> bool:
        """Whether sessions are copied."""
        return self.collection is None or self.namespace is not None

    @property
    def has_threads(self) -> bool:
        """Whether threads are copied."""
        return not self.sessions_only and self.has_sessions

    @property
    def has_documents(self) -> bool:
        """Whether documents are copied."""
        return not self.sessions_only and (self.namespace is None or self.collection is not None)
