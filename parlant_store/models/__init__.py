"""Models of the tables: documents, sessions, their items, threads of graphs, and requests.

The stores write these tables. Writing through the models skips the rules of the stores for
positions, counters and copied columns.
"""

from parlant_store.models.checkpoints import (
    ChannelValue,
    Checkpoint,
    CheckpointWrite,
    Thread,
    ThreadMessage,
)
from parlant_store.models.documents import Document
from parlant_store.models.requests import Request
from parlant_store.models.sessions import Session, SessionItem

__all__ = [
    "ChannelValue",
    "Checkpoint",
    "CheckpointWrite",
    "Document",
    "Request",
    "Session",
    "SessionItem",
    "Thread",
    "ThreadMessage",
]
