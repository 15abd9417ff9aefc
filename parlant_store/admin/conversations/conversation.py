"""A conversation as a list shows it, whichever framework wrote it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from parlant_store.models import Session

OPENAI, SELECTOOLS, PARLANT = "openai", "selectools", "parlant"

FRAMEWORKS = {OPENAI: "OpenAI Agents", SELECTOOLS: "selectools", PARLANT: "Parlant"}

DOCUMENT = "document-"
"""The prefix of the key of a Parlant session in forms."""


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """A session, or a Parlant session with its events."""

    # Django's lists look at it to find the fields of a row.
    _meta: ClassVar[Any] = Session._meta

    pk: str
    """The value of ``_selected_action``; "" if the list has no actions on it."""

    url: str
    """The page of the conversation; "" if the user may not see it."""

    name: str
    """The id, with the namespace if there is one."""

    title: str
    """The title in the metadata, or the first words of the user."""

    framework: str
    """One of FRAMEWORKS."""

    person: str | None
    """The owner or the customer."""

    person_name: str | None = None
    """The name of the customer, if it is known."""

    person_url: str = ""

    agent: str | None = None
    """The name of the agent, or the namespace of the session."""

    item_count: int | None = 0
    """The number of items or messages; None: unknown."""

    last_message: str | None = None

    active_at: datetime | None = None
    """The last activity; None: unknown, like created_at."""

    created_at: datetime | None = None

    expires_at: datetime | None = None
    """None: never."""

    failed_calls: int | None = 0
    """The number of failed tool calls; None: unknown."""

    waiting: int = 0
    """The number of approvals that nobody has answered."""

    snippet: str = ""
    """The text that a search found."""

    def serializable_value(self, field_name: str) -> str:
        """Return the key, as a model does for Django's lists."""
        return self.pk

    def __str__(self) -> str:
        return " \u2013 ".join(filter(None, (self.title, self.name)))
