"""The page on which people judge the items of a sample, and what its script asks for.

It needs the permission to answer in the project of the sample, and no staff status. Without the
script, each button submits a form to the same address and leads back to the page.
"""

from collections.abc import Callable, Collection
from functools import wraps
from typing import Any, NamedTuple, cast

from django.contrib import admin, messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import Case, Value, When
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import path, reverse
from django.utils.html import conditional_escape
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from ami.base.access import visible
from ami.base.guard import PAGES
from ami.base.ids import parse_id
from ami.base.storable import storable_text
from ami.main.admin.identify import IDENTIFY
from ami.main.admin.search import UnknownNameError, named
from ami.main.models import Taxon
from ami.review.admin.acts import ACTS, Done, item_of, keep_answer, offers_put_back
from ami.review.admin.looks import Look, looks_of
from ami.review.answering import (
    GoneError,
    NotAnsweredError,
    Verdict,
    hand_out,
    handed_to_others,
    item_for,
    progress,
    recent_taxa,
    upcoming,
    waiting_for_others,
)
from ami.review.models import REVIEW, Judgement, Sample, SampleItem
from ami.users.models import User

GRID = 24
HELD = 8  # one that is shown, and those that are shown at once after it
AHEAD = 24  # further crops that the browser loads ahead
RECENT = 9  # one for each digit
SUGGESTED = 10


class Shown(NamedTuple):
    """An item as the page shows it; the name is hidden unless `has_name`."""

    item: SampleItem
    look: Look | None
    has_name: bool


def review_url(sample: Sample) -> str:
    return reverse("admin:review", args=[sample.pk])


Page = Callable[[HttpRequest, Sample], HttpResponse]


def _for_reviewers(page: Page) -> Callable[[HttpRequest, int], HttpResponse]:
    """Give the page its sample. Raises Http404 for foreign ones, and PermissionDenied."""

    @never_cache
    @wraps(page)
    def view(request: HttpRequest, pk: int) -> HttpResponse:
        if not request.user.is_authenticated:
            return redirect_to_login(reverse("admin:review", args=[pk]))
        samples = visible(Sample.objects.select_related("project"), request.user)
        sample = samples.filter(pk=pk).first() if pk < 2**63 else None
        if sample is None:
            raise Http404
        needed = (REVIEW, IDENTIFY) if sample.identifies else (REVIEW,)
        if not all(request.user.has_perm(perm, sample) for perm in needed):
            raise PermissionDenied
        return page(request, sample)

    return view


@require_safe
@_for_reviewers
def review_page(request: HttpRequest, sample: Sample) -> HttpResponse:
    """Show the next items that the person can answer, one by one or in a grid."""
    person, is_grid = cast(User, request.user), _is_grid(request)
    items = hand_out(sample, person, GRID if is_grid else HELD)
    asked = parse_id(request.GET.get("item", ""))
    if asked and (chosen := item_for(sample, person, asked)):
        items = [chosen, *(item for item in items if item.pk != chosen.pk)]
    ahead = upcoming(sample, person, after=items, number=AHEAD)
    shown, crops = _shown(sample, items, ahead=ahead)
    context = {
        **admin.site.each_context(request),
        "title": f"Review: {sample}",
        "is_nav_sidebar_enabled": False,
        "sample": sample,
        "is_grid": is_grid,
        "size": GRID if is_grid else 1,
        "shown": shown,
        "kept": "?grid=1" if is_grid else "",
        "offers_put_back": offers_put_back(request, sample),
        "ahead": {"urls": crops},
        "progress": progress(sample),
        "recent": recent_taxa(person, RECENT),
        **({} if items else _end(sample, person)),
    }
    return render(request, "admin/review/review.html", context)


