"""The record of who did what and why: Django's log entries, each with a note.

The note has what a log entry lacks: the project, the kind of the act, and the reason that the
person gave. :func:`record` is the only place that writes either.
"""

import json
from collections.abc import Iterable
from typing import Any, ClassVar

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db import models, transaction
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from ami.base.access import projects_of
from ami.base.deletion import DELETION_GUARDS
from ami.base.storable import storable_text

AT_ONCE = 1_000
LONGEST_REASON = 1_000
NOBODY = "system@localhost"


class Kind(models.TextChoices):
    """What a person, a schedule or a command did."""

    ADD = "add", "Add"
    CHANGE = "change", "Change"
    DELETE = "delete", "Delete"
    START = "start", "Start"
    DRY_RUN = "dry_run", "Dry run"
    APPLY = "apply", "Apply"
    RUN_AGAIN = "run_again", "Run again"
    REVERT = "revert", "Revert"
    REPAIR = "repair", "Repair"
    CHECK = "check", "Check"
    PAUSE = "pause", "Pause"
    RESUME = "resume", "Resume"
    CANCEL = "cancel", "Cancel"
    ACKNOWLEDGE = "acknowledge", "Acknowledge"
    IDENTIFY = "identify", "Identify"
    RECOMPUTE = "recompute", "Recompute"
    BULK_EDIT = "bulk_edit", "Bulk edit"
    EXPORT = "export", "Export"
    IMPORT = "import", "Import"


def record(
    rows: Iterable[models.Model],
    *,
    kind: Kind,
    user: Any = None,
    message: Any = "",
    reason: str = "",
    flag: int = CHANGE,
) -> list[LogEntry]:
    """Record that `user` acted on each of the rows, which must still exist in the database.

    `message` is a sentence, or Django's list of what a form changed. Without a user, such as for a
    schedule or a command, the account of :func:`system` stands for the person. The number of
    queries does not grow with the rows, up to 1,000 of them.
    """
    acted = list(rows)
    if not acted:
        return []
    now, text = timezone.now(), message if isinstance(message, str) else json.dumps(message)
    with transaction.atomic():
        who = (user or system()).pk
        entries = [
            LogEntry(
                user_id=who,
                content_type=ContentType.objects.get_for_model(row, for_concrete_model=False),
                object_id=str(row.pk),
                object_repr=storable_text(row)[:200],
                action_flag=flag,
                action_time=now,
                change_message=text,
            )
            for row in acted
        ]
        LogEntry.objects.bulk_create(entries, batch_size=AT_ONCE)
        _notes().bulk_create(
            [
                _notes().model(
                    entry=entry,
                    project_id=_project_of(row),
                    kind=kind,
                    reason=reason,
                    created_at=now,
                )
                for entry, row in zip(entries, acted, strict=True)
            ],
            batch_size=AT_ONCE,
        )
    return entries


def system() -> Any:
    """Return the account that stands for schedules and commands; nobody can sign in with it."""
    users = get_user_model()._default_manager
    unusable = {"name": "System", "is_active": False, "password": "!"}
    return users.get_or_create(email=NOBODY, defaults=unusable)[0]


def reason_of(request: HttpRequest) -> str:
    """Return the reason that a form was submitted with; "" if there is none."""
    return storable_text(request.POST.get("reason", "")).strip()[:LONGEST_REASON]


def entries_of(row: models.Model) -> models.QuerySet[LogEntry]:
    """Return the entries about a row."""
    content_type = ContentType.objects.get_for_model(row, for_concrete_model=False)
    return LogEntry.objects.filter(content_type=content_type, object_id=str(row.pk))


def reasons_of(row: models.Model) -> list[LogEntry]:
    """Return the entries about a row that have a reason, the oldest first."""
    given = entries_of(row).exclude(note__reason="").filter(note__isnull=False)
    return list(given.select_related("user", "note").order_by("pk"))


class AuditedAdminMixin(admin.ModelAdmin[Any]):
    """Records additions, changes and deletions, with the reason that the form gave if any.

    `audit_kind` is the kind of additions and changes of the model, if they have one of their own.
    """

    audit_kind: ClassVar[Kind | None] = None
    object_history_template = "admin/main/history.html"
    delete_confirmation_template = "admin/main/deletion/one.html"
    delete_selected_confirmation_template = "admin/main/deletion/selected.html"

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> LogEntry:
        return self._log(request, [obj], self.audit_kind or Kind.ADD, ADDITION, message)[0]

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> LogEntry:
        return self._log(request, [obj], self.audit_kind or Kind.CHANGE, CHANGE, message)[0]

    def log_deletions(self, request: HttpRequest, queryset: Any) -> list[LogEntry]:
        return self._log(request, queryset, Kind.DELETE, DELETION, "Deleted.")

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the entries about a row, with their kinds and reasons.

        Raises PermissionDenied, also for a missing row, as the other pages of a row do.
        """
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        response = super().history_view(request, object_id, extra_context)
        if isinstance(response, TemplateResponse) and response.context_data is not None:
            context = response.context_data
            page = context["action_list"]
            page.object_list = page.object_list.select_related("user", "content_type", "note")
            context |= self.get_history(request, context["object"])
        return response

    def get_history(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        """Return what else the history of a row shows; subclasses override this."""
        return {}

    def _log(
        self, request: HttpRequest, rows: Iterable[Any], kind: Kind, flag: int, message: Any
    ) -> list[LogEntry]:
        return record(
            rows,
            kind=kind,
            user=request.user,
            message=message,
            reason=reason_of(request),
            flag=flag,
        )


def _notes() -> Any:
    return apps.get_model("main", "AuditNote")._default_manager


def _project_of(row: models.Model) -> int | None:
    """Return the project of a row; None if it belongs to none, or to several."""
    projects = projects_of(row) or ()
    return next(iter(projects)) if len(projects) == 1 else None


def kept_for_entries(model: type[models.Model], ids: list[Any]) -> list[str]:
    """Why these users cannot be deleted: their entries would be deleted with them."""
    if model is not get_user_model():
        return []
    if not LogEntry.objects.filter(user__in=ids).exists():
        return []
    return ["Audit entries name the person. Clear “Active” on the page of the user instead."]


DELETION_GUARDS.register("audit", kept_for_entries)
