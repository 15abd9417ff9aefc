"""What a user asks of the app's functions about the sessions and documents of another."""

from typing import Any

from tests.sql.supabase.attacks import thread_attacks
from tests.sql.supabase.attacks.attackers import (
    A_KEY,
    AGENTS,
    B_KEY,
    B_REQUEST,
    EVENTS,
    SESSIONS,
    A,
    B,
)
from tests.sql.supabase.attacks.expectations import (
    DENIED,
    ENDS,
    NOT_THERE,
    NOW,
    TOLD,
    Arguments,
    Refused,
)

REFRESH = {"p_expires_at": "2040-01-01T00:00:00Z", "p_due": "2039-01-01T00:00:00Z"}
AT: Arguments = {"p_namespace": "", "p_session_id": "b-session"} | NOW
GONE = AT | {"p_session_id": "b-expired"}
LEFT = AT | {"p_session_id": "nobodys"}
ITEMS: Arguments = {
    "p_data": ["{}"],
    "p_roles": [None],
    "p_texts": [None],
    "p_terms": [None],
    "p_tokens": [1],
    "p_failed": [1],
    "p_total": 1,
}
ADD: Arguments = AT | ENDS | ITEMS | {"p_names": None, "p_user_id": A, "p_replace": False}
ALL: Arguments = {
    "p_namespaces": ["", ""],
    "p_session_ids": ["a-session", "b-session"],
    "p_names": [None, None],
    "p_user_ids": [A, A],
    "p_data": ["{1}"] * 2,
    "p_roles": ["{x}"] * 2,
    "p_texts": ["{x}"] * 2,
    "p_terms": ["{x}"] * 2,
    "p_tokens": ["{1}"] * 2,
    "p_failed": ["{1}"] * 2,
    "p_totals": [1, 1],
    **NOW,
    **ENDS,
}
SAVE: Arguments = (
    AT
    | ENDS
    | ITEMS
    | {"p_names": None, "p_user_id": A, "p_state": "{}", "p_key": None, "p_next": None}
    | {"p_count": None, "p_drop": None, "p_keep": None}
)
SINCE = {"p_key": B_KEY, "p_next": 3, "p_count": 2, "p_drop": 1, "p_keep": 1}
BRANCH: Arguments = {"p_namespace": "", "p_source": "b-session", "p_target": "copy"}
BRANCH |= {"p_names": None, "p_parent": None, "p_turn": None, "p_position": None} | NOW | ENDS
BRANCH |= {"p_replace": True, "p_usage": True}
TAIL: Arguments = (
    AT
    | ENDS
    | ITEMS
    | {"p_names": None, "p_user_id": A, "p_turn": None, "p_position": 0}
    | {"p_key": None, "p_next": None, "p_count": None}
)
NOTHING_OF_TAIL = {"deleted": None, "items": None, "is_missing": False}
USAGE: Arguments = {"p_usage": '{"total_tokens": 5}', "p_turn": None, "p_replace": False}
TURNS: Arguments = {"p_after": None, "p_limit": 9}
METADATA: Arguments = AT | ENDS | {"p_names": None, "p_metadata": "{}", "p_merge": True}
EVERYTHING: Arguments = {"all": []}
OF_B: Arguments = {"field": "customer_id", "column": True, "in": [B]}
NOTES: Arguments = {"p_collection": "b-notes", "p_filter": EVERYTHING} | NOW
EVENT: Arguments = NOTES | {
    "p_collection": EVENTS,
    "p_filter": {"field": "session_id", "column": True, "in": ["b-talk"]},
}
FIND: Arguments = {"p_limit": 9, "p_created": None, "p_id": None, "p_direction": "asc"}
FIND |= {"p_count_to": 9}
UPDATE: Arguments = NOTES | {"p_document": "{}", "p_columns": {}, "p_turn": "t"}
UPDATE |= {"p_upsert": False}
OWN = {"id": "b-note", "customer_id": A}
INSERT: Arguments = {
    "p_collection": "b-notes",
    "p_document": f'{{"id": "b-note", "customer_id": "{A}"}}',
    "p_columns": OWN,
} | NOW
OLD: Arguments = INSERT | {
    "p_document": f'{{"id": "b-old", "customer_id": "{A}"}}',
    "p_columns": {"id": "b-old", "customer_id": A},
}
PLANT: Arguments = INSERT | {
    "p_collection": EVENTS,
    "p_document": '{"id": "n", "session_id": "b-talk"}',
    "p_columns": {"id": "n", "session_id": "b-talk"},
}
FAILED_EVENT = {"id": "n", "session_id": "b-talk", "terms": "'x'", "failed_calls": 9}
NUMBER: Arguments = {"p_number": "offset", "p_group": EVERYTHING, "p_taken": EVERYTHING}
NUMBER |= {"p_turn": "t"}
LIST: Arguments = {
    "p_namespace": None,
    "p_user_id": B,
    "p_prefix": "",
    "p_since": None,
    "p_filter": None,
    **NOW,
}
AFTER: Arguments = {"p_limit": 9, "p_after_namespace": None, "p_after_session_id": None}
AFTER |= {"p_by_activity": False, "p_before": None}
REPLACE: Arguments = NOW | {
    "p_documents": [
        {"key": B_KEY, "collection": "notes", "data": "{}", "customer_id": A, "old": old}
        for old in ("", None, "{}")
    ]
}
ONCE: Arguments = {"p_request": B_REQUEST, "p_function": "pop_item"}
ONCE |= {"p_arguments": AT | ENDS}
INDEX: Arguments = {
    "p_name": "parlant_store_doc_x_0123456789abcdef",
    "p_collection": "b-notes",
    "p_fields": [["text", "asc"]],
    "p_unique": False,
}
MEMORIES: Arguments = {"p_collection": "b-notes"} | NOW
GET_MEMORIES: Arguments = MEMORIES | {"p_ids": ["b-note", "b-old"], "p_refresh": True}
RANGE: Arguments = {"p_first": "", "p_end": None, "p_start": None, "p_limit": 9, "p_offset": 0}
SEARCH: Arguments = MEMORIES | RANGE | {"p_filter": EVERYTHING, "p_query": None, "p_refresh": True}
NAMESPACES: Arguments = MEMORIES | RANGE | {"p_conditions": [], "p_depth": None}
REMOVE: Arguments = MEMORIES | {
    "p_documents": [],
    "p_ids": [],
    "p_customer_ids": [],
    "p_terms": [],
    "p_expires": [],
    "p_deleted": ["b-note", "b-old"],
    "p_created": "",
}
WRITE: Arguments = REMOVE | {
    "p_documents": [f'{{"id": "b-note", "customer_id": "{A}"}}'],
    "p_ids": ["b-note"],
    "p_customer_ids": [A],
    "p_terms": [None],
    "p_expires": [None],
    "p_deleted": [],
}
NONE_OF_IT: Arguments = {"documents": [], "total": 0}

