"""Admin pages for which the rows of foreign projects do not exist.

The models decide: `for_user` of their managers returns the rows that a person may see, and
`has_perm` with a row tells what the person may do with it; see :mod:`ami.main.access`. The site
adds the mixin to every admin.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IS_POPUP_VAR
from django.contrib.admin.widgets import ForeignKeyRawIdWidget
from django.contrib.auth import get_permission_codename
from django.core.exceptions import FieldDoesNotExist
from django.db.models import (
    ForeignKey,
    ManyToManyField,
    Prefetch,
    QuerySet,
    prefetch_related_objects,
)
from django.db.models.fields.related import RelatedField
from django.forms import ModelChoiceField
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.text import get_text_list

from ami.base.access import is_of_projects, rows_without, visible, visible_rows_of
from ami.base.actions import actions_of
from ami.base.audit import AuditedAdminMixin
from ami.base.ids import parse_id
from ami.base.widgets import SafeFieldsMixin

NAMED_ROWS = 3


class ScopedRawIdWidget(ForeignKeyRawIdWidget):
    """Names the chosen row only if it is one of the field's choices."""

    choices: Any

    def label_and_url_for_value(self, value: Any) -> tuple[str, str]:
        pk = parse_id(str(value))
        if pk is None or not self.choices.queryset.filter(pk=pk).exists():
            return "", ""
        label, url = super().label_and_url_for_value(value)
        return label, url


class ScopedInlineMixin(SafeFieldsMixin, admin.options.InlineModelAdmin[Any, Any]):
    """Rows on the page of a row: what a person may do depends on the project of that row."""

    def has_add_permission(self, request: HttpRequest, obj: Any) -> bool:  # type: ignore[override]
        return super().has_add_permission(request, obj) and self._may(request, obj, "add")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_view_permission(request, obj) and self._may(request, obj, "view")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and self._may(request, obj, "change")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and self._may(request, obj, "delete")

    def _may(self, request: HttpRequest, obj: Any, verb: str) -> bool:
        perm = f"{self.opts.app_label}.{get_permission_codename(verb, self.opts)}"
        return obj is None or request.user.has_perm(perm, obj)


