"""The pages of errors, in the look of the admin. The root URLs import the handlers:

``from ami.base.errors import handler400, handler403, handler404, handler500``
"""

from typing import Any

from django.contrib import admin
from django.contrib.auth import get_permission_codename, get_user_model
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import timezone

TEMPLATE = "admin/main/error.html"
ADMINISTRATORS = 3
# The permission that a view of Django's admin needs. The page of a row is shown to viewers.
NEEDED = {
    "changelist": "view",
    "history": "view",
    "change": "view",
    "add": "add",
    "delete": "delete",
}


def handler403(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Tell which permission is missing, and whom to ask."""
    texts = [str(exception or "") or _missing(request) or "You have no permission for this page."]
    if request.user.is_authenticated:
        texts.append(_whom_to_ask())
    return error_page(request, 403, "You do not have permission", texts)


def handler404(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    texts = ["There is no page at this address."]
    if request.user.is_authenticated:
        texts.append(
            "If the address was correct before, its row was deleted, or belongs to a project of "
            "which you are not a member."
        )
    return error_page(request, 404, "Page not found", texts)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form without a valid token; see the setting CSRF_FAILURE_VIEW."""
    texts = [
        "The form was not accepted, because it is not from your current session.",
        "Nothing was changed. Load the page with the form again, and submit it once more. If this "
        "happens again, allow cookies for this site.",
    ]
    return error_page(request, 403, "Form not accepted", texts)


def handler400(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    texts = ["The server did not understand the request.", "Nothing was changed."]
    return plain_page(400, "Bad request", texts)


def handler500(request: HttpRequest) -> HttpResponse:
    """Answer without the database or the session, which may be what failed."""
    texts = [
        f"The server failed at {timezone.now():%Y-%m-%d %H:%M:%S %Z}. The error is in its log.",
        "Please try again. If it fails again, tell an administrator this time and what you did.",
    ]
    return plain_page(500, "Server error", texts)


def error_page(request: HttpRequest, status: int, title: str, texts: list[str]) -> HttpResponse:
    """Return a page of the admin with a paragraph for each text."""
    context = admin.site.each_context(request) | {"title": title, "texts": texts}
    return render(request, TEMPLATE, context, status=status)


def plain_page(status: int, title: str, texts: list[str]) -> HttpResponse:
    """Return the same page without the database, the session and the person."""
    site = {"site_title": admin.site.site_title, "site_header": admin.site.site_header}
    page = render_to_string(TEMPLATE, site | {"title": title, "texts": texts})
    return HttpResponse(page, status=status)


def _missing(request: HttpRequest) -> str:
    """Name the permission of the page, unless the user has it, so that something else failed."""
    match = request.resolver_match
    name = (match.url_name or "") if match and match.app_name == "admin" else ""
    for model in admin.site._registry:
        opts: Any = model._meta
        verb = NEEDED.get(name.removeprefix(f"{opts.app_label}_{opts.model_name}_"))
        if verb is None or not name.startswith(f"{opts.app_label}_{opts.model_name}_"):
            continue
        codename = get_permission_codename(verb, opts)
        if not request.user.has_perm(f"{opts.app_label}.{codename}"):
            return f"This page needs the permission “Can {verb} {opts.verbose_name}”."
    return ""


def _whom_to_ask() -> str:
    """Name administrators who can give permissions, those who signed in last first."""
    people = get_user_model()._default_manager.filter(is_superuser=True, is_active=True)
    found = people.exclude(last_login=None).order_by("-last_login")[:ADMINISTRATORS]
    names = [str(person) for person in found]
    asked = " or ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
    return f"Ask an administrator of this site{f': {asked}' if asked else ''}."
