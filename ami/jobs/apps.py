from importlib import import_module

from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "ami.jobs"

    def ready(self) -> None:
        """Register system checks, what workers hear and tell, and job types."""
        for module in ("checks", "signals", "vitals", "revert", "repairs"):
            import_module(f"{self.name}.{module}")
