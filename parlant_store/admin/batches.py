"""Many keys in parts that one statement can name."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

Key = TypeVar("Key")


def batches(keys: Sequence[Key], size: int) -> Iterator[Sequence[Key]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]
