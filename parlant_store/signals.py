"""Signals about sessions, for receivers in the process that did it.

The sender is the store's alias. Each comes with ``session_id`` and ``namespace`` (text) and
``message_count``, how many items the session has, or had. They are sent on the thread that
made the call, once it has succeeded; within a transaction of the caller's that may still be
rolled back. What a receiver raises is logged, and harms nobody.
"""

import logging

from django.dispatch import Signal

logger = logging.getLogger("parlant_store")

session_saved = Signal()
"""Items were added to a session or replaced, or it was saved as a whole."""

session_loaded = Signal()
"""A session was loaded as a whole, or items of it were read."""

session_expired = Signal()
"""A session was removed because its time had come, or by a rule; sent by ``expire_batches``."""

session_deleted = Signal()
"""A session was deleted."""


def send(signal: Signal, alias: str, namespace: str, session_id: str, message_count: int) -> None:
    """Send ``signal`` to whoever listens."""
    if not signal.receivers:
        return
    for _, outcome in signal.send_robust(
        sender=alias, session_id=session_id, namespace=namespace, message_count=message_count
    ):
        if isinstance(outcome, Exception):
            logger.error("A receiver of a signal failed", exc_info=outcome)
