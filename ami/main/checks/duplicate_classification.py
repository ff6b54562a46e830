"""Duplicate classifications."""

from collections.abc import Iterable

from django.db import connection
from django.db.models import Exists, F, OuterRef, QuerySet

from ami.main.checks.declarations import Check, OnePass, Pair, Severity, Tag, reconciler, register
from ami.main.checks.expressions import NotDistinct
from ami.main.checks.same_algorithm import FAULTS
from ami.main.checks.scopes import in_scope
from ami.main.determinations import update_determinations
from ami.main.models import Classification

SAME = ("algorithm", "taxon", "score", "applied_to")

# Locks all classifications of the detections: no copy may be changed while the others are deleted.
LOCK = """
SELECT id FROM main_classification
WHERE detection_id IN (SELECT detection_id FROM main_classification WHERE id = ANY(%s))
ORDER BY id FOR UPDATE
"""

# A separate statement sees what other transactions committed while the lock waited.
KEEPERS = """
SELECT c.id, min(k.id)
FROM main_classification c
JOIN main_classification k ON k.detection_id = c.detection_id AND k.id < c.id
WHERE c.id = ANY(%s)
  AND (k.algorithm_id, k.taxon_id, k.score, k.applied_to_id)
      IS NOT DISTINCT FROM (c.algorithm_id, c.taxon_id, c.score, c.applied_to_id)
GROUP BY c.id
"""

# Classifications derived from a copy now refer to the one that is kept.
MOVE_LINEAGE = """
UPDATE main_classification derived SET applied_to_id = pair.keeper, updated_at = now()
FROM unnest(%s::bigint[], %s::bigint[]) AS pair (id, keeper) WHERE derived.applied_to_id = pair.id
"""

# The one that is kept is terminal if any copy was.
KEEP_TERMINAL = """
UPDATE main_classification kept SET terminal = true, updated_at = now()
FROM unnest(%s::bigint[], %s::bigint[]) AS pair (id, keeper)
JOIN main_classification c ON c.id = pair.id
WHERE kept.id = pair.keeper AND c.terminal AND NOT kept.terminal
"""

DELETE = """
DELETE FROM main_classification WHERE id = ANY(%s)
"""


def get_duplicate_classifications(
    project_id: int | None = None,
    job_id: int | None = None,
    classification_ids: Iterable[int] | None = None,
) -> QuerySet[Classification]:
    """Those with an earlier equal classification of the same detection."""
    earlier = Classification.objects.filter(
        *(NotDistinct(F(name), OuterRef(name)) for name in SAME),
        detection=OuterRef("detection"),
        pk__lt=OuterRef("pk"),
    )
    return in_scope(
        Classification.objects.filter(Exists(earlier)), project_id, job_id, classification_ids
    )


def _merge(ids: list[int]) -> None:
    """Merge repeatedly: classifications derived from two copies may now be copies themselves."""
    occurrence_ids = Classification.objects.filter(pk__in=ids).occurrence_ids()
    while ids:
        kept = _merge_into_earliest(ids)
        copies = get_duplicate_classifications().filter(applied_to__in=kept)
        ids = list(copies.values_list("pk", flat=True))
    update_determinations(occurrence_ids)


def _merge_into_earliest(ids: list[int]) -> set[int]:
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [ids])
        cursor.execute(KEEPERS, [ids])
        keepers = dict(cursor.fetchall())
        pairs = [list(keepers), list(keepers.values())]
        cursor.execute(MOVE_LINEAGE, pairs)
        cursor.execute(KEEP_TERMINAL, pairs)
        cursor.execute(DELETE, pairs[:1])
    return set(keepers.values())


PAIR = Pair(get_duplicate_classifications, _merge, one_pass=OnePass(FAULTS, "copy"))
reconcile_duplicate_classifications = reconciler("reconcile_duplicate_classifications", PAIR)

register(
    Check(
        key="duplicate_classification",
        title="Duplicate classification",
        severity=Severity.WARNING,
        tag=Tag.CLASSIFICATIONS,
        pairs=(PAIR,),
        meaning=(
            "Two classifications of a detection have the same algorithm, taxon, score and source "
            "(`applied_to`). All but the earliest are faulty."
        ),
        cause="Results were saved or imported twice.",
        repair=(
            "Deletes the later ones. Classifications derived from them then refer to the earliest "
            "one, which becomes terminal if any of them was. Then the [determination "
            "rule](../rows.md#determination) is applied to their occurrences."
        ),
        limits=(
            "Scores of the other classes, logits and metadata are not compared. Those of the "
            "earliest one are kept."
        ),
    )
)
