from django.contrib.admin.apps import AdminConfig


class GuardedAdminConfig(AdminConfig):
    """Django's admin with the project's own site."""

    default_site = "ami.base.guard.GuardedAdminSite"
