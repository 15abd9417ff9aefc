"""Reads of the latest items that a model accepts, within a limit."""

from collections.abc import Callable
from typing import NamedTuple

from parlant_store.backends.contract.operations import GetItems
from parlant_store.backends.contract.validation import MAX_LIMIT
from parlant_store.content.turns import MAX_RESPONSE, is_inside_response, valid_items
from parlant_store.content.turns import whole_turns as turns
from parlant_store.types import (
    JSONObject,
)

ReadItems = Callable[[GetItems], list[JSONObject]]
"""Returns the items of a read."""

FIRST_ROWS = 256
"""The number of items that a read with max_tokens starts with."""


class Window(NamedTuple):
    """The limit of a read in tokens."""

    max_tokens: int
    count_tokens: Callable[[JSONObject], int]
    whole_turns: bool

    def count(self, items: list[JSONObject]) -> int:
        """Return how many of the latest items are within the limit."""
        left = self.max_tokens
        for number, item in enumerate(reversed(items)):
            left -= self.count_tokens(item)
            if left < 0:
                return number
        return len(items)


def latest_turns(read_items: ReadItems, read: GetItems, limit: int) -> list[JSONObject]:
    """Return the latest items, at most ``limit``, from the message of a user on if there is one."""
    # The item before the first one decides where a turn starts.
    items = read_items(read._replace(limit=min(limit + 1, MAX_LIMIT)))
    if is_inside_response(items, limit):
        items = read_items(read._replace(limit=min(limit + MAX_RESPONSE, MAX_LIMIT)))
    return turns(items, limit)


def items_within(read_items: ReadItems, read: GetItems, window: Window) -> list[JSONObject]:
    """Return the latest items within the limit of ``read`` and that of ``window``."""
    limit = MAX_LIMIT if read.limit is None else read.limit
    rows = min(FIRST_ROWS, limit + MAX_RESPONSE)
    while True:
        items = read_items(read._replace(limit=rows))
        count = min(window.count(items), limit)
        # The items before the first one decide whether it can be the first.
        if len(items) < rows or len(items) - count >= MAX_RESPONSE:
            trim = turns if window.whole_turns else valid_items
            return trim(items, count)
        rows *= 4
