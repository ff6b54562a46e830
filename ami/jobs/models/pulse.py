from django.db import models
from django.utils import timezone


class Pulse(models.Model):
    """When something that must go on for ever was last heard of."""

    class Name(models.TextChoices):
        TICK = "tick", "Tick of beat"
        HEALTH_CHECK = "health_check", "Health check of Jobs"

    name = models.CharField(max_length=32, primary_key=True, choices=Name)
    at = models.DateTimeField("last heard of")

    class Meta:
        verbose_name = "sign of life"
        verbose_name_plural = "signs of life"

    def __str__(self) -> str:
        return self.get_name_display()

    @classmethod
    def record(cls, name: Name) -> None:
        """It was heard of now."""
        cls.objects.update_or_create(name=name, defaults={"at": timezone.now()})
