"""The effect of Jobs, computed once for the same rows."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from django.core.cache import cache
from django.db.models import Count, Max, QuerySet
from redis.exceptions import RedisError

from ami.jobs.models import Job, JobChange
from ami.main.models import Identification, Taxon
from ami.review.effect.report import effect_of
from ami.review.effect.words import as_json, sentence

KEPT = 24 * 3600  # seconds
VERSION = 3  # raise it when the meaning of a figure changes


def described(jobs: Sequence[Job]) -> dict[str, Any]:
    """Return the effect as JSON has it, with its `sentence`."""
    found = effect_of(jobs)
    return {"sentence": sentence(found), **as_json(found)}


def known_effect(jobs: Sequence[Job]) -> dict[str, Any] | None:
    """Return :func:`described` if it was computed on the same rows before."""
    return _get(_key(jobs))


def cached_effect(jobs: Sequence[Job]) -> dict[str, Any]:
    """Return :func:`described`, and keep it until an identification or a taxon changes."""
    key = _key(jobs)
    found = _get(key)
    if found is None:
        found = described(jobs)
        with suppress(RedisError):
            cache.set(key, found, KEPT)
    return found


def _get(key: str) -> dict[str, Any] | None:
    """What is kept under this key; None while the cache does not answer."""
    with suppress(RedisError):
        found: dict[str, Any] | None = cache.get(key)
        return found
    return None


def _key(jobs: Sequence[Job]) -> str:
    """The Jobs, how far they have come, and the state of the rows with which they are compared."""
    projects = {job.project_id for job in jobs}
    said = Identification.objects.all()
    if None not in projects:
        said = said.filter(project__in=projects)
    written = JobChange.objects.filter(job__in=[job.pk for job in jobs]).aggregate(latest=Max("pk"))
    states = [_state(said), _state(Taxon.objects.all())]
    parts = [VERSION, *(job.pk for job in jobs), written["latest"], *states]
    return "effect:" + ":".join(str(part).replace(" ", "T") for part in parts)


def _state(rows: QuerySet[Any]) -> str:
    """How many rows there are, and when the last one was changed."""
    found = rows.aggregate(number=Count("pk"), latest=Max("updated_at"))
    return f"{found['number']}:{found['latest']}"
