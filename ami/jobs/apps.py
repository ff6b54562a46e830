from importlib import import_module

from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "ami.jobs"

    def ready(self) -> None:
        """Import the modules that register system checks, guards, signals and job types."""
        for module in (
            "checks",
            "deletion",
            "signals",
            "journal.revert",
            "watch.vitals",
        ):
            import_module(f"{self.name}.{module}")
