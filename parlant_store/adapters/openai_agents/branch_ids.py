"""The ids of branches in the store: each branch is a session of its own."""

from hashlib import sha256

from parlant_store.backends.contract.validation import MAX_PREFIX_BYTES
from parlant_store.content import codec
from parlant_store.exceptions import InvalidName

MAIN = "main"
"""The name of the branch whose id is that of the session."""

_SIGN = "\N{ALTERNATIVE KEY SYMBOL}"
"""The sign between the ids of a session and of its branch, which no session has in its id."""


def check_session_id(session_id: str) -> str:
    if _SIGN in session_id:
        raise InvalidName(f"session_id must not hold {_SIGN}, the sign of branches")
    return session_id


def branch_prefix(session_id: str) -> str:
    """Return the beginning of the ids of the session's branches, which no other session has."""
    prefix = session_id + _SIGN
    if len(codec.escape(prefix).encode()) <= MAX_PREFIX_BYTES:
        return prefix
    # Longer ones cannot be listed; no id starts with the sign.
    return f"{_SIGN}{sha256(codec.escape(session_id).encode()).hexdigest()}{_SIGN}"


def check_branch_id(branch_id: str) -> str:
    """Return ``branch_id``, which may be blank; raise InvalidName if it is no name."""
    return codec.check_name(branch_id, "branch_id", empty=True)


def stored_id(session_id: str, branch_id: str) -> str:
    """Return the id of the branch in the store."""
    check_branch_id(branch_id)
    return session_id if branch_id == MAIN else branch_prefix(session_id) + branch_id


def reservation(branch_id: str) -> str:
    """Return the key in the metadata of the session that reserves the id of a deleted branch."""
    return _SIGN + branch_id
