"""Who may see the files below MEDIA_URL, which a proxy serves."""

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe


@never_cache
@require_safe
def media_access(request: HttpRequest) -> HttpResponse:
    """Tell the proxy with 204 that the person may see captures and crops. Raises Http404."""
    if request.user.is_active and request.user.is_authenticated and request.user.is_staff:
        return HttpResponse(status=204)
    raise Http404
