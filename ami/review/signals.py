"""Take an answer back with its identification, wherever a person withdraws that."""

from typing import Any

from django.db.models.signals import post_save
from django.dispatch import receiver
from django.utils import timezone

from ami.main.models import Identification
from ami.review.models import Judgement


@receiver(post_save, sender=Identification)
def take_back(instance: Identification, **_: Any) -> None:
    if instance.withdrawn:
        said = Judgement.objects.filter(identification=instance, withdrawn=False)
        said.update(withdrawn=True, updated_at=timezone.now())
