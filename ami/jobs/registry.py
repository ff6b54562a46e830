"""What a Job can be. Higher layers add their job types when the apps are ready."""

from collections.abc import Callable
from typing import TypeAlias

from ami.base.registry import Registry
from ami.jobs.models import Job

JobRunner: TypeAlias = Callable[[Job], None]

JOB_TYPES: Registry[JobRunner] = Registry("job type")