CALLS: dict[str, list[tuple[Arguments, Any]]] = {
    **thread_attacks.CALLS,
    # Each function with what it answers to A, who owns nothing that is named.
    "add_items": [
        (ADD, DENIED),
        (ADD | {"p_replace": True}, DENIED),
        (ADD | {"p_user_id": B}, DENIED),
        (ADD | {"p_user_id": None}, DENIED),
        (ADD | GONE, DENIED),
        (ADD | LEFT, DENIED),
        (ADD | {"p_session_id": "new", "p_user_id": B}, DENIED),
        (ADD | {"p_session_id": "new", "p_names": '{"session_id": "b-session"}'}, DENIED),
        (ADD | {"p_session_id": "a-session", "p_user_id": B}, DENIED),
    ],
    "add_all": [(ALL, NOT_THERE)],
    "delete_expired": [
        (AT | {"p_tries": 1}, None),
        (GONE | {"p_tries": 1}, None),
        (GONE | {"p_tries": -1, "p_now": "infinity"}, None),
    ],
    "branch": [
        *(
            (BRANCH | place, {"items": None, "is_missing": False, "is_taken": False})
            for place in (
                {},
                {"p_source": "b-expired"},
                {"p_source": "nobodys"},
                {"p_target": "b-session"},
                {"p_turn": 0},
                {"p_position": 1},
            )
        ),
        (BRANCH | {"p_source": "a-session", "p_target": "b-session"}, Refused("23505")),
        (BRANCH | {"p_source": "a-session", "p_target": "b-expired"}, Refused("23505")),
        (BRANCH | {"p_source": "a-session", "p_names": '{"user_id": "b"}'}, DENIED),
    ],
    "clear": [(AT | ENDS, False), (GONE | ENDS, False), (LEFT | ENDS, False)],
    "delete_session": [
        (where | {"p_items": items}, {"v_items": None, "v_is_hidden": False})
        for where in (AT, GONE, LEFT)
        for items in (None, 0)
    ],
    "delete_hidden": [({"p_limit": limit}, False) for limit in (1, 1_000)],
    "get_items": [(where | {"p_limit": None}, []) for where in (AT, GONE, LEFT)],
    "get_items_and_refresh": [
        (where | {"p_limit": None} | REFRESH, []) for where in (AT, GONE, LEFT)
    ],
    "load_and_refresh": [(where | REFRESH, None) for where in (AT, GONE, LEFT)],
    "get_session": [(where, None) for where in (AT, GONE, LEFT)],
    "load": [(where, None) for where in (AT, GONE, LEFT)],
    "pop_item": [(where | ENDS, None) for where in (AT, GONE, LEFT)],
    "save": [
        (SAVE, DENIED),
        (SAVE | GONE, DENIED),
        (SAVE | SINCE, {"v_key": None, "v_next": None, "v_items": None}),
        (
            SAVE | SINCE | {"p_session_id": "a-session"},
            {"v_key": None, "v_next": None, "v_items": None},
        ),
    ],
    "add_usage": [
        (where | USAGE | {"p_turn": turn}, {"is_found": False, "is_missing": False})
        for where in (AT, GONE, LEFT)
        for turn in (None, 0, 1)
    ],
    "replace_tail": [
        (TAIL | where | since, NOTHING_OF_TAIL)
        for where in ({}, GONE, LEFT)
        for since in ({}, {"p_turn": 1}, {"p_key": B_KEY, "p_next": 3, "p_count": 2})
    ],
    "keep_latest": [
        (where | limits, 0)
        for where in (AT, GONE, LEFT)
        for limits in ({"p_items": 0, "p_turns": None}, {"p_items": None, "p_turns": 0})
    ],
    "list_turns": [
        (where | TURNS | {"p_newest": newest, "p_items": items}, [])
        for where in (AT, GONE, LEFT)
        for newest in (False, True)
        for items in (False, True)
    ],
    "list_turns_and_refresh": [
        (where | TURNS | {"p_newest": False, "p_items": True} | REFRESH, [])
        for where in (AT, GONE, LEFT)
    ],
    "list_branches": [(where, []) for where in (AT, GONE, LEFT)],
    "get_usage": [(where, None) for where in (AT, GONE, LEFT)],
    "get_usage_of_turns": [(where, []) for where in (AT, GONE, LEFT)],
    "set_expiry": [(where | ENDS, False) for where in (AT, GONE, LEFT)],
    "set_metadata": [
        (METADATA, DENIED),
        (METADATA | {"p_merge": False}, DENIED),
        (METADATA | GONE, DENIED),
        (METADATA | LEFT, DENIED),
        (METADATA | {"p_session_id": "new", "p_names": '{"namespace": "b"}'}, DENIED),
    ],
    "search": [
        (
            {"p_query": query, "p_namespace": space, "p_limit": 9, "p_texts": 9, "p_tools": tools}
            | NOW,
            [],
        )
        for tools in (False, True)
        for query in ("'hush'", "!'plain' | 'hush':*", "'item' <-> 'hush'")
        for space in (None, "", "b-space")
    ],
    "list_sessions": [
        (LIST | AFTER, []),
        (LIST | AFTER | {"p_by_activity": True}, []),
        (LIST | AFTER | {"p_by_activity": True, "p_user_id": None, "p_prefix": "b-"}, []),
        (LIST | AFTER | {"p_user_id": None, "p_prefix": "b-"}, []),
        (LIST | AFTER | {"p_user_id": None, "p_namespace": "b-space"}, []),
        (LIST | AFTER | {"p_user_id": None, "p_filter": OF_B | {"field": "user_id"}}, []),
        (
            LIST
            | AFTER
            | {"p_user_id": None, "p_after_namespace": "", "p_after_session_id": "a-session"},
            [],
        ),
    ],
    "list_summaries": [
        (LIST | {"p_limit": 9, "p_after": 0}, []),
        (LIST | {"p_user_id": None, "p_limit": 9, "p_after": A_KEY}, []),
    ],
    "insert_one": [
        (INSERT, False),
        (INSERT | {"p_now": "9000-01-01"}, False),
        (OLD, DENIED),
        (OLD | {"p_now": "1000-01-01"}, False),
        (OLD | {"p_now": "infinity"}, DENIED),
        (INSERT | {"p_columns": OWN | {"id": "b-old"}}, DENIED),
        (INSERT | {"p_columns": {"id": "n", "customer_id": B}}, DENIED),
        (INSERT | {"p_collection": AGENTS}, DENIED),
        (INSERT | {"p_collection": SESSIONS, "p_columns": OWN | {"id": "b-talk"}}, DENIED),
        (PLANT, DENIED),
        (PLANT | {"p_columns": FAILED_EVENT}, DENIED),
        (PLANT | {"p_columns": {"id": "n", "session_id": "a-talk"}}, DENIED),
    ],
    "insert_numbered": [(INSERT | NUMBER, None), (OLD | NUMBER, DENIED), (PLANT | NUMBER, DENIED)],
    "find": [
        (NOTES | FIND, NONE_OF_IT),
        (EVENT | FIND, NONE_OF_IT),
        (NOTES | FIND | {"p_collection": "notes", "p_filter": OF_B}, NONE_OF_IT),
        (NOTES | FIND | {"p_collection": AGENTS}, NONE_OF_IT),
        (NOTES | FIND | {"p_now": "-infinity", "p_created": "", "p_id": ""}, NONE_OF_IT),
    ],
    "find_one": [
        (where | {"p_sort": sort}, None)
        for where in (NOTES, EVENT)
        for sort in ([], [["text", "desc"]])
    ],
    "owner": [({}, A)],
    "wait_turn": [({"p_turn": "t"}, None), ({"p_turn": None}, None)],
    "update_one": [
        (UPDATE, None),
        (UPDATE | EVENT, None),
        (UPDATE | INSERT | {"p_upsert": True}, {"matched": False, "document": None}),
        (UPDATE | OLD | {"p_upsert": True}, DENIED),
        (UPDATE | PLANT | {"p_filter": OF_B, "p_upsert": True}, DENIED),
        (
            UPDATE
            | {"p_collection": "notes", "p_columns": {"customer_id": B}}
            | {"p_document": f'{{"customer_id": "{B}"}}'},
            DENIED,
        ),
        (
            UPDATE
            | {"p_collection": EVENTS, "p_columns": {"session_id": "b-talk"}}
            | {"p_document": '{"session_id": "b-talk"}'},
            DENIED,
        ),
    ],
    "delete_one": [(NOTES, None), (EVENT, None), (NOTES | {"p_collection": AGENTS}, None)],
    "get_document": [
        (NOW | {"p_collection": collection, "p_id": id_}, None)
        for collection, id_ in (("b-notes", "b-note"), (SESSIONS, "b-talk"))
    ],
    "set_document_expiry": [
        (NOW | {"p_collection": collection, "p_id": id_, "p_expires_at": end}, 0)
        for collection, id_ in (("b-notes", "b-note"), (SESSIONS, "b-talk"), (AGENTS, "agent"))
        for end in (None, "2001-01-01", "infinity")
    ],
    "drop_collection": [({"p_collection": name}, 0) for name in ("b-notes", AGENTS, "")],
    "list_collections": [(NOW, ["notes", EVENTS, SESSIONS])],
    "names": [({}, ["notes", EVENTS, SESSIONS])],
    "prefixes": [
        ({}, [{"collection": each, "prefix": "parlant_sessions_"} for each in (EVENTS, SESSIONS)])
    ],
    "get_memories": [
        (GET_MEMORIES, []),
        (GET_MEMORIES | {"p_now": "-infinity"}, []),
        (GET_MEMORIES | {"p_collection": AGENTS, "p_ids": ["agent"]}, []),
    ],
    "write_memories": [
        (REMOVE, 0),
        (REMOVE | {"p_collection": SESSIONS, "p_deleted": ["b-talk"]}, 0),
        (WRITE, DENIED),
        (WRITE | {"p_now": "infinity"}, DENIED),
        (WRITE | {"p_customer_ids": [B]}, DENIED),
        (WRITE | {"p_ids": ["n"]}, DENIED),
        (WRITE | {"p_collection": AGENTS}, DENIED),
    ],
    "search_memories": [
        (SEARCH, []),
        (SEARCH | {"p_query": "!'x'"}, []),
        (SEARCH | {"p_now": "-infinity", "p_first": "b"}, []),
        (SEARCH | {"p_collection": AGENTS}, []),
    ],
    "list_namespaces": [(NAMESPACES, []), (NAMESPACES | {"p_collection": AGENTS}, [])],
    "list_versions": [({"p_collection": "b-notes"} | NOW, [])],
    "read_version": [
        ({"p_collection": "b-notes", "p_version": None, "p_after": 0, "p_limit": 9} | NOW, [])
    ],
    "replace": [(REPLACE, [])],
    **{
        # For the functions beside them alone: their parameters have no names.
        name: [({}, NOT_THERE), ({"p_filter": OF_B}, NOT_THERE)]
        for name in (
            "as_jsonb",
            "begin_request",
            "clamped",
            "column_in",
            "compared",
            "copied_names",
            "delete_sessions",
            "describe",
            "end_request",
            "forget_requests",
            "is_namespace",
            "items",
            "limit",
            "limit_answer",
            "limit_items",
            "limit_json",
            "lock_one",
            "matching",
            "memories_below",
            "openers",
            "order",
            "part_where",
            "refresh",
            "refresh_session",
            "refresh_memories",
            "related_documents",
            "sessions_where",
            "start_of_turn",
            "sum",
            "sum_usage",
            "value_in",
            "where",
            *thread_attacks.INTERNAL,
        )
    },
    "once": [
        (ONCE, Refused("42501")),
        (ONCE | {"p_function": "expire"}, Refused("42501")),
        (ONCE | {"p_request": None}, Refused("23502")),
    ],
    "expire": [
        ({"p_now": now, "p_limit": 100, "p_items": items}, DENIED)
        for now in ("2026-01-01", "infinity")
        for items in (None, 0)
    ],
    "sweep": [(NOW | {"p_limit": 100}, DENIED)],
    "ensure_index": [(INDEX, DENIED), (INDEX | {"p_unique": True}, DENIED)],
    "status": [({}, TOLD)],
    "version": [({}, TOLD)],
    "rows": [({}, TOLD)],
}

