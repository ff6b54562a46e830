from importlib import import_module

from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "ami.jobs"

    def ready(self) -> None:
        """Register system checks, what workers tell of themselves, and job types."""
        for module in ("checks", "vitals", "revert", "repairs"):
            import_module(f"{self.name}.{module}")
