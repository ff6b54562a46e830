from django.apps import AppConfig


class ExchangeConfig(AppConfig):
    name = "ami.exchange"
    verbose_name = "Import and export"
