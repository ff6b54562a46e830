from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ami.jobs.vitals import vitals


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """For monitors: 200 where all is well, 503 where not, and in JSON what is not."""
    told = vitals()
    return JsonResponse(told, status=200 if told["ok"] else 503)
