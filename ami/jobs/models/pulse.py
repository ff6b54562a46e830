from django.db import models
from django.utils import timezone


class Pulse(models.Model):
    """When a service that must run all the time last reported."""

    class Name(models.TextChoices):
        TICK = "tick", "Celery beat"
        HEALTH_CHECK = "health_check", "Job health check"

    name = models.CharField(max_length=32, primary_key=True, choices=Name)
    at = models.DateTimeField("last heartbeat")

    class Meta:
        verbose_name = "heartbeat"

    def __str__(self) -> str:
        return self.get_name_display()

    @classmethod
    def record(cls, name: Name) -> None:
        """Record that the service reported now."""
        cls.objects.update_or_create(name=name, defaults={"at": timezone.now()})
