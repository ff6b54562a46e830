from importlib import import_module

from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "ami.jobs"

    def ready(self) -> None:
        """Register the job type that every other one can be undone with."""
        import_module(f"{self.name}.revert")
