"""What a user calls and requests about the threads of another."""

from typing import Any

from tests.sql.supabase.attacks.attackers import A_THREAD, B_KEY, A, B
from tests.sql.supabase.attacks.expectations import DENIED, ENDS, NOW, Arguments

THREAD: Arguments = {"p_namespace": "", "p_thread_id": "b-thread"}
OLD, NOBODYS = {"p_thread_id": "b-old-thread"}, {"p_thread_id": "no-thread"}
THREADS = (THREAD, THREAD | OLD, THREAD | NOBODYS)
NEW, OWN = {"p_thread_id": "new"}, {"p_thread_id": "a-thread"}
OWNED: Arguments = THREAD | NOW | ENDS | {"p_names": None, "p_user_id": A}
BYTES = {"p_channels": ["c"], "p_types": ["msgpack"], "p_sizes": [1], "p_values": "\\x01"}
PUT: Arguments = (
    OWNED
    | BYTES
    | {"p_checkpoint_ns": "", "p_full_ns": None, "p_checkpoint_id": "3", "p_parent_id": "2"}
    | {"p_run_id": None, "p_type": "msgpack", "p_value": "\\x80", "p_value_versions": ["1"]}
    | {"p_versions": '{"c": "1"}', "p_metadata": "{}"}
    | {"p_digests": [1], "p_numbers": [1], "p_texts": ["forged"], "p_terms": ["forged:1"]}
    | {"p_is_whole": True, "p_title": "forged"}
)
WRITES: Arguments = (
    OWNED
    | BYTES
    | {"p_checkpoint_ns": "", "p_checkpoint_id": "2"}
    | {"p_task_ids": ["t"], "p_task_paths": [""], "p_indexes": [0]}
)
PLACE: Arguments = THREAD | NOW | {"p_checkpoint_ns": "", "p_checkpoint_id": None}
LIST: Arguments = (
    PLACE
    | {"p_checkpoint_ns": None, "p_filter": None, "p_before": None, "p_limit": 9}
    | {"p_after_id": None, "p_after_key": None}
)
DELETE: Arguments = THREAD | NOW | {"p_until": None}
COPY: Arguments = (
    NOW
    | ENDS
    | {"p_namespace": "", "p_source": "b-thread", "p_target": "copy", "p_names": None}
    | {"p_replace": True}
)
PRUNE: Arguments = NOW | {
    "p_namespaces": [""] * 3,
    "p_thread_ids": [each["p_thread_id"] for each in THREADS],
    "p_keep": 1,
}
LISTED: Arguments = (
    NOW
    | {"p_namespace": None, "p_user_id": B, "p_is_expired": False, "p_limit": 9}
    | {"p_after_namespace": None, "p_after_thread_id": None}
)
SEARCH: Arguments = NOW | {"p_namespace": None, "p_limit": 9, "p_texts": 5}
NO_ROWS: Arguments = {"checkpoints": [], "values": [], "writes": []}
NO_HISTORY: Arguments = {"values": [], "writes": []}
LONG_NAME = {"p_names": '{"thread_id": "b-thread"}'}