class ScopedAdminMixin(SafeFieldsMixin, AuditedAdminMixin):
    """Shows, offers and changes only the rows that the person may see.

    `superuser_fields` are read-only for everyone else.
    """

    superuser_fields: ClassVar[tuple[str, ...]] = ()

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return fields if request.user.is_superuser else (*fields, *self.superuser_fields)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the rows that the person may see; code may ask without a person."""
        rows = super().get_queryset(request)
        return visible(rows, request.user) if hasattr(request, "user") else rows

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Return the actions of the admin, and those that higher layers add to its model."""
        actions = super().get_actions(request)
        if IS_POPUP_VAR not in request.GET:
            actions |= actions_of(self.model, request)
        return actions

    def permission(self, verb: str) -> str:
        return f"{self.opts.app_label}.{get_permission_codename(verb, self.opts)}"

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        may = super().has_view_permission(request, obj)
        return may and (
            obj is None
            or request.user.has_perm(self.permission("view"), obj)
            or request.user.has_perm(self.permission("change"), obj)
        )

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        may = super().has_change_permission(request, obj)
        return may and (obj is None or request.user.has_perm(self.permission("change"), obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        may = super().has_delete_permission(request, obj)
        return may and (obj is None or request.user.has_perm(self.permission("delete"), obj))

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Refuse a lookup that would tell to which foreign rows a shared row is related.

        List filters answer for foreign rows as for unknown ids.
        """
        allowed = super().lookup_allowed(lookup, value, request)
        if request is None or request.user.is_superuser or not self._reaches_projects(lookup):
            return allowed
        filters = [item for item in self.get_list_filter(request) if isinstance(item, tuple)]
        return allowed and lookup in {f"{item[0]}__id__exact" for item in filters}

    def _reaches_projects(self, lookup: str) -> bool:
        """Whether the lookup goes from a shared row to a row of a project."""
        if getattr(self.model, "project_path", "projects") != "projects":
            return False
        try:
            related = self.opts.get_field(lookup.partition("__")[0]).related_model
        except FieldDoesNotExist:
            return False
        return is_of_projects(related)

    def get_field_queryset(
        self, db: str | None, db_field: RelatedField[Any, Any], request: HttpRequest
    ) -> QuerySet[Any] | None:
        """Return the visible choices; for the way to the project, those that may be changed."""
        rows = super().get_field_queryset(db, db_field, request)
        model: Any = db_field.remote_field.model
        if not is_of_projects(model):
            return rows
        rows = model._default_manager.all() if rows is None else rows
        perm = None
        if self._leads_to_project(db_field):
            match = request.resolver_match
            is_new = match is not None and str(match.url_name).endswith("_add")
            perm = self.permission("add" if is_new else "change")
        return visible(rows, request.user, perm)

    def _leads_to_project(self, db_field: Any) -> bool:
        path = getattr(self.model, "project_path", "")
        return bool(path.partition("__")[0] == db_field.name) and not db_field.many_to_many

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> ModelChoiceField[Any] | None:
        """Let only superusers save a row without a project, which only superusers would see."""
        if self._leads_to_project(db_field) and not request.user.is_superuser:
            kwargs.setdefault("required", True)
        if db_field.name in self.raw_id_fields:
            rel: Any = db_field.remote_field
            kwargs.setdefault("widget", ScopedRawIdWidget(rel, self.admin_site))
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Refuse an action on rows that the person may only see."""
        action = self.get_actions(request).get(request.POST.get("action", ""))
        rows = queryset
        if request.POST.get("select_across", "0") == "0":
            rows = queryset.filter(pk__in=request.POST.getlist(ACTION_CHECKBOX_NAME))
        for perm in self._permissions_of(action[0]) if action else ():
            if refused := list(rows_without(rows, request.user, perm)[: NAMED_ROWS + 1]):
                names = [f"“{row}”" for row in refused[:NAMED_ROWS]]
                names += ["others"] if len(refused) > NAMED_ROWS else []
                self.message_user(
                    request,
                    f"Your role does not allow this for some of the selected "
                    f"{self.opts.verbose_name_plural}: {get_text_list(names, 'and')}. Nothing was "
                    "done. Deselect them, or ask a manager of their project.",
                    messages.WARNING,
                )
                return HttpResponseRedirect(request.get_full_path())
        return super().response_action(request, queryset)

    def _permissions_of(self, action: Any) -> Sequence[str]:
        """Return the permissions that an action needs on each row."""
        if own := getattr(action, "permission", None):
            return [own]
        return [self.permission(verb) for verb in getattr(action, "allowed_permissions", ())]

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any | None:
        """Return the row; its form does not show related rows of foreign projects."""
        row = super().get_object(request, object_id, from_field)
        if row is not None and not request.user.is_superuser:
            prefetch_related_objects(
                [row],
                *(
                    Prefetch(field.name, visible_rows_of(field.related_model, request.user))
                    for field in self._shared_fields()
                ),
            )
        return row

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save, and keep the related rows that the form did not show."""
        for field in self._shared_fields():
            if field.name in form.cleaned_data:
                seen = visible_rows_of(field.related_model, request.user)
                linked = field.related_model._default_manager.filter(  # type: ignore[union-attr]
                    **{field.related_query_name(): form.instance.pk}
                )
                form.cleaned_data[field.name] = [
                    *form.cleaned_data[field.name],
                    *linked.exclude(pk__in=seen.values("pk")),
                ]
        super().save_related(request, form, formsets, change)

    def _shared_fields(self) -> list[ManyToManyField[Any, Any]]:
        """Return the fields of the form that relate the row to several rows of projects."""
        hidden = self.exclude or ()
        return [
            field
            for field in self.opts.many_to_many
            if is_of_projects(field.related_model) and field.name not in hidden
        ]
