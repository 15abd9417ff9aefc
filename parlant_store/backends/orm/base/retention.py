"""What the contract asks of expiry by rules, on a connection of one kind of database."""

from abc import ABC, abstractmethod

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.contract.expiry import Expired
from parlant_store.backends.contract.retention import Place, Sweep
from parlant_store.types import ExpiredDocument, ExpiredSession


class RetentionRules(ABC):
    """One step of a pass; each returns where the next begins, None: the pass is over."""

    @abstractmethod
    def find(
        self, connection: BaseDatabaseWrapper, sweep: Sweep, after: Place
    ) -> tuple[list[int], Place]:
        """Return the keys of what the step finds."""

    @abstractmethod
    def related(self, connection: BaseDatabaseWrapper, keys: list[int]) -> list[tuple[int, int]]:
        """Return the documents of the Parlant sessions among ``keys``: session and document."""

    @abstractmethod
    def retire(
        self, connection: BaseDatabaseWrapper, sweep: Sweep, after: Place
    ) -> tuple[Expired, Place]:
        """Remove what the step finds."""

    @abstractmethod
    def list_expired(
        self, connection: BaseDatabaseWrapper, sweep: Sweep, after: Place
    ) -> tuple[list[ExpiredSession | ExpiredDocument], Place]:
        """Return what the step finds."""