@require_POST
@_for_reviewers
def answer_view(request: HttpRequest, sample: Sample) -> HttpResponse:
    """Keep or take back an answer; tell the script what comes next, or lead back to the page."""
    act = ACTS.get(request.POST.get("answer", ""), keep_answer)
    try:
        done = act(request, sample)
    except GoneError as gone:
        done = Done(str(gone), level=messages.WARNING)
    except SampleItem.DoesNotExist as unknown:
        raise Http404 from unknown
    except (NotAnsweredError, UnknownNameError) as odd:
        done = Done(str(odd), item_of(request, sample), messages.ERROR)
    if not request.accepts("text/html"):
        return _next(request, sample, done)
    messages.add_message(request, done.level, done.told)
    query = request.GET.copy()
    query.pop("item", None)
    if done.item:
        query["item"] = str(done.item.pk)
    kept = f"?{query.urlencode()}" if query else ""
    return HttpResponseRedirect(f"{review_url(sample)}{kept}")


@require_safe
@_for_reviewers
def taxa_view(request: HttpRequest, sample: Sample) -> HttpResponse:
    """Suggest taxa for what was typed, those first whose name begins with it."""
    typed = " ".join(storable_text(request.GET.get("q", "")).split())[:255]
    found: list[Taxon] = []
    if typed:
        begins = Case(When(name__istartswith=typed, then=Value(0)), default=Value(1))
        taxa = named(Taxon.objects.filter(active=True), typed)
        found = list(taxa.order_by(begins, "name")[:SUGGESTED])
    return JsonResponse(
        {"taxa": [{"id": one.pk, "name": one.name, "rank": one.rank} for one in found]}
    )


def _is_grid(request: HttpRequest) -> bool:
    return request.GET.get("grid") == "1"


def _shown(
    sample: Sample, items: list[SampleItem], *, ahead: Collection[int] = ()
) -> tuple[list[Shown], list[str]]:
    """The items as the page shows them, and the crops of the occurrences `ahead`."""
    looks, urls = looks_of([item.occurrence_id for item in items], ahead=ahead)
    shown = [
        Shown(item, looks.get(item.occurrence_id), not sample.blind or cast(Any, item).is_seen)
        for item in items
    ]
    return shown, urls


def _end(sample: Sample, person: User) -> dict[str, Any]:
    """What the page tells when nothing is left for the person."""
    own = Judgement.objects.filter(item__sample=sample, user=person, withdrawn=False)
    return {
        "elsewhere": handed_to_others(sample, person),
        "waiting": waiting_for_others(sample, person),
        "has_skipped": own.filter(verdict=Verdict.SKIPPED).exists(),
    }


def _next(request: HttpRequest, sample: Sample, done: Done) -> JsonResponse:
    """Answer the script: what to tell, the item to show again, and the progress.

    If it asks for more, also the items that it does not have yet, and crops to load ahead.
    """
    person = cast(User, request.user)
    context: dict[str, Any] = {
        "sample": sample,
        "kept": "?grid=1" if _is_grid(request) else "",
    }

    def rendered(template: str, **further: Any) -> str:
        return render_to_string(f"admin/review/{template}", context | further, request)

    def parts(shown: list[Shown]) -> list[dict[str, Any]]:
        # Most answers show no item, and then need not ask whether the Job can be reverted.
        further = {"offers_put_back": bool(shown) and offers_put_back(request, sample)}
        return [
            {"id": one.item.pk, "html": rendered("_item.html", one=one, **further)} for one in shown
        ]

    reply: dict[str, Any] = {
        "told": conditional_escape(done.told),
        "failed": done.level == messages.ERROR,
        "item": parts(_shown(sample, [done.item])[0])[0] if done.item else None,
        "recent": recent_taxa(person, RECENT),
        "progress": rendered("_progress.html", progress=progress(sample)),
    }
    if request.POST.get("more"):
        known = {parse_id(pk) for pk in request.POST.get("has", "").split(",")}
        held = hand_out(sample, person, GRID + HELD if _is_grid(request) else HELD)
        fresh = [item for item in held if item.pk not in known and item != done.item]
        ahead = upcoming(sample, person, after=held, number=AHEAD)
        shown, crops = _shown(sample, fresh, ahead=ahead)
        reply |= {
            "items": parts(shown),
            "ahead": crops,
            "end": "" if held else rendered("_end.html", **_end(sample, person)),
        }
    return JsonResponse(reply)


PAGES += [
    path("review/<int:pk>/", review_page, name="review"),
    path("review/<int:pk>/answer/", answer_view, name="review_answer"),
    path("review/<int:pk>/taxa/", taxa_view, name="review_taxa"),
]
