"""Serves the pictures of captures and detections to the members of their projects."""

from html import escape
from typing import Any, ClassVar
from urllib.parse import quote

from django.conf import settings
from django.contrib import admin
from django.core.files.storage import Storage
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.utils.cache import get_conditional_response, patch_cache_control
from django.utils.http import quote_etag
from django.views.decorators.http import require_safe

from ami.base.access import visible
from ami.main.pictures import (
    SIZES,
    PictureError,
    StoredPicture,
    answering,
    is_elsewhere,
    is_remote,
    local,
    version_of,
)

# Browsers show it in place of the picture, although its status is 404.
PLACEHOLDER = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96" role="img">'
    '<rect width="96" height="96" fill="#777" fill-opacity=".25"/>'
    '<text x="48" y="44" font-family="sans-serif" font-size="11" text-anchor="middle" '
    'fill="#777">{}</text></svg>'
)
LINE = '<tspan x="48" dy="13">{}</tspan>'


class PictureMixin(admin.ModelAdmin[Any]):
    """Adds the address of each row's picture. Members who are not staff may see it, too.

    Only superusers write paths: whoever did could name the files of foreign projects.
    """

    superuser_fields: ClassVar[tuple[str, ...]] = ("path",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Let only those add a row who can give it a path; imports add the others."""
        path_field: Any = self.opts.get_field("path")
        may_leave_empty: bool = request.user.is_superuser or path_field.blank
        return super().has_add_permission(request) and may_leave_empty

    def picture_rows(self) -> QuerySet[Any]:
        """Return the rows with what `picture` needs."""
        raise NotImplementedError

    def picture(self, row: Any, size: int | None) -> StoredPicture:
        """Return the row's picture. Raises PictureError."""
        raise NotImplementedError

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_picture"
        return [
            path("<int:pk>/picture/", require_safe(self.picture_view), name=name),
            *super().get_urls(),
        ]

    def picture_view(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Answer with the picture; 404 for all who may not see the row. Raises Http404."""
        size = request.GET.get("size")
        if size is not None and size not in map(str, SIZES):
            raise Http404
        row = self._visible_row(request, pk)
        if is_elsewhere(row.path):
            return HttpResponseRedirect(row.path)
        try:
            return serve(request, self.picture(row, int(size) if size else None))
        except PictureError as error:
            return placeholder(str(error))

    def _visible_row(self, request: HttpRequest, pk: int) -> Any:
        rows = visible(self.picture_rows(), request.user)
        if (row := rows.filter(pk=pk).first() if pk < 2**63 else None) is None:
            raise Http404
        return row


def serve(request: HttpRequest, picture: StoredPicture) -> HttpResponseBase:
    """Answer with the file, or let the proxy or its object storage do so. Raises PictureError."""
    storage, name, kind, _ = picture
    if is_remote(storage):
        return _signed(storage, name)
    prefix = getattr(settings, "X_ACCEL_REDIRECT", "")
    response: HttpResponseBase
    if prefix and getattr(storage, "location", None) == local.location:
        response = HttpResponse(content_type=kind)
        response["X-Accel-Redirect"] = f"{prefix}{quote(name)}"
    else:
        try:
            etag = quote_etag(version_of(storage, name))
            response = get_conditional_response(request, etag=etag) or FileResponse(
                storage.open(name), content_type=kind
            )
        except OSError as gone:
            raise PictureError("File not found") from gone
        response["ETag"] = etag
    patch_cache_control(response, private=True, max_age=3600)
    return response


def _signed(storage: Storage, name: str) -> HttpResponseBase:
    with answering():
        response = HttpResponseRedirect(storage.url(name))
    # The browser must ask again before the URL expires.
    patch_cache_control(
        response, private=True, max_age=getattr(storage, "querystring_expire", 300) // 2
    )
    return response


def placeholder(reason: str) -> HttpResponse:
    """Answer 404 with a picture that shows the reason."""
    lines = "".join(LINE.format(escape(word)) for word in reason.split())
    response = HttpResponse(PLACEHOLDER.format(lines), content_type="image/svg+xml", status=404)
    patch_cache_control(response, private=True, max_age=60)
    return response
