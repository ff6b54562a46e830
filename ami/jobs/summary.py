"""What the parts of a Job have done so far, taken together."""

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from django.db.models import Count, F, FloatField, Max, Q, Sum
from django.db.models.functions import Extract

from ami.jobs.progress import JobProgress
from ami.jobs.states import PartState
from ami.jobs.work import SAMPLES

if TYPE_CHECKING:
    from ami.jobs.models.run_state import RunState


class Summary(NamedTuple):
    """Figures for the page of a running Job; `rate` is in rows a second, over the parts that run.

    `states` counts the parts by state.
    """

    rows_total: int
    rows_done: int
    rows_failed: int
    states: dict[PartState, int]
    rate: float | None
    heartbeat_at: datetime | None

    @property
    def seconds_left(self) -> float | None:
        """At the present rate; None where nothing is known of it."""
        return (self.rows_total - self.rows_done) / self.rate if self.rate else None


def summary_of(job: "RunState") -> Summary:
    """One query, for any number of parts."""
    figures = job.parts.aggregate(
        total=Sum("rows_total", default=0),
        done=Sum("rows_done", default=0),
        failed=Sum("rows_failed", default=0),
        rate=Sum(
            (F("rows_done") - F("rows_at_claim"))
            / Extract(F("heartbeat_at") - F("claimed_at"), "epoch", output_field=FloatField()),
            filter=Q(state=PartState.RUNNING, heartbeat_at__gt=F("claimed_at")),
        ),
        heartbeat=Max("heartbeat_at"),
        **{f"parts_{state}": Count("pk", filter=Q(state=state)) for state in PartState},
    )
    return Summary(
        rows_total=figures["total"],
        rows_done=figures["done"],
        rows_failed=figures["failed"],
        states={state: figures[f"parts_{state}"] for state in PartState},
        rate=figures["rate"],
        heartbeat_at=figures["heartbeat"],
    )


def progress_of(job: "RunState") -> JobProgress:
    """The Job's progress with the share done and the counters of all its parts."""
    progress: JobProgress = job.progress.copy(deep=True)
    parts = list(job.parts.order_by("number").values_list("counts", "rows_total", "rows_done"))
    if not (parts and progress.stages):
        return progress
    stage, counts = progress.stages[0], Counter[str]()
    for part_counts, _, _ in parts:
        counts.update(dict(part_counts))
    for name, value in counts.items():
        progress.add_or_update_stage_param(stage, title(name), value)
    total = sum(rows for _, rows, _ in parts)
    stage.progress = sum(done for _, _, done in parts) / total if total else stage.progress
    return progress


def skipped_in(job: "RunState") -> list[str]:
    """A sentence for each reason for which rows were skipped, with the first ids."""
    rows, ids = Counter[str](), dict[str, list[int]]()
    for counts, skipped in job.parts.order_by("number").values_list("counts", "skipped"):
        rows.update(dict(counts))
        for reason, samples in skipped.items():
            ids.setdefault(reason, []).extend(samples)
    return [
        skipped_sentence(reason, rows=rows[f"Skipped: {reason}"], ids=samples[:SAMPLES])
        for reason, samples in ids.items()
    ]


def skipped_sentence(reason: str, *, rows: int, ids: list[int]) -> str:
    more = ", …" if rows > len(ids) else "."
    return f"Skipped {rows}: {reason}. Ids: {', '.join(map(str, ids))}{more}"


def title(name: str) -> str:
    """A counter's name for people: "rows_done" is "Rows done"."""
    return (name[:1].upper() + name[1:]).replace("_", " ")
