"""The steps of a pass of a retention rule."""

from abc import ABC, abstractmethod

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.contract.expiry import Expired
from parlant_store.backends.contract.retention import Place, Sweep
from parlant_store.types import ExpiredDocument, ExpiredSession


class RetentionRules(ABC):
    """The steps of a pass, for one kind of database.

    Each returns the place after which the next step starts, or None at the end of the pass.
    """

    @abstractmethod
    def find(
        self, connection: BaseDatabaseWrapper, sweep: Sweep, after: Place
    ) -> tuple[list[int], Place]:
        """Return the keys of the eligible rows."""

    @abstractmethod
    def related(self, connection: BaseDatabaseWrapper, keys: list[int]) -> list[tuple[int, int]]:
        """Return the related documents of Parlant sessions in ``keys``, each with its session."""

    @abstractmethod
    def retire(
        self, connection: BaseDatabaseWrapper, sweep: Sweep, after: Place
    ) -> tuple[Expired, Place]:
        """Delete the eligible rows."""

    @abstractmethod
    def list_expired(
        self, connection: BaseDatabaseWrapper, sweep: Sweep, after: Place
    ) -> tuple[list[ExpiredSession | ExpiredDocument], Place]:
        """Return the eligible rows."""