CALLS: dict[str, list[tuple[Arguments, Any]]] = {
    # Each function with what it answers to A, who owns nothing that is named.
    "put_checkpoint": [
        *((PUT | thread, DENIED) for thread in THREADS),
        (PUT | {"p_user_id": B}, DENIED),
        (PUT | {"p_user_id": None}, DENIED),
        (PUT | NEW | {"p_user_id": B}, DENIED),
        (PUT | NEW | LONG_NAME, DENIED),
        (PUT | NEW | {"p_full_ns": "b"}, DENIED),
        (PUT | OWN | {"p_parent_id": "3"}, DENIED),
        (PUT | OWN | {"p_versions": '{"c": 1}'}, DENIED),
    ],
    "put_writes": [
        *((WRITES | thread, DENIED) for thread in THREADS),
        (WRITES | NEW | {"p_user_id": B}, DENIED),
        (WRITES | NEW | LONG_NAME, DENIED),
    ],
    "get_checkpoint": [
        (PLACE | thread | {"p_checkpoint_id": id_}, NO_ROWS)
        for thread in THREADS
        for id_ in (None, "1", "2")
    ],
    "list_checkpoints": [
        *((LIST | thread, NO_ROWS) for thread in THREADS),
        (LIST | OLD | {"p_now": "-infinity"}, NO_ROWS),
        (LIST | {"p_thread_id": None, "p_filter": '{"note": {}}'}, NO_ROWS),
        (LIST | {"p_thread_id": None, "p_before": "1"}, NO_ROWS),
        (LIST | {"p_thread_id": None, "p_after_id": "1", "p_after_key": 5}, NO_ROWS),
    ],
    "get_channel_history": [
        (PLACE | thread | {"p_channels": ["c"]}, NO_HISTORY) for thread in THREADS
    ],
    "list_threads": [
        (LISTED, []),
        (LISTED | {"p_is_expired": True}, []),
        (LISTED | {"p_user_id": None, "p_is_expired": True, "p_now": "infinity"}, []),
        (LISTED | {"p_user_id": None, "p_after_namespace": "", "p_after_thread_id": "b"}, []),
    ],
    "search_threads": [
        (SEARCH | {"p_query": query}, [])
        for query in ("'secret'", "'s':*", "'b'", "!'plainsecret'")
    ],
    "delete_thread": [(DELETE | thread, False) for thread in THREADS],
    "hide_thread": [(DELETE | thread, False) for thread in THREADS],
    "copy_thread": [
        *((COPY | {"p_source": each["p_thread_id"]}, False) for each in THREADS),
        *(
            (COPY | {"p_source": "a-thread", "p_target": each["p_thread_id"]}, DENIED)
            for each in THREADS
        ),
        (COPY | {"p_source": "a-thread", "p_target": "b-thread", "p_replace": False}, None),
        (COPY | {"p_source": "a-thread"} | LONG_NAME, DENIED),
    ],
    "prune_threads": [
        (PRUNE | {"p_is_dry_run": is_dry_run}, [0, 0, 0]) for is_dry_run in (True, False)
    ],
    # The run of two checkpoints of A's too.
    "delete_runs": [
        ({"p_namespace": "", "p_run_ids": ["b-run"]}, 2),
        ({"p_namespace": "", "p_run_ids": ["b-run"]}, 0),
    ],
    "expire_threads": [
        ({"p_now": now, "p_limit": 9}, {"v_threads": 0, "v_has_threads": False})
        for now in ("2030-01-01", "infinity")
    ],
}
READS = {
    "get_checkpoint",
    "list_checkpoints",
    "get_channel_history",
    "list_threads",
    "search_threads",
}
REPEATABLE = {*CALLS} - READS
"""What parlant_store_once calls."""

INTERNAL = (
    "ancestors",
    "base64",
    "checkpoint_key",
    "checkpoint_rows",
    "delete_checkpoints",
    "delete_threads",
    "describe_thread",
    "has_value",
    "limit_checkpoints",
    "open_thread",
    "parts",
    "prune_thread",
    "put_messages",
    "search_rows",
    "seeds",
    "thread_key",
    "values_of_checkpoints",
    "values_with_bases",
)
"""For the functions beside them alone: their parameters have no names."""

TABLE = "parlant_store_thread"
CHECKPOINT, VALUE = "parlant_store_checkpoint", "parlant_store_channel_value"
WRITE = "parlant_store_checkpoint_write"
MESSAGE = "parlant_store_thread_message"
ROWS: dict[str, dict[str, Any]] = {
    # Of B's thread, by the columns of their place.
    CHECKPOINT: {"checkpoint_ns": "", "checkpoint_id": "2", "versions": {}, "metadata": {}},
    VALUE: {"checkpoint_ns": "", "channel": "c", "version": "1"},
    WRITE: {"checkpoint_ns": "", "checkpoint_id": "2", "task_id": "t", "idx": 0}
    | {"channel": "c", "task_path": ""},
}
for _row in ROWS.values():
    _row |= {"thread_key": B_KEY, "type": "msgpack", "value": "\\x01"}
ROWS[MESSAGE] = {"thread_key": B_KEY, "digest": 1, "number": 1, "text": "forged", "terms": None}
BY_PLACE = {
    CHECKPOINT: "on_conflict=thread_key,checkpoint_ns,checkpoint_id",
    VALUE: "on_conflict=thread_key,checkpoint_ns,channel,version",
    WRITE: "on_conflict=thread_key,checkpoint_ns,checkpoint_id,task_id,idx",
    MESSAGE: "on_conflict=thread_key,digest",
}
FILTERS = [
    f"{TABLE}?user_id=eq.{B}",
    f"{TABLE}?user_id=is.null",
    f"{TABLE}?thread_id=like.*-thread&user_id=not.eq.{A}",
    f"{CHECKPOINT}?thread_key=eq.{B_KEY}",
    f"{CHECKPOINT}?metadata->>note=neq.plain",
    f"{VALUE}?thread_key=neq.{A_THREAD}&select=thread_key,type",
    f"{WRITE}?task_id=neq.plaintask",
    f"{WRITE}?key=lt.3",
    f"{MESSAGE}?terms=fts(simple).secret",
    f"{MESSAGE}?thread_key=neq.{A_THREAD}&select=text",
]
"""What finds rows of B's, and nothing of A's."""

EVERYTHING: dict[str, set[Any]] = {
    f"{TABLE}?select=thread_id": {"a-thread"},
    **{f"{table}?select=thread_key": {A_THREAD} for table in ROWS},
}
"""What finds everything that there is: for A what is A's own."""
