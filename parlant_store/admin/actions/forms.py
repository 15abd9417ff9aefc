"""What actions ask for besides a confirmation."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from parlant_store.admin.actions.lives import HORIZON
from parlant_store.content import codec
from parlant_store.exceptions import InvalidInput

DAYS = (1, 7, 30, 90)
DATE = "date"
COPY = "-copy"


def _choices() -> list[tuple[str, str]]:
    days = [
        (str(number), ngettext("%(days)s day", "%(days)s days", number) % {"days": number})
        for number in DAYS
    ]
    return [*days, (DATE, _("Until a date"))]


class ExtendForm(forms.Form):
    """By how many days, or until when."""

    by = forms.ChoiceField(
        label=gettext_lazy("By how long"),
        choices=_choices,
        initial="7",
        widget=forms.RadioSelect,
        help_text=gettext_lazy("Days count from the present end, or from now if that is past."),
    )
    until = forms.DateTimeField(
        label=gettext_lazy("Date and time"),
        required=False,
        widget=forms.DateTimeInput(format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zone = {"zone": timezone.get_current_timezone_name()}
        self.fields["until"].help_text = _("Only with “Until a date”. Time zone: %(zone)s.") % zone

    def clean_until(self) -> datetime | None:
        until: datetime | None = self.cleaned_data["until"]
        now = timezone.now()
        if until is not None and until <= now:
            raise forms.ValidationError(_("This must be in the future."))
        if until is not None and until > now + HORIZON:
            raise forms.ValidationError(
                _("This is more than a hundred years away: keep it for ever instead.")
            )
        return until

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if "until" in cleaned and "by" in cleaned:
            by, until = cleaned["by"], cleaned["until"]
            if by == DATE and until is None:
                self.add_error("until", _("Say until when."))
            if by != DATE and until is not None:
                self.add_error("by", _("A date is given below, too: choose one of the two."))
        return cleaned

    @property
    def days(self) -> timedelta | None:
        """None: until a date."""
        by = self.cleaned_data["by"]
        return None if by == DATE else timedelta(days=int(by))


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
            raise forms.ValidationError(_("There is a session of this id already."))
        return new_id
