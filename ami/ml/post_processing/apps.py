import sys
from importlib import import_module
from pkgutil import iter_modules

from django.apps import AppConfig, apps
from django.contrib import admin
from django.db.models.signals import post_migrate
from django.utils.module_loading import autodiscover_modules

APART = {"admin", "management", "tests"}


class PostProcessingConfig(AppConfig):
    name = "ami.ml.post_processing"
    verbose_name = "Post-processing"

    def ready(self) -> None:
        """Register the methods of this package, and of `post_processing` in every other app."""
        admin.site.index_template = "admin/post_processing/index.html"
        registry = import_module(f"{self.name}.registry")
        for found in iter_modules(self.module.__path__):  # type: ignore[union-attr]
            if found.name not in APART:
                registry.register_all(import_module(f"{self.name}.{found.name}"))
        autodiscover_modules("post_processing")
        for app in apps.get_app_configs():
            if plugged := sys.modules.get(f"{app.name}.post_processing"):
                registry.register_all(plugged)
        permissions = import_module(f"{self.name}.permissions")
        # This app has no models, and so gets no signal of its own.
        post_migrate.connect(permissions.create_run_permissions, sender=apps.get_app_config("jobs"))
