"""The app's migrations with one that changes the tables in every way that a later version may."""

from parlant_store.migrations import __path__ as _today

__path__ = [*_today, *__path__]
