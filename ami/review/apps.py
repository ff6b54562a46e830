from django.apps import AppConfig


class ReviewConfig(AppConfig):
    name = "ami.review"
    verbose_name = "Review"
