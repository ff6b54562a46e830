"""Hand out the items of a sample to people, keep their answers, and take answers back."""

from contextlib import suppress
from datetime import timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import (
    Case,
    Count,
    Exists,
    F,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Value,
    When,
)
from django.utils import timezone

from ami.base.audit import Kind, record
from ami.base.subqueries import Probe
from ami.jobs.journal.revert import RevertRefusedError, request_put_back
from ami.jobs.models import Job
from ami.main.models import Identification, Occurrence, Taxon
from ami.review.models import Judgement, Sample, SampleItem
from ami.review.verdicts import verdict_of
from ami.users.models import User

Verdict = Judgement.Verdict

CLAIM = timedelta(minutes=10)  # how long an item that was handed out is kept for the person
# How many answers the item of a judgement needs.
NEEDED = Case(When(item__is_double=True, then=2), default=1, output_field=IntegerField())
# Items, those with all of their answers, and those that lack one because their occurrence is gone.
COUNTS = """
WITH answered AS (
    SELECT j.item_id, count(*) AS answers
    FROM review_judgement j JOIN review_sampleitem i ON i.id = j.item_id
    WHERE i.sample_id = %(sample)s AND NOT j.withdrawn AND j.verdict <> 'skipped'
    GROUP BY j.item_id
), item AS (
    SELECT i.occurrence_id,
           COALESCE(answers, 0) >= CASE WHEN i.is_double THEN 2 ELSE 1 END AS done
    FROM review_sampleitem i LEFT JOIN answered ON answered.item_id = i.id
    WHERE i.sample_id = %(sample)s
)
SELECT count(*), count(*) FILTER (WHERE done), count(*) FILTER (WHERE NOT done AND NOT EXISTS (
    SELECT FROM main_occurrence o WHERE o.id = occurrence_id AND o.project_id = %(project)s))
FROM item
"""


class NotAnsweredError(Exception):
    """The answer was not kept; the message says why."""


class GoneError(NotAnsweredError):
    """The occurrence was deleted, merged into another one, or moved to another project."""


class Reader(NamedTuple):
    """A person and the number of their answers; skipped items do not count."""

    name: str
    answers: int


class Progress(NamedTuple):
    """How far the review of a sample is.

    `done` are items with all the answers that they need: two if they are read twice. `gone` are
    items that lack one because their occurrence was deleted, merged, or moved to another project.
    """

    items: int
    done: int
    gone: int
    readers: list[Reader]


def hand_out(sample: Sample, user: User, number: int) -> list[SampleItem]:
    """Claim the next items for the person, by position, with those that they hold.

    People who ask at the same time get different items. Each item has its taxa and `is_seen`:
    whether the person has seen the name before.
    """
    with transaction.atomic():
        items = list(
            _free(sample, user)
            .annotate(is_seen=_seen(user))
            .select_related("taxon", "taxon_before")
            .select_for_update(skip_locked=True, no_key=True, of=("self",))
            .order_by("position")[:number]
        )
        _claim([item.pk for item in items], user)
    return items


def _claim(items: list[int], user: User) -> None:
    """Note to whom the items are handed out; a name that another person asked for is hidden."""
    SampleItem.objects.filter(pk__in=items).update(
        claimed_by=user,
        claimed_at=timezone.now(),
        name_shown=Case(When(claimed_by=user, then=F("name_shown")), default=False),
    )


def upcoming(sample: Sample, user: User, *, after: list[SampleItem], number: int) -> list[int]:
    """Return the occurrences that the person would get next, without a claim on their items."""
    items = _free(sample, user).exclude(pk__in=[item.pk for item in after])
    return list(items.order_by("position").values_list("occurrence_id", flat=True)[:number])


def handed_to_others(sample: Sample, user: User) -> int:
    """Count the items that the person could get if others did not hold them."""
    return _open(sample).exclude(pk__in=_said_of(sample, user)).count()


def waiting_for_others(sample: Sample, user: User) -> int:
    """Count the items that the person has answered, and that a second person is to read."""
    said = _said_of(sample, user).exclude(verdict=Verdict.SKIPPED)
    return _open(sample).filter(pk__in=said).count()


def _said_of(sample: Sample, user: User) -> QuerySet[Any]:
    """The items about which the person has said something that stands."""
    said = Judgement.objects.filter(item__sample=sample, user=user, withdrawn=False)
    return said.values("item")


