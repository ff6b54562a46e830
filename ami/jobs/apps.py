from importlib import import_module

from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "ami.jobs"

    def ready(self) -> None:
        """Register what checks, keeps rows, hears workers, and makes job types."""
        for module in ("checks", "deletion", "signals", "vitals", "revert", "repairs"):
            import_module(f"{self.name}.{module}")
