"""Delete the files of exports and imports with their rows, however these are deleted."""

from functools import partial
from typing import Any

from django.db import transaction
from django.db.models.signals import post_delete
from django.dispatch import receiver

from ami.exchange.models import Export, Import


@receiver(post_delete, sender=Export)
@receiver(post_delete, sender=Import)
def delete_files(instance: Export | Import, **_: Any) -> None:
    transaction.on_commit(partial(instance.delete_files), robust=True)
