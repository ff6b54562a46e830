from celery import shared_task

from ami.exchange.work import delete_expired


@shared_task
def delete_expired_exports() -> int:
    """Delete exports and uploads that have expired; scheduled once per day."""
    return delete_expired()