def _open(sample: Sample) -> QuerySet[Any]:
    """The items that need another answer, whoever gives it."""
    # Subqueries that do not depend on the row are computed once, and not for each item.
    said = Judgement.objects.filter(item__sample=sample, withdrawn=False)
    answered = said.exclude(verdict=Verdict.SKIPPED).values("item").annotate(answers=Count("pk"))
    done = answered.filter(answers__gte=NEEDED)
    items: QuerySet[Any] = sample.items.filter(
        Probe(Occurrence.objects.filter(pk=OuterRef("occurrence_id"), project=sample.project_id))
    ).exclude(pk__in=done.values("item"))
    return items


def _free(sample: Sample, user: User) -> QuerySet[Any]:
    """The items that the person can get now: nobody else holds them."""
    free = Q(claimed_by=None) | Q(claimed_by=user) | Q(claimed_at__lte=timezone.now() - CLAIM)
    return _open(sample).exclude(pk__in=_said_of(sample, user)).filter(free)


def _seen(user: User) -> Any:
    """Whether the person has seen the name: they asked for it, or were told after an answer."""
    told = Judgement.objects.filter(item=OuterRef("pk"), user=user).exclude(verdict=Verdict.SKIPPED)
    return Case(
        When(Q(claimed_by=user, name_shown=True) | Exists(told), then=Value(True)),
        default=Value(False),
    )


def item_for(sample: Sample, user: User, pk: int) -> SampleItem | None:
    """Return an item of the sample as :func:`hand_out` does, without a claim on it."""
    items: QuerySet[Any] = sample.items.select_related("taxon", "taxon_before")
    items = items.annotate(is_seen=_seen(user))
    return items.filter(pk=pk).first()


def show_name(item: SampleItem, user: User) -> None:
    """Hand the item out to the person with its name, so that their answer is not blind."""
    SampleItem.objects.filter(pk=item.pk).update(
        claimed_by=user, claimed_at=timezone.now(), name_shown=True
    )


def answer(
    sample: Sample,
    item_id: int,
    *,
    user: User,
    verdict: str | None = None,
    taxon: Taxon | None = None,
    seconds: float | None = None,
    has_seen: bool = False,
) -> Judgement:
    """Keep what the person says about the item: the taxon that they name, or a verdict.

    `has_seen` tells that their page showed the name. An answer becomes an identification if the
    sample is of this kind, and the person named a taxon or confirmed the determination. A person
    who answers again replaces their former answer; those of others stay.

    Raises NotAnsweredError, and SampleItem.DoesNotExist.
    """
    with transaction.atomic():
        # Locked, so that two answers of one person are kept one after the other.
        items: QuerySet[Any] = sample.items.annotate(is_seen=_seen(user)).select_related("taxon")
        item = items.select_for_update(no_key=True, of=("self",)).get(pk=item_id)
        occurrence = _held(item)
        is_blind = sample.blind and not has_seen and not item.is_seen
        if taxon is None and verdict in {Verdict.RIGHT, Verdict.WRONG}:
            _refuse_verdict(item, is_blind=is_blind)
        agreed = taxon is None and verdict == Verdict.RIGHT
        said = Judgement(item=item, user=user, blind=is_blind, seconds=seconds)
        said.verdict = verdict_of(item.taxon, taxon) if taxon else Verdict(verdict or "")
        said.taxon = item.taxon if agreed else taxon
        own = Judgement.objects.filter(item=item, user=user, withdrawn=False)
        for former in own.order_by("pk"):
            if (former.verdict, former.taxon_id) == (said.verdict, said.taxon_id):
                return former  # the same answer was sent twice
            _withdraw(former, user)
        if sample.identifies and said.taxon is not None:
            said.identification = _identify(said, occurrence, agreed=agreed)
        said.save()
        SampleItem.objects.filter(pk=item.pk).update(claimed_by=None, claimed_at=None)
        return said


def put_back(
    sample: Sample,
    item_id: int,
    *,
    user: User,
    seconds: float | None = None,
    has_seen: bool = False,
) -> Job:
    """Keep that the name is wrong, and queue the revert of what the sample's Job did to the item.

    Raises NotAnsweredError, and SampleItem.DoesNotExist; then neither is done.
    """
    with transaction.atomic():
        said = answer(
            *(sample, item_id), user=user, verdict=Verdict.WRONG, seconds=seconds, has_seen=has_seen
        )
        job = Job.objects.filter(pk=sample.source_id or 0).first()
        if job is None:
            raise NotAnsweredError("The Job from which the sample was drawn was deleted.")
        try:
            return request_put_back(job, said.item.occurrence_id, user=user)
        except RevertRefusedError as refused:
            raise NotAnsweredError(str(refused)) from refused


