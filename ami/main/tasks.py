from celery import shared_task

from ami.main.models import Deployment, group_images_into_events


@shared_task
def regroup_events(deployment_id: int) -> None:
    """Group the captures of one deployment into nights."""
    group_images_into_events(Deployment.objects.get(pk=deployment_id))
