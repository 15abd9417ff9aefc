"""The usage of an agent's runs, which selectools tells its observers of."""

import logging
from collections import Counter
from typing import TYPE_CHECKING

from selectools.observer import AgentObserver
from selectools.usage import UsageStats

from parlant_store.exceptions import StoreError

if TYPE_CHECKING:
    from parlant_store.adapters.selectools.session_store import SessionStore

logger = logging.getLogger("parlant_store")

_DETAILS = ("cached_tokens", "cache_write_tokens")

MAX_RUNS = 1_000
"""Limit on the runs whose usage is known, but whose session is not saved yet."""


class UsageObserver(AgentObserver):  # type: ignore[misc]
    """Adds the usage of each run to the last turn of its session, when the session is saved.

    Errors are logged. An agent without a session_store stores no usage.
    """

    def __init__(self, sessions: "SessionStore") -> None:
        self._sessions = sessions
        self._runs: dict[str, Counter[str]] = {}

    def on_usage(self, run_id: str, usage: UsageStats) -> None:
        self._runs.setdefault(run_id, Counter()).update(_counts(usage))
        while len(self._runs) > MAX_RUNS:
            del self._runs[next(iter(self._runs))]

    def on_session_save(self, run_id: str, session_id: str, message_count: int) -> None:
        usage = self._runs.pop(run_id, None)
        if usage:
            try:
                details = {name: usage.pop(name) for name in _DETAILS if name in usage}
                self._sessions.add_usage(session_id, {**usage, "input_tokens_details": details})
            except StoreError as exc:
                # selectools ignores errors of observers.
                logger.error("Could not store the usage of %r: %s", session_id, exc)


def _counts(usage: UsageStats) -> dict[str, int]:
    counts = {
        "requests": 1,
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "cached_tokens": usage.cache_read_input_tokens,
        "cache_write_tokens": usage.cache_creation_input_tokens,
    }
    return {name: count for name, count in counts.items() if count is not None}
