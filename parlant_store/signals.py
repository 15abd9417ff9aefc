"""Signals about sessions, sent in the process that makes the call.

The sender is the alias of the store. The arguments are ``session_id``, ``namespace`` and
``message_count``, the number of items that the session has or had. A signal is sent on the thread
of the call, after its success; the transaction of the caller may still be rolled back. Errors of
receivers are logged.
"""

import logging

from django.dispatch import Signal

logger = logging.getLogger("parlant_store")

session_saved = Signal()
"""Items were added to a session or replaced, or it was saved as a whole."""

session_loaded = Signal()
"""A session was loaded, or items of it were read."""

session_expired = Signal()
"""A session was deleted after it expired, or by a retention rule (``expire_batches``)."""

session_deleted = Signal()
"""A session was deleted."""


def send(signal: Signal, alias: str, namespace: str, session_id: str, message_count: int) -> None:
    """Send ``signal`` to its receivers."""
    if not signal.receivers:
        return
    for _, outcome in signal.send_robust(
        sender=alias, session_id=session_id, namespace=namespace, message_count=message_count
    ):
        if isinstance(outcome, Exception):
            logger.error("A receiver of a signal failed", exc_info=outcome)
