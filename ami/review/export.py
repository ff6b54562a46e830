"""The answers to a sample as CSV."""

from collections.abc import Iterator
from typing import Any

from ami.review.models import Sample
from ami.review.readings import Answer, Reading, read

COLUMNS = (
    "position",
    "occurrence",
    "stratum",
    "determination",
    "determination_before",
    "score",
    "run",
    "read_twice",
    "reader",
    "verdict",
    "counts",
    "named",
    "blind",
    "seconds",
    "answered_at",
)
OF_ANSWER = 7


def answer_rows(sample: Sample) -> Iterator[tuple[Any, ...]]:
    """Yield a row per answer in the order of the sample, and one per item without any.

    `counts` tells whether the answer decides its item; see :mod:`ami.review.readings`.
    """
    for reading in read(sample):
        yield from _rows(sample, reading)


def _rows(sample: Sample, reading: Reading) -> Iterator[tuple[Any, ...]]:
    item = reading.item
    columns = (
        item.position,
        item.occurrence_id,
        sample.populations[item.stratum]["name"] if sample.populations else "",
        item.taxon,
        item.taxon_before,
        item.score,
        item.run,
        "yes" if item.is_double else "no",
    )
    for answer in reading.answers:
        yield (*columns, *_answer(answer, decides=answer is reading.decisive))
    if not reading.answers:
        yield (*columns, *[""] * OF_ANSWER)


def _answer(answer: Answer, *, decides: bool) -> tuple[Any, ...]:
    return (
        answer.reader,
        answer.verdict,
        "yes" if decides else "no",
        answer.taxon,
        "yes" if answer.blind else "no",
        answer.seconds,
        answer.created_at.isoformat(),
    )
