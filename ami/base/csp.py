"""Reports of browsers about what the Content-Security-Policy made them refuse."""

import json
import logging

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

logger = logging.getLogger(__name__)

REPORT_BYTES = 10_000
TOLD = ("document-uri", "effective-directive", "blocked-uri", "source-file", "line-number")
TOLD_CHARACTERS = 200


@csrf_exempt
@require_POST
def csp_report(request: HttpRequest) -> HttpResponse:
    """Log a report as one line. Anyone can send one, so it is short and has no line breaks."""
    if int(request.META.get("CONTENT_LENGTH") or 0) > REPORT_BYTES:
        return HttpResponse("A report has at most 10,000 bytes.\n", status=413)
    try:
        report = json.loads(request.body)["csp-report"]
        told = {name: str(report.get(name, ""))[:TOLD_CHARACTERS] for name in TOLD}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return HttpResponse('A report is JSON: {"csp-report": {...}}.\n', status=400)
    logger.warning("A browser refused content of a page: %s", json.dumps(told))
    return HttpResponse(status=204)
