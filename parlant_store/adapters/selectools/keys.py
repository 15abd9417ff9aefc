"""Keys of selectools, which join a namespace and a session id in one text."""

from collections.abc import Sequence

from parlant_store.backends.contract.validation import SessionName
from parlant_store.content.codec import check_name
from parlant_store.exceptions import InvalidName

MAX_NAME = 512
"""selectools' limit on the characters of an id or a namespace."""


class Key(str):
    """The full key of one session: ``namespace:session_id``, or the bare id.

    It equals selectools' text and also holds the name, which the text alone does not determine:
    ``Key("a:b")`` is the session without a namespace, ``Key("b", "a")`` the other one.
    """

    name: SessionName

    def __new__(cls, session_id: str, namespace: str = "") -> "Key":
        key = super().__new__(cls, f"{namespace}:{session_id}" if namespace else session_id)
        key.name = SessionName(namespace, session_id)
        return key


def names_of(session_id: str, namespace: str | None) -> Sequence[SessionName]:
    """Return the sessions that the id may refer to, in the order of precedence."""
    if namespace is not None:
        return [SessionName(check(namespace, "namespace"), check(session_id, "session_id"))]
    if isinstance(session_id, Key):
        return [session_id.name]
    check(session_id, "session_id")
    colons = [index for index, character in enumerate(session_id) if character == ":"]
    splits = [(session_id[:index], session_id[index + 1 :]) for index in colons]
    return [SessionName("", session_id)] + [SessionName(*split) for split in splits if all(split)]


def check(value: str, what: str) -> str:
    check_name(value, what)
    if len(value) > MAX_NAME:
        raise InvalidName(f"{what} has {len(value):,} characters; selectools allows {MAX_NAME}")
    return str(value)