def _held(item: SampleItem) -> Occurrence:
    """Lock the occurrence, because a run may merge it into another one. Raises GoneError."""
    rows = Occurrence.objects.select_for_update(no_key=True).filter(pk=item.occurrence_id)
    if (occurrence := rows.filter(project=item.sample.project_id).first()) is None:
        raise GoneError(
            f"Occurrence {item.occurrence_id} was deleted, merged into another one, or moved to "
            "another project; it is skipped."
        )
    return occurrence


def _refuse_verdict(item: SampleItem, *, is_blind: bool) -> None:
    if is_blind:
        raise NotAnsweredError("The name is hidden. Show it first, or name the taxon yourself.")
    if item.taxon is None:
        raise NotAnsweredError("The occurrence has no name that could be right or wrong.")


def _identify(said: Judgement, occurrence: Occurrence, *, agreed: bool) -> Identification | None:
    """Save the answer as an identification.

    None if the person confirmed a name that nothing gives to the occurrence any more: it would
    look as if they had named the taxon themselves.
    """
    one = Identification(
        occurrence=occurrence,
        taxon=said.taxon,
        user=said.user,
        sample=said.item.sample,
        blind=said.blind,
        seconds=said.seconds,
    )
    if agreed:
        one.confirm()
        if not one.agrees:
            return None
    one.save()
    text = f"Identified as {one.taxon} in the review of “{one.sample}”."
    record([occurrence], kind=Kind.IDENTIFY, user=said.user, message=text)
    return one


def undo(sample: Sample, user: User) -> SampleItem | None:
    """Take back the person's latest answer that stands, and hand its item out to them again.

    Called again, it takes back the one before. None if there is none.
    """
    with transaction.atomic():
        own = Judgement.objects.filter(item__sample=sample, user=user, withdrawn=False)
        while (latest := own.order_by("-pk").first()) is not None:
            # Both are locked first, as they are by an answer. This may have taken its time.
            with suppress(GoneError):
                _held(sample.items.select_for_update(no_key=True).get(pk=latest.item_id))
            if own.filter(pk=latest.pk).exists():
                break
        if latest is None:
            return None
        _withdraw(latest, user)
        _claim([latest.item_id], user)
        return item_for(sample, user, latest.item_id)


def take_up_skipped(sample: Sample, user: User) -> int:
    """Withdraw what the person skipped, so that it is handed out to them again; return how many."""
    own = Judgement.objects.filter(item__sample=sample, user=user, withdrawn=False)
    return own.filter(verdict=Verdict.SKIPPED).update(withdrawn=True, updated_at=timezone.now())


def _withdraw(said: Judgement, user: User) -> None:
    said.withdrawn = True
    said.save(update_fields=["withdrawn", "updated_at"])
    one = said.identification
    if one is None or one.withdrawn:
        return
    one.withdrawn = True
    one.save()
    text = f"Withdrew {one.taxon or 'it'} in the review of “{said.item.sample}”."
    record([one.occurrence], kind=Kind.IDENTIFY, user=user, message=text)


def progress(sample: Sample) -> Progress:
    """Return how far the review is, in two queries."""
    with connection.cursor() as cursor:
        cursor.execute(COUNTS, {"sample": sample.pk, "project": sample.project_id})
        number, done, gone = cursor.fetchone()
    said = Judgement.objects.filter(item__sample=sample, withdrawn=False)
    said = said.exclude(verdict=Verdict.SKIPPED)
    people = said.values("user", "user__name", "user__email").annotate(answers=Count("pk"))
    readers = [
        Reader(one["user__name"] or one["user__email"] or "a former user", one["answers"])
        for one in people.order_by("-answers", "user")
    ]
    return Progress(number, done, gone, readers)


def recent_taxa(user: User, number: int) -> list[tuple[int, str]]:
    """Return the taxa, id and name, that the person named last in any review, the latest first.

    A name that the page showed, and that they confirmed, is not one of them.
    """
    own = Judgement.objects.filter(user=user, withdrawn=False, taxon__isnull=False)
    own = own.exclude(blind=False, taxon=F("item__taxon"))
    latest = own.order_by("-pk").values_list("taxon", "taxon__name")[: 20 * number]
    return list(dict(latest).items())[:number]
