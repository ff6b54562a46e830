"""What a Job's page shows while it runs, in a fixed number of queries for any number of parts."""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.contrib.humanize.templatetags.humanize import intcomma

from ami.base.links import EMPTY, list_url
from ami.jobs.models import Job, JobChange, JobPart
from ami.jobs.states import RUNNING, JobState, Outcome, PartState
from ami.jobs.summary import Summary, skipped_in, summary_and_parts
from ami.jobs.watch.waiting import what_it_waits_for
from ami.main.models import Classification

LOG_LINES = 30
PARTS = 20
REASONS = 10


class Progress(NamedTuple):
    """How far a Job has come; unknown values are None."""

    percent: int
    rows: str | None
    rate: int | None
    left: str | None
    failed: int
    parts: str | None
    heartbeat_at: datetime | None


def live_of(job: Job) -> dict[str, Any]:
    summary, unfinished = summary_and_parts(job, limit=PARTS)
    lines = list(job.logs.order_by("-pk")[: LOG_LINES + 1])
    return {
        "job": job,
        "is_running": job.status in RUNNING,
        "is_failed": job.status == JobState.FAILURE,
        "is_crashed": job.outcome == Outcome.CRASHED,
        "is_nothing": job.outcome == Outcome.NOTHING,
        "warnings": _warnings(job),
        "progress": _progress(job, summary),
        "parts": _parts(summary, unfinished),
        "waits": what_it_waits_for(job, summary),
        "took": whole_seconds(job.duration),
        "lines": lines[LOG_LINES - 1 :: -1],
        "has_more_lines": len(lines) > LOG_LINES,
        **(_end(job, summary) if job.is_final else {}),
    }


def _warnings(job: Job) -> list[tuple[str, str | None]]:
    """Each warning with the URL of the list of its rows, None if the journal was deleted."""
    return [
        (
            sentence,
            None if job.pruned_at else list_url(JobChange, job__id__exact=job.pk, warning=one.key),
        )
        for one, sentence in zip(job.progress.heeded, job.progress.warnings, strict=True)
    ]


def whole_seconds(duration: timedelta | None) -> str:
    if duration is None:
        return EMPTY
    return "under a second" if duration.total_seconds() < 1 else str(duration).partition(".")[0]


def _progress(job: Job, summary: Summary) -> Progress:
    done, total, left = summary.rows_done, summary.rows_total, summary.seconds_left
    running = job.status in RUNNING
    return Progress(
        percent=100 * done // total if total else round(100 * job.progress.fraction),
        rows=f"{intcomma(done)} of {intcomma(total)} rows" if total else None,
        rate=round(summary.rate) if running and summary.rate else None,
        left=whole_seconds(timedelta(seconds=left)) if running and left else None,
        failed=summary.rows_failed,
        parts=_states(summary.states),
        heartbeat_at=summary.heartbeat_at if running else None,
    )


def _states(states: dict[PartState, int]) -> str | None:
    """How many parts are in each state; None for a Job of at most one part."""
    if sum(states.values()) < 2:
        return None
    parts = reversed(states.items())
    return ", ".join(f"{intcomma(count)} {state.label.lower()}" for state, count in parts if count)


def _parts(summary: Summary, unfinished: list[JobPart]) -> dict[str, Any] | None:
    """The first unfinished parts; None for a Job of at most one part."""
    undone = sum(summary.states.values()) - summary.states[PartState.DONE]
    if _states(summary.states) is None or not undone:
        return None
    return {"listed": unfinished, "more": max(0, undone - PARTS)}


def _end(job: Job, summary: Summary) -> dict[str, Any]:
    """What the page adds when a Job has ended."""
    is_idle = job.dry_run or job.outcome == Outcome.NOTHING
    return {
        "problems": _problems(job),
        "share": _share(job, summary),
        "applied_by": job.applied_by.order_by("-pk").only("status", "outcome").first(),
        "written": None if is_idle else job.classifications.count(),
        "written_url": list_url(Classification, job__id__exact=job.pk),
    }


def _problems(job: Job) -> dict[str, Any] | None:
    if not job.progress.skipped:
        return None
    reasons = skipped_in(job)
    return {"rows": job.progress.skipped, "reasons": reasons[:REASONS], "more": reasons[REASONS:]}


def _share(job: Job, summary: Summary) -> str | None:
    """How much a Job that failed or was canceled has done."""
    if job.status == JobState.SUCCESS or not summary.rows_total:
        return None
    done, total = intcomma(summary.rows_done), intcomma(summary.rows_total)
    if job.dry_run:
        return f"The dry run processed {done} of {total} rows and wrote nothing."
    return f"The run committed {done} of {total} rows, which stay."
