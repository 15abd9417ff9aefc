"""Reads that prolong their sessions."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.contract.refresh import Refresh
from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.orm.base.sessions import KeyColumn, Time


class Refreshes(ABC):
    """Prolongs the sessions of reads, for one kind of database."""

    @abstractmethod
    def key_column(
        self,
        connection: BaseDatabaseWrapper,
        names: Sequence[SessionName],
        time: Time,
        refresh: Refresh,
    ) -> KeyColumn:
        """Return the key for a statement that reads these sessions.

        They are prolonged before the statement or by it. A session that is locked, or that cannot
        be written on this connection, is read nevertheless, and stays as it is.
        """
