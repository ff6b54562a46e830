"""The page that asks how to export, and what becomes of its form."""

from collections.abc import Sequence
from typing import Any, cast
from uuid import uuid4

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import AdminForm
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.html import format_html, format_html_join
from pydantic import ValidationError

from ami.base.links import change_link
from ami.exchange.export.registry import FORMATS, ExportError, ExportOptions, parse_options
from ami.exchange.export.scope import Scope
from ami.exchange.work import queue_exports
from ami.jobs.admin.again import record_run_again
from ami.jobs.admin.pages import LAUNCH_KEY, launch_key_of
from ami.jobs.models import Job
from ami.jobs.service import AlreadyLaunchedError
from ami.users.models import User

CONFIRM = "_export"
SHOWN = 10

Named = tuple[str, Scope]


class ExportForm(forms.Form):
    """The format, and the fields of :class:`ExportOptions`."""

    form = forms.ChoiceField(label="Format", widget=forms.RadioSelect)
    media_url = forms.CharField(
        required=False,
        label=ExportOptions.__fields__["media_url"].field_info.title,
        help_text=ExportOptions.__fields__["media_url"].field_info.description or "",
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choice = cast(forms.ChoiceField, self.fields["form"])
        choice.choices = [
            (key, format_html("{}<br>{}", one.name, one.description))
            for key, one in FORMATS.items()
        ]
        choice.initial = "csv"

    def options(self) -> ExportOptions:
        """Return the options. Raises pydantic's ValidationError."""
        return parse_options({"media_url": self.cleaned_data["media_url"]})


def queue(request: HttpRequest, form: ExportForm, scopes: Sequence[Named]) -> list[int]:
    """Queue the Jobs and tell it; return their ids, or none and let the form say why."""
    if not form.is_valid():
        return []
    text, level = "Queued {}. The page of the Job offers the file.", messages.SUCCESS
    try:
        jobs = queue_exports(
            FORMATS[form.cleaned_data["form"]],
            form.options(),
            scopes,
            user=cast(User, request.user),
            launch_key=launch_key_of(request),
        )
        ids = [job.pk for job in jobs]
        record_run_again(request, ids)
    except AlreadyLaunchedError as launched:
        ids = launched.job_ids
        text, level = "This form was submitted before, and queued {}.", messages.WARNING
    except ValidationError as invalid:
        for error in invalid.errors():
            form.add_error(str(error["loc"][0]), f"It {error['msg']}.")
        return []
    except ExportError as refused:
        form.add_error("form", str(refused))
        return []
    links = format_html_join(", ", "{}", ((change_link(Job, pk),) for pk in ids))
    messages.add_message(request, level, format_html(text, links))
    return ids


def page(
    request: HttpRequest, form: ExportForm, scopes: Sequence[Named], **context: Any
) -> TemplateResponse:
    """The page, with the `context` of the list, or of the Job, from which it was opened."""
    return TemplateResponse(
        request,
        "admin/exchange/export.html",
        {
            "adminform": AdminForm(form, [("Options", {"fields": list(form.fields)})], {}),  # type: ignore[arg-type]
            "scopes": [name for name, _ in scopes[:SHOWN]],
            "more": max(0, len(scopes) - SHOWN),
            "confirm": CONFIRM,
            "key_name": LAUNCH_KEY,
            "key": launch_key_of(request) or uuid4(),
            **context,
        },
    )
