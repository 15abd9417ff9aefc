"""JSON, as stores take and return it."""

from typing import Any, Literal

JSONObject = dict[str, Any]
"""A JSON object: text keys, and any JSON values."""

Direction = Literal["asc", "desc"]
