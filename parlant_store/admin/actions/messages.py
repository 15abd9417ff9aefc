"""The texts of actions. Those with a number take it as ``counted`` formats it."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from django.db.models import Model
from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from parlant_store.admin.actions.selection import Row
from parlant_store.admin.formatting import grouped
from parlant_store.models import Document, Session

Text = str | Promise

# makemessages finds the texts by this name.
ngettext_lazy = partial(translation.ngettext_lazy, number="count")


class Texts(NamedTuple):
    """The texts of an action on rows of one model."""

    description: Text
    question: Any
    done: Any = None


def counted(text: Any, number: int, **names: Any) -> str:
    """Return a text of ``ngettext_lazy`` about so many rows."""
    return str(text % {"count": number, "number": grouped(number), **names})


def items(rows: Sequence[Row]) -> str:
    """Return how many items the sessions have."""
    text = _ITEMS if len(rows) > 1 else _ITEMS_OF_ONE
    return counted(text, sum(row.item_count for row in rows))


TEXTS: dict[tuple[type[Model], str], Texts] = {
    (Session, "expire"): Texts(
        _("Expire selected conversations now"),
        ngettext_lazy(
            "%(number)s conversation expires now: from then on no agent sees it, and the next "
            "sweep removes it.",
            "%(number)s conversations expire now: from then on no agent sees them, and the next "
            "sweep removes them.",
        ),
        ngettext_lazy(
            "%(number)s conversation has expired.", "%(number)s conversations have expired."
        ),
    ),
    (Document, "expire"): Texts(
        _("Expire selected documents now"),
        ngettext_lazy(
            "%(number)s document expires now: from then on no agent sees it, and the next sweep "
            "removes it.",
            "%(number)s documents expire now: from then on no agent sees them, and the next "
            "sweep removes them.",
        ),
        ngettext_lazy("%(number)s document has expired.", "%(number)s documents have expired."),
    ),
    (Session, "extend"): Texts(
        _("Extend the life of selected conversations"),
        ngettext_lazy(
            "%(number)s conversation expires later.", "%(number)s conversations expire later."
        ),
        ngettext_lazy(
            "%(number)s conversation expires later now.",
            "%(number)s conversations expire later now.",
        ),
    ),
    (Document, "extend"): Texts(
        _("Extend the life of selected documents"),
        ngettext_lazy("%(number)s document expires later.", "%(number)s documents expire later."),
        ngettext_lazy(
            "%(number)s document expires later now.", "%(number)s documents expire later now."
        ),
    ),
    (Session, "keep"): Texts(
        _("Keep selected conversations for ever"),
        ngettext_lazy(
            "%(number)s conversation is kept for ever: it never expires.",
            "%(number)s conversations are kept for ever: they never expire.",
        ),
        ngettext_lazy(
            "%(number)s conversation is kept for ever.",
            "%(number)s conversations are kept for ever.",
        ),
    ),
    (Document, "keep"): Texts(
        _("Keep selected documents for ever"),
        ngettext_lazy(
            "%(number)s document is kept for ever: it never expires.",
            "%(number)s documents are kept for ever: they never expire.",
        ),
        ngettext_lazy(
            "%(number)s document is kept for ever.", "%(number)s documents are kept for ever."
        ),
    ),
    (Session, "branch"): Texts(
        _("Branch the selected conversation"),
        ngettext_lazy(
            "%(number)s conversation is copied, with its items, state, metadata and owner.",
            "%(number)s conversations are copied, with their items, state, metadata and owners.",
        ),
        _("The conversation was copied to %(name)s."),
    ),
    (Session, "export"): Texts(
        _("Export selected conversations"),
        ngettext_lazy(
            "%(number)s conversation is downloaded with all its items, as a line of JSON.",
            "%(number)s conversations are downloaded with all their items, each as a line of JSON.",
        ),
    ),
    (Document, "export"): Texts(
        _("Export selected documents"),
        ngettext_lazy(
            "%(number)s document is downloaded, as a line of JSON.",
            "%(number)s documents are downloaded, each as a line of JSON.",
        ),
    ),
    (Session, "remove"): Texts(
        _("Delete selected conversations"),
        ngettext_lazy(
            "%(number)s conversation is deleted with all its items. It cannot be brought back.",
            "%(number)s conversations are deleted with all their items. They cannot be brought "
            "back.",
        ),
        ngettext_lazy(
            "%(number)s conversation was deleted.", "%(number)s conversations were deleted."
        ),
    ),
    (Document, "remove"): Texts(
        _("Delete selected documents"),
        ngettext_lazy(
            "%(number)s document is deleted. It cannot be brought back.",
            "%(number)s documents are deleted. They cannot be brought back.",
        ),
        ngettext_lazy("%(number)s document was deleted.", "%(number)s documents were deleted."),
    ),
    (Document, "retry"): Texts(
        _("Retry selected failed migrations"),
        ngettext_lazy(
            "%(number)s document goes back into its collection as it was. The next time that "
            "Parlant opens the collection, it is migrated; if that fails again, it is set aside "
            "again.",
            "%(number)s documents go back into their collections as they were. The next time "
            "that Parlant opens the collections, they are migrated; those that fail again are set "
            "aside again.",
        ),
        ngettext_lazy(
            "%(number)s document is back in its collection: it is migrated when that is opened.",
            "%(number)s documents are back in their collections: they are migrated when these "
            "are opened.",
        ),
    ),
}

_ITEMS = ngettext_lazy("They have %(number)s item in all.", "They have %(number)s items in all.")
_ITEMS_OF_ONE = ngettext_lazy("It has %(number)s item.", "It has %(number)s items.")

RELATED = ngettext_lazy(
    "%(number)s document that belongs to a Parlant session goes along, as its events do.",
    "%(number)s documents that belong to Parlant sessions go along, as their events do.",
)
RELATED_DONE = ngettext_lazy(
    "%(number)s document of a Parlant session went along.",
    "%(number)s documents of Parlant sessions went along.",
)
RELATED_UNCOUNTED = _("A Parlant session takes its documents along.")
RELATED_LEFT = _(
    "What belongs to a Parlant session stays: to take that along, let the session expire now."
)
REVIVED = ngettext_lazy(
    "%(number)s of them has expired, but was not removed yet: it comes back to life.",
    "%(number)s of them have expired, but were not removed yet: they come back to life.",
)
TTL = _("The store moves the end of a conversation at each write: the next one moves it again.")

MISSING = ngettext_lazy(
    "%(number)s of those you confirmed was there no more.",
    "%(number)s of those you confirmed were there no more.",
)
PROTECTED = _("%(name)s stays: it is protected by %(rows)s.")
MORE_PROTECTED = ngettext_lazy(
    "%(number)s more stays, because rows of other tables protect it.",
    "%(number)s more stay, because rows of other tables protect them.",
)
FAILED = _("Stopped at %(name)s: %(error)s")
REMAINING = {
    Session: ngettext_lazy(
        "%(number)s conversation was left as it was.",
        "%(number)s conversations were left as they were.",
    ),
    Document: ngettext_lazy(
        "%(number)s document was left as it was.", "%(number)s documents were left as they were."
    ),
}

INELIGIBLE = {
    "expire": ngettext_lazy(
        "%(number)s that was chosen has expired already and stays as it is.",
        "%(number)s that were chosen have expired already and stay as they are.",
    ),
    "extend": ngettext_lazy(
        "%(number)s that was chosen expires later anyway, or never, and stays as it is.",
        "%(number)s that were chosen expire later anyway, or never, and stay as they are.",
    ),
    "keep": ngettext_lazy(
        "%(number)s that was chosen never expires anyway.",
        "%(number)s that were chosen never expire anyway.",
    ),
    "retry": _("There are more. Do this again for them afterwards."),
}

NONE_ELIGIBLE = {
    "expire": _("Nothing is to be done: what was chosen has expired already."),
    "extend": _("Nothing is to be done: what was chosen never expires."),
    "keep": _("Nothing is to be done: what was chosen never expires anyway."),
    "branch": _("A conversation that has expired cannot be branched."),
}
NONE_EXIST: Text = _("What was chosen is there no more.")

TOO_MANY = {
    Session: _(
        "More than %(number)s conversations were chosen. Narrow the list, or use "
        "manage.py store_expire, which removes any number by a rule, or manage.py store_export."
    ),
    Document: _(
        "More than %(number)s documents were chosen. Narrow the list, or use "
        "manage.py store_expire, which removes any number by a rule, or manage.py store_export."
    ),
}
NOT_ALLOWED = _("You may not do this to every conversation that you chose. Nothing was changed.")
NO_ACTION = _("No action was chosen.")
NONE_SELECTED = {
    Session: _("No conversation was chosen."),
    Document: _("No document was chosen."),
}
ONE_TO_BRANCH = _("Choose one conversation to branch.")
PARLANT_BRANCH = _("A conversation of Parlant cannot be branched.")
NAME_TAKEN = _("There is a conversation of this id already.")
