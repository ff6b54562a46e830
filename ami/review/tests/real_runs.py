"""What real runs give, each of them rolled back."""

from typing import Any

from django.db import transaction

from ami.main.determinations import update_determinations
from ami.main.models import Identification, Occurrence
from ami.ml.post_processing.base import BasePostProcessingTask
from ami.review.sweep.answers import Answers


def names_after(
    task_cls: type[BasePostProcessingTask], config: dict[str, Any], answers: Answers
) -> list[int]:
    """The names of these occurrences after a run, as if nobody had identified them.

    An occurrence that the run empties is the one that its identifications have moved to.
    """
    with transaction.atomic():
        said = dict(Identification.objects.values_list("occurrence_id", "pk"))
        Identification.objects.update(withdrawn=True)
        task_cls(**config).run()
        homes = dict(Identification.objects.values_list("pk", "occurrence_id"))
        update_determinations(homes.values())
        named = Occurrence.objects.filter(determination__identifiable=True)
        names = dict(named.values_list("pk", "determination_id"))
        transaction.set_rollback(True)
    return [names.get(homes[said[pk]], 0) for pk in answers.occurrences.tolist()]
