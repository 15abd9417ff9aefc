"""Readers of what frameworks have stored on their own."""

from parlant_store.transfer.readers.base import Reader
from parlant_store.transfer.readers.kinds import KINDS, options_of

__all__ = ["KINDS", "Reader", "options_of"]
