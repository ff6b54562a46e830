"""What a Job's page shows of its journal."""

from typing import Any

from django.apps import apps
from django.db.models import Count

from ami.base.links import list_url
from ami.jobs.admin.crops import crops_of
from ami.jobs.admin.left import left_tables
from ami.jobs.journal.revert import refusal, standing_revert
from ami.jobs.journal.transitions import Transition, transitions_of
from ami.jobs.models import Job, JobChange


def journal_of(job: Job) -> dict[str, Any]:
    """What the page shows of the changes of a Job that has ended, in a fixed number of queries."""
    counted = job.changes.order_by("kind", "model").values_list("kind", "model")
    transitions = transitions_of(job)
    counts = list(counted.annotate(rows=Count("pk")))
    return {
        "counts": [
            {
                "kind": JobChange.Kind(kind).label,
                "noun": apps.get_model(model)._meta.verbose_name_plural,
                "rows": rows,
                "url": list_url(JobChange, job__id__exact=job.pk, kind__exact=kind, table=model),
            }
            for kind, model, rows in counts
        ],
        "all_url": list_url(JobChange, job__id__exact=job.pk),
        "transitions": transitions,
        "rows": _rows(job, transitions),
        "more": _rest(transitions),
        "revert": standing_revert(job),
        "revertible": refusal(job) is None,
        "left": left_tables(
            job, {model: rows for kind, model, rows in counts if kind == JobChange.Kind.LEFT}
        ),
    }


def _rows(job: Job, transitions: list[Transition]) -> list[dict[str, Any]]:
    """The transitions, each with the URL of its changes and its first crops."""
    taxa = {one: (one.taxon_before, one.taxon_after) for one in transitions if one.key}
    crops = crops_of(job, list(taxa.values()))
    return [
        {
            "transition": one,
            "url": one.key and list_url(JobChange, job__id__exact=job.pk, transition=one.key),
            "crops": crops[taxa[one]] if one in taxa else "",
        }
        for one in transitions
    ]


def _rest(transitions: list[Transition]) -> dict[str, int] | None:
    """What the list of transitions leaves out."""
    if not transitions or transitions[0].kinds <= len(transitions):
        return None
    shown = sum(transition.occurrences for transition in transitions)
    first = transitions[0]
    return {"kinds": first.kinds - len(transitions), "occurrences": first.total - shown}
