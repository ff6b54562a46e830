from django.apps import AppConfig


class MLConfig(AppConfig):
    name = "ami.ml"
    verbose_name = "Machine learning"
