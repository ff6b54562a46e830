"""A fresh copy of a seeded database, whose last capture set holds every capture."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from ami.main.models import SourceImageCollection
from benchmarks import databases

FILL = """
INSERT INTO main_sourceimagecollection_images (sourceimagecollection_id, sourceimage_id)
SELECT %s, id FROM main_sourceimage ON CONFLICT DO NOTHING
"""


@contextmanager
def fresh(database: str) -> Iterator[None]:
    with databases.copied(database):
        with connection.cursor() as cursor:
            cursor.execute(FILL, [capture_set()])
        databases.warm()
        yield


def capture_set() -> int:
    """The id of the capture set that holds every capture."""
    return SourceImageCollection.objects.latest("pk").pk