USED = '{"requests": 1}'
RECORD_ITEMS: Arguments = ITEMS | {"p_times": ["2020-01-01"], "p_item_usages": [USED]}
del RECORD_ITEMS["p_total"]
WHOLE_SESSIONS: dict[str, Arguments] = {
    # With usage and a parent, over the session of another.
    "write_sessions": RECORD_ITEMS
    | {"p_namespaces": [""], "p_session_ids": ["b-session"], "p_names": [None], "p_user_ids": [A]}
    | {"p_metadata": ["{}"], "p_states": ["{}"], "p_totals": [1], "p_turns": [0]}
    | {"p_created": ["2020-01-01"], "p_updated": ["2020-01-01"], "p_expires": [None]}
    | {"p_usages": [USED], "p_parents": ["a-session"], "p_parent_names": [None]}
    | {"p_parent_positions": [0], "p_places": [1], "p_replace": True}
    | NOW,
    "stage_items": RECORD_ITEMS | NOW | {"p_key": B_KEY, "p_turn": 0},
    "publish_session": AT
    | {"p_key": A_KEY, "p_items": 1, "p_names": None, "p_user_id": A, "p_replace": True}
    | {"p_metadata": "{}", "p_state": "{}", "p_total": 1, "p_usage": USED}
    | {"p_created": "2020-01-01", "p_updated": "2020-01-01", "p_expires": None}
    | {"p_parent": "a-session", "p_parent_name": None, "p_parent_position": 0},
    "stage_threads": {"p_keys": None, "p_count": 1, "p_messages": []}
    | {"p_checkpoints": [], "p_values": [], "p_writes": []}
    | NOW,
    "publish_threads": {"p_keys": [A_KEY], "p_rows": [0], "p_namespaces": [""]}
    | {"p_thread_ids": ["t"], "p_names": [None], "p_user_ids": [A], "p_replace": True}
    | {"p_titles": [None]}
    | {"p_created": ["2020-01-01"], "p_updated": ["2020-01-01"], "p_expires": [None]}
    | NOW,
}
"""Calls that only the service role may make."""

BY_ONCE = {"add_items", "replace_tail", "save"}
"""What is called by parlant_store_once alone."""

REPEATABLE = {
    # What parlant_store_once calls.
    *thread_attacks.REPEATABLE,
    "add_items",
    "add_usage",
    "branch",
    "clear",
    "delete_hidden",
    "delete_one",
    "delete_session",
    "drop_collection",
    "ensure_index",
    "expire",
    "insert_numbered",
    "insert_one",
    "keep_latest",
    "pop_item",
    "replace",
    "replace_tail",
    "save",
    "set_expiry",
    "set_document_expiry",
    "set_metadata",
    "update_one",
    "write_memories",
}
