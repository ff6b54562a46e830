"""Protection of all admin pages from invalid addresses and hand-made forms."""

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.contrib.admin.views.main import ERROR_FLAG, ChangeList
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import PermissionDenied
from django.db import DataError
from django.db.models import ForeignObjectRel, IntegerField, Model, QuerySet
from django.forms import Media
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import URLPattern, URLResolver, path, reverse

from ami.base.ids import parse_ids
from ami.base.lists import QuickChangeList, QuickListMixin
from ami.base.next_steps import NextStep
from ami.base.scoped import ScopedAdminMixin


class GuardedAutocompleteView(AutocompleteJsonView):
    """Suggests nothing for what no row can match; refuses a field that has no choices."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().get(request, *args, **kwargs)
        except (DataError, OverflowError, ValueError):  # such as a NUL
            return JsonResponse({"results": [], "pagination": {"more": False}})

    def process_request(self, request: HttpRequest) -> Any:
        term, model_admin, field, to_field = super().process_request(request)  # type: ignore[misc]
        if isinstance(field, ForeignObjectRel):
            raise PermissionDenied
        return term, model_admin, field, to_field


class GuardedChangeList(QuickChangeList):
    """Redirects to the whole list if the address has values that the database cannot compare."""

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        try:
            super().__init__(request, *args, **kwargs)
        except (DataError, OverflowError, ValueError) as odd:  # such as a NUL, or the year 99999
            raise IncorrectLookupParameters from odd


class GuardedAdminMixin(QuickListMixin, ScopedAdminMixin):
    """Answers invalid addresses and forms with a message, and hides the rows of foreign projects.

    The site adds it to every admin. A list without rows ends with the admin's `next_step`, if it
    has one.
    """

    def __init__(self, model: type[Model], admin_site: admin.AdminSite) -> None:
        super().__init__(model, admin_site)
        of_app = f"admin/{self.opts.app_label}"
        self.change_list_template = self.change_list_template or [  # type: ignore[misc]
            f"{of_app}/{self.opts.model_name}/change_list.html",
            f"{of_app}/change_list.html",
            "admin/guided_list.html",
        ]

    @property
    def media(self) -> Media:
        return super().media + Media(css={"all": ["main/admin.css"]}, js=["main/labels.js"])

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        own = super().get_changelist(request, **kwargs)
        return type(own.__name__, (GuardedChangeList, own), {})

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method == "GET" and ERROR_FLAG in request.GET:
            text = "The address has an invalid filter or search term, so the whole list is shown."
            self.message_user(request, text, messages.WARNING)
        step: NextStep | None = getattr(self, "next_step", None)
        told = step.html(request, self.admin_site) if step else ""
        return super().changelist_view(request, {"next_step": told, **(extra_context or {})})

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Refuse values that are not ids, with which Django would fail."""
        asked = request.POST.getlist(ACTION_CHECKBOX_NAME)
        try:
            if isinstance(self.opts.pk, IntegerField):
                parse_ids(asked, noun=str(self.opts.verbose_name_plural))
        except ValueError as odd:
            self.message_user(request, str(odd), messages.WARNING)
            return HttpResponseRedirect(request.get_full_path())
        return super().response_action(request, queryset)


# The pages of apps that are not about one model's rows, below the address of the admin site.
PAGES: list[URLPattern] = []


class GuardedAdminSite(admin.AdminSite):
    """The project's admin site. It guards every registered admin, including libraries' admins."""

    site_header = "AMI administration"
    site_title = "AMI"
    login_form = AuthenticationForm

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """Let everyone log out; the admin's own address would refuse people who are not staff."""
        return [path("logout/", self.logout, name="logout"), *PAGES, *super().get_urls()]

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Let members without staff status sign in, too; they are led to their projects."""
        if request.method == "GET" and request.user.is_authenticated and not request.user.is_staff:
            wanted = request.GET.get(REDIRECT_FIELD_NAME, "").partition("?")[0]
            if wanted not in {"", reverse("admin:index")}:
                text = "The administration is for staff. Ask an administrator for staff status."
                messages.warning(request, text)
            return HttpResponseRedirect(reverse("admin:main_project_overviews"))
        answer = super().login(request, extra_context)
        # The middleware of axes answers instead, so the page need not be rendered.
        return HttpResponse() if getattr(request, "axes_locked_out", False) else answer

    def autocomplete_view(self, request: HttpRequest) -> HttpResponse:
        view = GuardedAutocompleteView.as_view(admin_site=self)
        return cast(HttpResponse, view(request))

    def register(
        self,
        model_or_iterable: Any,
        admin_class: type[admin.ModelAdmin[Any]] | None = None,
        **options: Any,
    ) -> None:
        own = admin_class or admin.ModelAdmin
        guarded = type(own.__name__, (GuardedAdminMixin, own), {"__module__": own.__module__})
        super().register(
            model_or_iterable, cast("type[admin.ModelAdmin[Model]]", guarded), **options
        )
