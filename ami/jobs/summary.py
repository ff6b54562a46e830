"""Sums over the parts of a Job."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from django.db.models import Aggregate, Count, F, FloatField, Max, Min, Q, Sum, Window
from django.db.models.functions import Extract

from ami.jobs.engine.work import SAMPLES, Skipped
from ami.jobs.progress import JobProgress
from ami.jobs.states import STATUS_OF, JobState, Outcome, PartState

if TYPE_CHECKING:
    from ami.jobs.models import Job, JobPart


# Rows per second, over the running parts.
RATE = Sum(
    (F("rows_done") - F("rows_at_claim"))
    / Extract(F("heartbeat_at") - F("claimed_at"), "epoch", output_field=FloatField()),
    filter=Q(state=PartState.RUNNING, heartbeat_at__gt=F("claimed_at")),
)


class Summary(NamedTuple):
    """Figures of a running Job. `rate` is in rows per second, over the running parts.

    `states` counts the planned parts; `queued_at` is the earliest time that one was queued.
    """

    rows_total: int
    rows_done: int
    rows_failed: int
    states: dict[PartState, int]
    rate: float | None
    heartbeat_at: datetime | None
    queued_at: datetime | None

    @property
    def seconds_left(self) -> float | None:
        """The seconds left at the current rate; None if the rate is unknown."""
        return (self.rows_total - self.rows_done) / self.rate if self.rate else None


def summary_of(job: "Job") -> Summary:
    """Compute the figures in one query, for any number of parts."""
    return _summary(job.parts.aggregate(**_sums()))


def summary_and_parts(job: "Job", *, limit: int) -> "tuple[Summary, list[JobPart]]":
    """The figures with the first unfinished parts, queued ones last, in one query."""
    sums = {name: Window(aggregate) for name, aggregate in _sums().items()}
    rows = list(
        job.parts.annotate(**sums)
        .alias(is_done=Q(state=PartState.DONE), waits=Q(state=PartState.QUEUED))
        .order_by("is_done", "waits", "number")
        .only("job", "number", "state", "rows_done", "rows_total", "attempts", "heartbeat_at")[
            :limit
        ]
    )
    summary = _summary(vars(rows[0])) if rows else summary_of(job)
    return summary, [part for part in rows if part.state != PartState.DONE]


def _sums() -> dict[str, Aggregate]:
    return {
        "total": Sum("rows_total"),
        "done": Sum("rows_done"),
        "failed": Sum("rows_failed"),
        "rate": RATE,
        "heard_at": Max("heartbeat_at"),
        "queued_at": Min("updated_at", filter=Q(state=PartState.QUEUED, is_planned=True)),
        **{
            f"parts_{state}": Count("pk", filter=Q(state=state, is_planned=True))
            for state in PartState
        },
    }


def _summary(figures: Mapping[str, Any]) -> Summary:
    return Summary(
        rows_total=figures["total"] or 0,
        rows_done=figures["done"] or 0,
        rows_failed=figures["failed"] or 0,
        states={state: figures[f"parts_{state}"] for state in PartState},
        rate=figures["rate"],
        heartbeat_at=figures["heard_at"],
        queued_at=figures["queued_at"],
    )


def progress_of(job: "Job") -> JobProgress:
    """The Job's progress with the share done and the counters of all parts."""
    progress: JobProgress = job.progress.copy(deep=True)
    columns = ("counts", "skipped", "rows_total", "rows_done")
    planned = job.parts.filter(is_planned=True).order_by("number")
    parts = list(planned.values_list(*columns))
    stage, counts = progress.work_stage, Counter[str]()
    if not parts or stage is None:
        return progress
    for part_counts, *_ in parts:
        counts.update(dict(part_counts))
    for name, value in counts.items():
        progress.add_or_update_stage_param(stage, name, value)
    stage.skipped = {why: skip.rows for why, skip in _together(part[1] for part in parts).items()}
    total = sum(rows for *_, rows, _ in parts)
    stage.progress = sum(done for *_, done in parts) / total if total else stage.progress
    return progress


def final_progress(job: "Job", outcome: Outcome) -> JobProgress:
    """The Job's progress at its end."""
    progress, status = progress_of(job), STATUS_OF[outcome]
    for stage in progress.stages:
        stage.status = status
        if status == JobState.SUCCESS and outcome != Outcome.NOTHING:
            stage.progress = 1.0
    return progress


def skipped_in(job: "Job") -> list[str]:
    """One sentence for each reason why rows were skipped, with the first ids."""
    parts = job.parts.order_by("number").values_list("skipped", flat=True)
    return skipped_sentences(_together(parts))


def skipped_sentences(skipped: Mapping[str, Skipped]) -> list[str]:
    return [
        f"Skipped {rows}: {reason}. Ids: {', '.join(map(str, ids[:SAMPLES]))}"
        f"{', …' if rows > len(ids[:SAMPLES]) else '.'}"
        for reason, (rows, ids) in skipped.items()
    ]


def _together(parts: Iterable[Mapping[str, Sequence[Any]]]) -> dict[str, Skipped]:
    """The skipped rows of all parts, by reason."""
    skipped: dict[str, Skipped] = {}
    for part in parts:
        for reason, (rows, ids) in part.items():
            former = skipped.get(reason, Skipped(0, []))
            skipped[reason] = Skipped(former.rows + rows, [*former.ids, *ids])
    return skipped
