"""Items that EncryptedSession has encrypted: the store can read nothing of them."""

from collections.abc import Mapping
from typing import Any

from parlant_store.exceptions import NotSupported


def is_encrypted(items: Any) -> bool:
    """Whether the items of a session are encrypted; EncryptedSession encrypts all or none."""
    last = items[-1] if isinstance(items, (list, tuple)) and items else None
    return isinstance(last, Mapping) and last.get("__enc__") == 1


def not_readable() -> NotSupported:
    """Return the error for what has to read encrypted items."""
    return NotSupported(
        "whole_turns and max_tokens need items that the store can read, and these are encrypted: "
        "create the Session without them, and shorten what EncryptedSession returns by "
        "parlant_store.content.turns.whole_turns(items, limit)"
    )
