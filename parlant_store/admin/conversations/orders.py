"""The orders of lists of conversations, with their titles."""

from django.utils.translation import gettext_lazy as _

from parlant_store.admin.conversations.criteria import ACTIVITY, CREATION, LENGTH

ORDERS = {
    ACTIVITY: _("Last activity"),
    CREATION: _("Creation"),
    LENGTH: _("Length"),
}
