"""Values that every store must keep, and those that it must refuse."""

import math
from typing import Any

from hypothesis import strategies as st

NASTY: list[dict[str, Any]] = [
    {"content": "NUL \0 and \0\0 and \x01 and \x01\x02"},
    {"content": "lone \ud800 and \udfff surrogates, and \ud7ff beside them"},
    {"content": "emoji 😀, 漢字, العربية, é and e\u0301"},
    {"number": int("9" * 400), "negative": -int("8" * 400)},
    {"float": 1.0, "huge": 1e23, "tiny": 5e-324, "max": 1.7976931348623157e308},
    {"z": 1, "a": 2, "m": {"z": 1, "a": 2}},
    {"": "", "a.b": 1, 'quote"': 2, "back\\slash": 3, "percent %s %d %%": "%s", "\0": "\ud800"},
    {"nothing": None, "yes": True, "no": False, "list": [[], {}, [None, [True]]]},
    {"data": 1, "key": 2, "position": 3, "role": None, "text": 5, "content": [1, {"text": 7}]},
    {},
]

NO_ITEMS = {
    "nan": (math.nan, "nan"),
    "infinity": (-math.inf, "-inf"),
    "set": ({1}, "set"),
    "bytes": (b"x", "bytes"),
    "number as key": ({1: 2}, "key 1 "),
    "none as key": ({None: 2}, "key None"),
    "object": (object(), "object"),
    "deep": ("deep", "500 levels"),
    "endless integer": (10**5000, "digits"),
}

IDS = [
    "plain",
    "x:messages",
    "../../etc/passwd",
    "'; DROP TABLE parlant_store_session; --",
    "%s %(a)s {} \\",
    " ",
    "a\x01b",
    "\ud800",
    "\ud7ff",
    "Ω漢字😀",
    "x" * 4096,
    "😀" * 4096,
    "".join(chr(0x4E00 + (number * 7919) % 20000) for number in range(4096)),
]

BAD_IDS = ["", "a\0b", "x" * 4097, None, 5, b"bytes"]

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec=None), max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)
json_objects = st.dictionaries(st.text(st.characters(codec=None)), json_values, max_size=4)


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def numbered(*numbers: int) -> list[dict[str, Any]]:
    return [{"n": number} for number in numbers]
