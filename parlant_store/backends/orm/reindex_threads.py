"""Computes the texts of threads that a version without search by words has written."""

from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.channel_values import BaseCache
from parlant_store.backends.contract.checkpoint_operations import CheckpointPlace
from parlant_store.backends.orm.base.checkpoints import Checkpoints
from parlant_store.backends.orm.base.sessions import Time
from parlant_store.backends.orm.database.statements import fetch
from parlant_store.backends.orm.references.deletion import lock_rows, writing
from parlant_store.backends.orm.reindex import Step
from parlant_store.backends.thread_columns import thread_name_of
from parlant_store.content.thread_messages import MESSAGES, read_messages, texts_of
from parlant_store.exceptions import StoreError

MAX_THREADS = 50
"""Limit on the threads whose messages are read at once."""

_NAME = "SELECT namespace, thread_id, full_names FROM parlant_store_thread WHERE key = %s"
_DIGESTS = "SELECT digest FROM parlant_store_thread_message WHERE thread_key = %s"


def reindex_threads(
    checkpoints: Checkpoints, connection: BaseDatabaseWrapper, time: Time, after: int, limit: int
) -> Step:
    """Compute the texts of the threads after the key ``after`` from the messages of each."""
    from parlant_store.models import Thread

    limit = min(limit, MAX_THREADS)
    with writing(connection):
        sql = "SELECT key FROM parlant_store_thread WHERE key > %s ORDER BY key LIMIT %s"
        keys = [key for (key,) in fetch(connection, sql, (after, limit))]
        locked = lock_rows(connection, Thread, keys)
        changed = sum(_reindex(checkpoints, connection, time, key) for key in locked)
    return Step(keys[-1] if len(keys) == limit else None, len(keys), changed)


def _reindex(
    checkpoints: Checkpoints, connection: BaseDatabaseWrapper, time: Time, key: int
) -> bool:
    """Return whether the texts of the thread have changed; those of unreadable messages stay."""
    (names,) = fetch(connection, _NAME, (key,))
    place = CheckpointPlace(thread_name_of(*names), "", None)
    try:
        stored = checkpoints.get_checkpoint(connection, place, time, BaseCache())
    except StoreError:
        return False
    value = None if stored is None else stored.values.get(MESSAGES)
    messages = None if value is None else read_messages(value)
    if messages is None:
        return False
    texts = texts_of(messages, is_whole=True)
    digests = {digest for (digest,) in fetch(connection, _DIGESTS, (key,))}
    if digests == {text.digest for text in texts.texts}:
        return False
    checkpoints.put_messages(connection, key, texts)
    return True
