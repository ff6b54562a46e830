"""What a dry run announces, in a form that can be compared with what the run did."""

from typing import Any

from django.db import connection

from ami.base.audit import system
from ami.jobs.models import Job, JobChange
from ami.main.models import Classification, Detection, Taxon
from ami.ml.models import Algorithm


def tables() -> dict[str, str]:
    """A digest of every table of the database, except those of Jobs and of the audit."""
    system()  # so that the first launch does not add it
    names = [
        name
        for name in connection.introspection.table_names()
        if name[:5] != "jobs_" and name not in {"django_admin_log", "main_auditnote"}
    ]
    digest = "(SELECT md5(string_agg(t::text, ';' ORDER BY t::text)) FROM {} t)"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(map(digest.format, names))}")
        return dict(zip(names, cursor.fetchone(), strict=True))


def known_rows() -> dict[str, set[int]]:
    """For each column that refers to rows, the ids that exist before a run; see `announced`."""
    return {
        "taxon_id": set(Taxon.objects.values_list("pk", flat=True)),
        "algorithm_id": set(Algorithm.objects.values_list("pk", flat=True)),
        "applied_to_id": set(Classification.objects.values_list("pk", flat=True)),
        "occurrence_id": set(Detection.objects.values_list("occurrence", flat=True)),
        "determination_id": set(Taxon.objects.values_list("pk", flat=True)),
        "job_id": set(),
        "timestamp": set(),
    }


def announced(job: Job, known: dict[str, set[int]]) -> list[Any]:
    """The changes of a Job, in which each row that is not in `known` is only called new."""

    def plain(values: dict[str, Any] | None) -> Any:
        return values and {
            name: "new" if name in known and value and value not in known[name] else value
            for name, value in values.items()
        }

    changes = list(job.changes.all())
    made = {(c.model, c.object_id) for c in changes if c.kind == "created"}

    def object_of(change: JobChange) -> int | str:
        return "new" if (change.model, change.object_id) in made else change.object_id

    rows = [[c.model, c.kind, object_of(c), plain(c.before), plain(c.after)] for c in changes]
    return sorted(rows, key=repr)
