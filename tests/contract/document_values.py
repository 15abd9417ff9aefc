"""Documents, and the values that filters must tell apart."""

import json
from typing import Any

from hypothesis import strategies as st

from parlant_store.content import query
from parlant_store.types import Replacement

BIG = int("9" * 400)

VALUES = [
    None, True, False, 0, -0.0, 1, 1.0, -1, 1.5, 2**53 + 1, 2**63, BIG, -BIG, 1e300,
    "", "1", "true", "a", "B", "é", "e\u0301", "😀", "a\0", "a\x01", "\ud800", "\ud7ff", "\ue000",
    [], [0], [-0.0], [1], [1.0], ["1"], [True], {}, {"a": 1}, {"a": True}, {"\0": "\ud800"},
]  # fmt: skip

FIELDS = ["plain", "id", "session_id", "offset", "variable_id", "key", "data", "a.b", 'q"', "\0x"]

LARGE_NUMBERS = st.sampled_from([2**53, 2**63, 2**64, 10**16, 9 * 10**18, 10**23, 10**300]).flatmap(
    lambda number: st.one_of(
        st.integers(number - 3, number + 3),
        st.just(float(number)),
        st.integers(-number - 3, 3 - number),
        st.just(-float(number)),
        st.floats(0.5, 2).map(lambda factor: number * factor),
    )
)

COMPARABLE = [value for value in VALUES if query.kind_of(value) is not None]

leaves = st.one_of(
    st.tuples(st.sampled_from(["$eq", "$ne"]), st.sampled_from(VALUES)),
    st.tuples(st.sampled_from(["$in", "$nin"]), st.lists(st.sampled_from(VALUES), max_size=4)),
    st.tuples(st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), st.sampled_from(COMPARABLE)),
).map(lambda pair: {pair[0]: pair[1]})
filters = st.recursive(
    st.dictionaries(st.sampled_from(FIELDS), leaves, max_size=2),
    lambda inner: st.dictionaries(
        st.sampled_from(["$and", "$or"]), st.lists(inner, max_size=3), min_size=1, max_size=2
    ),
    max_leaves=6,
)


def made(number: int, **fields: Any) -> dict[str, Any]:
    """A document whose creation follows its number."""
    return {"id": f"d{number}", "creation_utc": f"2030-01-01T00:00:{number:02}", **fields}


def same(one: Any, other: Any) -> bool:
    """Whether two values are one JSON, 1 and 1.0 apart, 0.0 and -0.0 too."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def ids(documents) -> list[Any]:
    return [document.get("id") for document in documents]


def numbered_event(store, **fields: Any) -> dict[str, Any]:
    return store.insert_numbered("c", fields, number="offset", within="session_id")


def replacement(stored, document: dict[str, Any], collection: str = "c") -> Replacement:
    return Replacement(stored=stored, document=document, collection=collection)
