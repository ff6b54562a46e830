from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ami.jobs.watch.vitals import vitals


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Answer monitors with 200 if all services run, else with 503; the JSON has the details."""
    told = vitals()
    return JsonResponse(told, status=200 if told["ok"] else 503)
