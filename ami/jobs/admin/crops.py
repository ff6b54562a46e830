"""Crops of the detections that a Job's changes are about."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from django.db.models import Q
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ami.base.links import EMPTY, change_url
from ami.jobs.admin.known import known_rows
from ami.jobs.models import Job
from ami.jobs.models.change import NAMES_CHANGED
from ami.main.models import Detection, Occurrence
from ami.main.pictures import SMALL, crop_url

CROPS = 24
LINK = '<a href="{}"><img class="job-crop" src="{}" alt="Detection {}" loading="lazy"></a>'
Taxa = tuple[int | None, int | None]


def crop_link(detection: int | None) -> SafeString:
    """A small crop, as a link to its detection."""
    if detection is None:
        return EMPTY
    url, picture = change_url(Detection, detection), crop_url(detection, SMALL)
    return format_html(LINK, url, picture, detection)


def crops_of(job: Job, taxa: Sequence[Taxa]) -> dict[Taxa, SafeString]:
    """The first crops of each pair of taxa before and after, 24 in all, in two queries."""
    if not taxa:
        return {}
    columns = ("taxon_before", "taxon_after", "object_id")
    first, *others = (
        job.changes.filter(of_taxa(*pair)).order_by("pk").values_list(*columns)[:CROPS]
        for pair in taxa
    )
    found: dict[Taxa, list[int]] = {pair: [] for pair in taxa}
    for before, after, pk in first.union(*others, all=True):
        found[before, after].append(pk)
    in_turn = zip_longest(*([(pair, pk) for pk in ids] for pair, ids in found.items()))
    chosen = [one for turn in in_turn for one in turn if one][:CROPS]
    known = known_rows((Occurrence._meta.label_lower, pk, None, None) for _, pk in chosen)
    shown: dict[Taxa, list[Any]] = {pair: [] for pair in taxa}
    for pair, pk in chosen:
        if detection := known.place(Occurrence, pk).detection:
            shown[pair].append((crop_link(detection),))
    return {pair: format_html_join(" ", "{}", links) for pair, links in shown.items()}


def of_taxa(before: int | None, after: int | None) -> Q:
    """A condition on changes: an occurrence went from one taxon to the other; None for none."""
    pair = {"taxon_before": before, "taxon_after": after}
    given = {column: pk for column, pk in pair.items() if pk is not None}
    none = {f"{column}__isnull": True for column in pair.keys() - given.keys()}
    return NAMES_CHANGED & Q(**given, **none)
