"""An estimate of the tokens of an item."""

from parlant_store.content import codec
from parlant_store.types import JSONObject

CHARACTERS_PER_TOKEN = 4
"""The usual rule for English text."""


def estimate_tokens(item: JSONObject) -> int:
    """Return a quarter of the characters of the item's JSON, rounded up.

    Tokenizers of models differ. Give a counter of your own where the estimate is too coarse.
    """
    return -(-len(codec.encode(item, "item")) // CHARACTERS_PER_TOKEN)
