"""Files of a random walk: what a person imports into its deployment, and shifts of its clock."""

from datetime import timedelta
from random import Random
from typing import Any

from ami.exchange.clock import plan_shift, queue_shift
from ami.exchange.tests.exports import make_example, make_record
from ami.exchange.tests.uploads import queued
from ami.jobs.models import Job
from ami.main.models import Deployment, SourceImage

SHIFTS = [timedelta(hours=hours) for hours in (1, 13, 24, -30)]
NEW = ("new/1.jpg", "new/2.jpg")
LABELS = ("a", "b", "novel")


def import_of(deployment: Deployment, number: int) -> Job:
    """The queued import of up to three individuals, on known and on new captures.

    Files of several imports have individuals, and their detections, in common.
    """
    random = Random(number)
    records = [_record(deployment, one, random) for one in range(random.randint(1, 3))]
    update, atomic = random.random() < 0.4, random.choice([True, False, None])
    assert deployment.project
    return queued(records, deployment.project, update=update, atomic=atomic)


def shift_of(deployment: Deployment, number: int) -> Job:
    return queue_shift(plan_shift(deployment, SHIFTS[number % len(SHIFTS)]))


def _record(deployment: Deployment, number: int, random: Random) -> dict[str, Any]:
    captures = SourceImage.objects.filter(deployment=deployment).order_by("pk")
    known = dict(captures.values_list("path", "timestamp"))
    examples = []
    paths = sorted({*known, *NEW})
    for place, path in enumerate(random.sample(paths, random.randint(1, 2))):
        example = make_example(number, place, source_image_path=path, label=random.choice(LABELS))
        example |= {"source_image_width": 1000, "source_image_height": 1000}
        if at := known.get(path):
            example["timestamp"] = f"{at:%Y-%m-%dT%H:%M:%S}.000Z"
        examples.append(example)
    label = examples[0]["label"]
    return make_record(number, deployment=deployment.name, label=label, examples=examples)
