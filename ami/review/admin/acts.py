"""What the buttons of the review page do."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.utils.html import format_html

from ami.base.ids import parse_id
from ami.base.links import change_link
from ami.base.words import counted
from ami.jobs.journal.revert import refusal, standing_put_back
from ami.jobs.models import Job
from ami.jobs.service import LAUNCH
from ami.main.admin.search import taxon_named
from ami.main.models import Occurrence, Taxon
from ami.review.answering import (
    NotAnsweredError,
    Verdict,
    answer,
    item_for,
    put_back,
    show_name,
    take_up_skipped,
    undo,
)
from ami.review.models import Judgement, Sample, SampleItem
from ami.users.models import User

LONGEST = 3_600  # seconds; whoever looked longer was away
NAMED = "named"


class Done(NamedTuple):
    """What became of a request: a text for the person, and the item to show again if any."""

    told: str
    item: SampleItem | None = None
    level: int = messages.SUCCESS


def keep_answer(request: HttpRequest, sample: Sample) -> Done:
    said = request.POST.get("answer", "")
    if said not in {NAMED, *Verdict.values}:
        raise NotAnsweredError("The form has no valid answer.")
    judgement = answer(
        sample,
        parse_id(request.POST.get("item", "")) or 0,
        user=cast(User, request.user),
        verdict=None if said == NAMED else said,
        taxon=_taxon(request) if said == NAMED else None,
        seconds=_seconds(request),
        has_seen=request.POST.get("seen") == "1",
    )
    return Done(_told(request, judgement))


def _put_back(request: HttpRequest, sample: Sample) -> Done:
    if not may_put_back(request, sample):
        raise PermissionDenied
    item = item_of(request, sample)
    seen = request.POST.get("seen") == "1"
    user = cast(User, request.user)
    job = put_back(sample, item.pk, user=user, seconds=_seconds(request), has_seen=seen)
    return Done(f"Item {item.position}: {item.taxon} is wrong. Job {job.pk} puts it back.")


def may_put_back(request: HttpRequest, sample: Sample) -> bool:
    return sample.source == Sample.Source.JOB and request.user.has_perm(LAUNCH, sample)


def offers_put_back(request: HttpRequest, sample: Sample) -> bool:
    """Whether the person may put changes back, and the Job still has changes that can be."""
    if not may_put_back(request, sample):
        return False
    job = Job.objects.filter(pk=sample.source_id or 0).first()
    return job is not None and refusal(job) is None


def _show(request: HttpRequest, sample: Sample) -> Done:
    item, person = item_of(request, sample), cast(User, request.user)
    show_name(item, person)
    text = f"The name of item {item.position} is shown, so your answer is not blind."
    return Done(text, item_for(sample, person, item.pk))


def _undo(request: HttpRequest, sample: Sample) -> Done:
    item = undo(sample, cast(User, request.user))
    if item is None:
        return Done("There is no answer of yours to take back.", level=messages.WARNING)
    told = f"Your answer about item {item.position} is taken back."
    job = sample.source == Sample.Source.JOB and sample.source_id
    if job and (former := standing_put_back(job, item.occurrence_id)):
        told += f" Job {former.pk}, which puts it back, stands; revert that Job to undo this, too."
    return Done(told, item)


def _take_up(request: HttpRequest, sample: Sample) -> Done:
    number = take_up_skipped(sample, cast(User, request.user))
    return Done(f"{counted(number, 'item')} that you skipped can be answered again.")


ACTS: dict[str, Callable[[HttpRequest, Sample], Done]] = {
    "put_back": _put_back,
    "show": _show,
    "undo": _undo,
    "take_up": _take_up,
}


def item_of(request: HttpRequest, sample: Sample) -> SampleItem:
    """Return the item of the form. Raises Http404."""
    pk = parse_id(request.POST.get("item", "")) or 0
    if (item := item_for(sample, cast(User, request.user), pk)) is None:
        raise Http404
    return item


def _taxon(request: HttpRequest) -> Taxon:
    """Return the taxon that was chosen or typed. Raises UnknownNameError and NotAnsweredError."""
    if not (chosen := request.POST.get("taxon_id")):
        return taxon_named(request.POST.get("taxon", ""))
    taxon = Taxon.objects.filter(pk=parse_id(chosen) or 0).first()
    if taxon is None:
        raise NotAnsweredError("The taxon no longer exists; enter another one.")
    return taxon


def _seconds(request: HttpRequest) -> float | None:
    with suppress(ValueError):
        seconds = float(request.POST.get("seconds", ""))
        if 0 <= seconds <= LONGEST:
            return round(seconds, 2)
    return None


def _told(request: HttpRequest, said: Judgement) -> str:
    """Tell what was kept, and the name that was hidden. A skipped item keeps its secret."""
    item = said.item
    name: Any = item.taxon or "none"
    if said.verdict == Verdict.SKIPPED:
        return f"Item {item.position}: skipped."
    texts = {
        Verdict.RIGHT: "{name} is right.",
        Verdict.WRONG: "{name} is wrong.",
        Verdict.CANNOT_TELL: "you cannot tell. Its name is {name}.",
    }
    text = texts[Verdict(said.verdict)]
    if said.taxon_id and said.taxon_id != item.taxon_id:
        text = "you say {said}. " + text[0].upper() + text[1:]
    kept = ""
    if said.item.sample.identifies and said.taxon_id and said.identification is None:
        kept = " It is kept as a judgement only: nothing gives it this name any more."
    link = f"Item {item.position}"
    if request.user.is_staff:
        link = change_link(Occurrence, item.occurrence_id, link)
    named_as = {"name": format_html("<em>{}</em>", name), "said": said.taxon}
    return format_html("{}: " + text + "{}", link, kept, **named_as)
