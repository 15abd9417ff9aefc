"""The forms of confirmations."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from parlant_store.admin.formatting import grouped
from parlant_store.content import codec
from parlant_store.content.times import MAX_TTL_SECONDS
from parlant_store.exceptions import InvalidInput

MAX_EXTENSION = timedelta(seconds=MAX_TTL_SECONDS)
CHOICES = (1, 7, 30, 90)
MAX_DAYS = 36_500
DAYS, UNTIL = "days", "date"
COPY = "-copy"
NAME_TAKEN = gettext_lazy("There is a conversation of this id already.")


def _choices() -> list[tuple[str, str]]:
    days = [
        (str(number), ngettext("%(days)s day", "%(days)s days", number) % {"days": number})
        for number in CHOICES
    ]
    return [*days, (DAYS, _("Another number of days")), (UNTIL, _("Until a date"))]


class ExtendForm(forms.Form):
    """By how many days, or until when."""

    by = forms.ChoiceField(
        label=gettext_lazy("By how long"),
        choices=_choices,
        initial="7",
        widget=forms.RadioSelect,
        help_text=gettext_lazy("Days count from the present end, or from now if that is past."),
    )
    days = forms.IntegerField(
        label=gettext_lazy("Days"),
        required=False,
        min_value=1,
        max_value=MAX_DAYS,
        help_text=gettext_lazy("Only with “Another number of days”."),
    )
    until = forms.DateTimeField(
        label=gettext_lazy("Date and time"),
        required=False,
        widget=forms.DateTimeInput(format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local"}),
    )

    def __init__(self, data: Any, days: str | None = None) -> None:
        """``days`` are those of the request, which need no choice."""
        initial = {"by": DAYS, "days": days} if days else {}
        if data is not None and days and not data.get("by"):
            data = data.copy()
            data["by"] = DAYS
        super().__init__(data, initial=initial)
        text = _("The number of days must be from 1 to %(most)s.") % {"most": grouped(MAX_DAYS)}
        for code in ("invalid", "min_value", "max_value"):
            self.fields["days"].error_messages[code] = text
        zone = {"zone": timezone.get_current_timezone_name()}
        self.fields["until"].help_text = _("Only with “Until a date”. Time zone: %(zone)s.") % zone

    def clean_until(self) -> datetime | None:
        until: datetime | None = self.cleaned_data["until"]
        now = timezone.now()
        if until is not None and until <= now:
            raise forms.ValidationError(_("This must be in the future."))
        if until is not None and until > now + MAX_EXTENSION:
            raise forms.ValidationError(
                _("This is more than a hundred years away: keep it for ever instead.")
            )
        return until

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        by = cleaned.get("by")
        if by == UNTIL and cleaned.get("until", 0) is None:
            self.add_error("until", _("Say until when."))
        if by == DAYS and cleaned.get("days", 0) is None:
            self.add_error("days", _("Say how many days."))
        if by and by != UNTIL and cleaned.get("until"):
            self.add_error("by", _("A date is given below, too: choose one of the two."))
        if by and by != DAYS and cleaned.get("days"):
            self.add_error("by", _("A number of days is given below, too: choose one of the two."))
        return cleaned

    @property
    def extension(self) -> timedelta | None:
        """None: until ``end``."""
        by = self.cleaned_data["by"]
        if by == UNTIL:
            return None
        return timedelta(days=self.cleaned_data["days"] if by == DAYS else int(by))

    @property
    def end(self) -> datetime | None:
        """None: by ``extension``."""
        end: datetime | None = self.cleaned_data["until"]
        return end


class BranchForm(forms.Form):
    """The id of a copy."""

    new_id = forms.CharField(
        label=gettext_lazy("Session id of the copy"),
        max_length=codec.MAX_NAME,
        help_text=gettext_lazy("The copy is in the same namespace."),
    )

    def __init__(self, data: Any, *, source_id: str, is_taken: Callable[[str], bool]) -> None:
        start = codec.printable(source_id)[: codec.MAX_NAME - len(COPY)]
        super().__init__(data, initial={"new_id": f"{start}{COPY}"})
        self._is_taken = is_taken

    def clean_new_id(self) -> str:
        new_id: str = self.cleaned_data["new_id"]
        try:
            codec.check_name(new_id, "session_id")
        except InvalidInput as exc:
            raise forms.ValidationError(str(exc)) from exc
        if self._is_taken(new_id):
            raise forms.ValidationError(NAME_TAKEN)
        return new_id
