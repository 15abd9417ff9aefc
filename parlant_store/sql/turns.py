"""The numbers of turns in rows that an older version has written."""

_NUMBERED = """UPDATE {items} AS item SET turn = numbered.turn
FROM (
    SELECT key, row_number() OVER (PARTITION BY session_key ORDER BY position) AS turn
    FROM {items} WHERE role = 'user'
) AS numbered
WHERE item.key = numbered.key AND item.turn IS NULL"""

_COUNTED = """UPDATE {sessions} AS session SET next_turn = counted.turns
FROM (SELECT session_key, max(turn) AS turns FROM {items} WHERE turn > 0 GROUP BY session_key)
AS counted
WHERE session.key = counted.session_key AND session.next_turn = 0"""


def number_turns(sessions: str, items: str) -> tuple[str, str]:
    """Return statements for the tables, whose names are SQL, on SQLite and PostgreSQL."""
    names = {"sessions": sessions, "items": items}
    return _NUMBERED.format(**names), _COUNTED.format(**names)


NUMBER_TURNS = number_turns("parlant_store_session", "parlant_store_session_item")
