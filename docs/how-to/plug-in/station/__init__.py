from station.celery import app

__all__ = ["app"]
