"""Which session an id means: selectools writes a namespace and an id as one text."""

from collections.abc import Sequence

from parlant_store.backends.arguments import SessionName
from parlant_store.codec import check_name
from parlant_store.exceptions import InvalidName

MAX_NAME = 512
"""How many characters selectools lets an id or a namespace have."""


class Key(str):
    """The full key of one session: ``namespace:session_id``, or the bare id.

    It is selectools' text, and remembers which session it is of where the text alone does
    not say: ``Key("a:b")`` is the session without a namespace, ``Key("b", "a")`` the other.
    """

    name: SessionName

    def __new__(cls, session_id: str, namespace: str = "") -> "Key":
        key = super().__new__(cls, f"{namespace}:{session_id}" if namespace else session_id)
        key.name = SessionName(namespace, session_id)
        return key


def names_of(session_id: str, namespace: str | None) -> Sequence[SessionName]:
    """The sessions that may be meant, the first that there is before the others."""
    if namespace is not None:
        return [SessionName(check(namespace, "namespace"), check(session_id, "session_id"))]
    if isinstance(session_id, Key):
        return [session_id.name]
    check(session_id, "session_id")
    colons = [place for place, sign in enumerate(session_id) if sign == ":"]
    splits = [(session_id[:place], session_id[place + 1 :]) for place in colons]
    return [SessionName("", session_id)] + [SessionName(*split) for split in splits if all(split)]


def check(value: str, what: str) -> str:
    check_name(value, what)
    if len(value) > MAX_NAME:
        raise InvalidName(f"{what} has {len(value):,} characters; selectools allows {MAX_NAME}")
    return str(value)
