"""The page of the effect of Jobs, and its sentence on a Job's page."""

from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from ami.base.access import visible_rows_of
from ami.base.ids import parse_id
from ami.base.links import change_link
from ami.base.sections import Section
from ami.jobs.admin.pages import SECTIONS, VIEWS, badges
from ami.jobs.models import Job
from ami.review.effect.cached import cached_effect, known_effect
from ami.review.effect.outcomes import Outcome
from ami.review.effect.report import unknown
from ami.review.effect.words import COLUMNS, p_value

MOST_JOBS = 20
MOVES = (
    ("corrected", "Corrected", "A wrong name became a right one, exact or an ancestor."),
    ("regressed", "Regressed", "A right name became a wrong one."),
    ("coarsened", "Coarsened", "An exact name became one of its ancestors."),
    ("sharpened", "Sharpened", "An ancestor became the exact name."),
    ("silenced", "Lost their name", "A name became none, or one that stands for no species."),
    ("silenced_right", "of these, were right", ""),
    ("named", "Got a name", "No name became one."),
    ("named_right", "of these, are right", ""),
    ("unchanged", "Unchanged", "As right or wrong as before."),
)


def effect_url(job: Job) -> str:
    return reverse("admin:jobs_job_effect", args=[job.pk])


def effect_page(request: HttpRequest, job: Job, frame: dict[str, Any]) -> HttpResponse:
    """The effect of a Job, and of those that `?with=` names by their ids, in this order.

    With `?format=json`, the same as JSON; with `?format=sentence`, only the sentence. The answer is
    404, with a sentence, if the person may not see one of the Jobs.
    """
    jobs, missing = _jobs(request, job)
    status = 404 if missing else 200
    refusal = missing or next(filter(None, map(unknown, jobs)), None)
    effect = None if refusal else cached_effect(jobs)
    kind = request.GET.get("format")
    if kind == "json":
        told = {"error": refusal} if refusal else effect
        return JsonResponse({"jobs": [job.pk for job in jobs], **(told or {})}, status=status)
    if kind == "sentence":
        text = refusal or (effect or {})["sentence"]
        return HttpResponse(text, content_type="text/plain", status=status)
    context = {
        **frame,
        "title": "Effect",
        "jobs": [(change_link(Job, job.pk, job.name), badges(job)) for job in jobs],
        "refusal": refusal,
        "effect": effect,
        "columns": list(_columns(effect)) if effect else [],
        "moves": MOVES,
        "outcomes": [outcome.label for outcome in Outcome],
        "others": request.GET.get("with", ""),
    }
    return TemplateResponse(request, "admin/review/effect.html", context, status=status)


def _jobs(request: HttpRequest, job: Job) -> tuple[list[Job], str]:
    """The Job with those that the address names, or alone, with why these cannot be compared."""
    texts = request.GET.get("with", "").replace(",", " ").split()
    if len(texts) > MOST_JOBS:
        return [job], f"At most {MOST_JOBS} further Jobs can be compared."
    asked = {text: parse_id(text) or 0 for text in texts}
    found = visible_rows_of(Job, request.user, "jobs.view_job").in_bulk(list(asked.values()))
    if missing := next((text for text, pk in asked.items() if pk not in found), None):
        return [job], f"There is no Job {missing[:20]}."
    return list(dict.fromkeys([job, *(found[pk] for pk in asked.values())])), ""


def _columns(effect: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for key, name in COLUMNS.items():
        summary = effect[key]
        yield {
            "name": name,
            "summary": summary,
            "p": p_value(summary["p"]),
            "table": zip([one.label for one in Outcome], summary["table"], strict=True),
        }


def _section(request: HttpRequest, job: Job) -> dict[str, Any]:
    """What a Job's page shows of its effect: the sentence if it is known, and how to ask for it."""
    if not (job.is_final and job.changes.exists()):
        return {"is_shown": False}
    known = known_effect([job]) if unknown(job) is None else None
    return {
        "is_shown": True,
        "url": effect_url(job),
        "sentence": known["sentence"] if known else "",
    }


VIEWS["effect"] = effect_page
SECTIONS.append(Section("admin/review/effect_of_job.html", _section))
