"""What pages and messages say about actions, by model."""

from typing import Any, NamedTuple

from django.db.models import Model
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from parlant_store.admin.formatting import grouped
from parlant_store.models import Document, Session

Text = str | Promise


class Words(NamedTuple):
    """Texts that say a number take it as ``counted`` gives it."""

    question: Any
    done: Any


def counted(text: Any, number: int, **names: Any) -> str:
    """A text of ``numbered`` about so many."""
    return str(text % {"count": number, "number": grouped(number), **names})


def numbered(one: str, many: str) -> Any:
    return ngettext_lazy(one, many, "count")


WORDS: dict[tuple[type[Model], str], Words] = {
    (Session, "expire"): Words(
        numbered(
            "%(number)s session expires now: from then on no agent sees it, and the next sweep "
            "removes it.",
            "%(number)s sessions expire now: from then on no agent sees them, and the next sweep "
            "removes them.",
        ),
        numbered("%(number)s session has expired.", "%(number)s sessions have expired."),
    ),
    (Document, "expire"): Words(
        numbered(
            "%(number)s document expires now: from then on no agent sees it, and the next sweep "
            "removes it.",
            "%(number)s documents expire now: from then on no agent sees them, and the next "
            "sweep removes them.",
        ),
        numbered("%(number)s document has expired.", "%(number)s documents have expired."),
    ),
    (Session, "extend"): Words(
        numbered("%(number)s session expires later.", "%(number)s sessions expire later."),
        numbered("%(number)s session expires later now.", "%(number)s sessions expire later now."),
    ),
    (Document, "extend"): Words(
        numbered("%(number)s document expires later.", "%(number)s documents expire later."),
        numbered(
            "%(number)s document expires later now.", "%(number)s documents expire later now."
        ),
    ),
    (Session, "keep"): Words(
        numbered(
            "%(number)s session is kept for ever: it never expires.",
            "%(number)s sessions are kept for ever: they never expire.",
        ),
        numbered("%(number)s session is kept for ever.", "%(number)s sessions are kept for ever."),
    ),
    (Document, "keep"): Words(
        numbered(
            "%(number)s document is kept for ever: it never expires.",
            "%(number)s documents are kept for ever: they never expire.",
        ),
        numbered(
            "%(number)s document is kept for ever.", "%(number)s documents are kept for ever."
        ),
    ),
    (Session, "branch"): Words(
        numbered(
            "%(number)s session is copied, with its items, state, metadata and owner.",
            "%(number)s sessions are copied, with their items, state, metadata and owners.",
        ),
        numbered("The session was copied to %(name)s.", "The sessions were copied to %(name)s."),
    ),
    (Session, "export"): Words(
        numbered(
            "%(number)s session is downloaded with all its items, as a line of JSON.",
            "%(number)s sessions are downloaded with all their items, each as a line of JSON.",
        ),
        None,
    ),
    (Document, "export"): Words(
        numbered(
            "%(number)s document is downloaded, as a line of JSON.",
            "%(number)s documents are downloaded, each as a line of JSON.",
        ),
        None,
    ),
    (Session, "remove"): Words(
        numbered(
            "%(number)s session is deleted with all its items. It cannot be brought back.",
            "%(number)s sessions are deleted with all their items. They cannot be brought back.",
        ),
        numbered("%(number)s session was deleted.", "%(number)s sessions were deleted."),
    ),
    (Document, "remove"): Words(
        numbered(
            "%(number)s document is deleted. It cannot be brought back.",
            "%(number)s documents are deleted. They cannot be brought back.",
        ),
        numbered("%(number)s document was deleted.", "%(number)s documents were deleted."),
    ),
}

ITEMS = numbered("They have %(number)s item in all.", "They have %(number)s items in all.")
ITEMS_OF_ONE = numbered("It has %(number)s item.", "It has %(number)s items.")

PARTS = numbered(
    "%(number)s document that belongs to a Parlant session goes along, as its events do.",
    "%(number)s documents that belong to Parlant sessions go along, as their events do.",
)
PARTS_DONE = numbered(
    "%(number)s document of a Parlant session went along.",
    "%(number)s documents of Parlant sessions went along.",
)
REVIVED = numbered(
    "%(number)s of them has expired, but was not removed yet: it comes back to life.",
    "%(number)s of them have expired, but were not removed yet: they come back to life.",
)
GONE = numbered(
    "%(number)s of those you confirmed was there no more.",
    "%(number)s of those you confirmed were there no more.",
)

MORE_PROTECTED = numbered(
    "%(number)s more stays, because rows of other tables protect it.",
    "%(number)s more stay, because rows of other tables protect them.",
)

MOVED: Text = _("The store moves the end of a session at each write: the next one moves it again.")

LEFT = {
    "expire": numbered(
        "%(number)s that was chosen has expired already and stays as it is.",
        "%(number)s that were chosen have expired already and stay as they are.",
    ),
    "extend": numbered(
        "%(number)s that was chosen expires later anyway, or never, and stays as it is.",
        "%(number)s that were chosen expire later anyway, or never, and stay as they are.",
    ),
    "keep": numbered(
        "%(number)s that was chosen never expires anyway.",
        "%(number)s that were chosen never expire anyway.",
    ),
}
"""About those that an action is not for."""

NONE = {
    "expire": _("Nothing is to be done: what was chosen has expired already."),
    "extend": _("Nothing is to be done: what was chosen never expires."),
    "keep": _("Nothing is to be done: what was chosen never expires anyway."),
    "branch": _("A session that has expired cannot be branched."),
}
NOTHING_THERE: Text = _("What was chosen is there no more.")
