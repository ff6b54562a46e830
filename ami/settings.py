"""The settings that a project needs to run the Jobs of `ami` on Celery and Redis.

A settings module imports them with ``from ami.settings import *``, and sets `CELERY_BROKER_URL`
itself. `manage.py check` refuses values that do not fit together.

The behavior of Celery 5.7 with Redis, tested with real workers:

- SIGTERM starts the soft shutdown: tasks that end in time are acknowledged, others are stopped and
  their messages return to the queue.
- If a pool process dies or reaches the hard limit, its message returns to the queue.
- If a whole worker dies, its messages return after the visibility timeout. The task
  ami.jobs.tasks.tick returns them sooner.
"""

import socket

# In seconds. Each must exceed the one before by a margin: a worker ends its time on a part
# (PART_SECONDS in ami.jobs.engine.parts) with a whole batch, the soft limit lets a task clean up,
# and a second worker must not get a message in use, even if the clocks of two machines differ by
# minutes.
CELERY_TASK_SOFT_TIME_LIMIT = 10 * 60
CELERY_TASK_TIME_LIMIT = 12 * 60
CELERY_VISIBILITY_TIMEOUT = 30 * 60

# The limit of work that is one call, such as a method that overrides `run`. It may exceed the
# visibility timeout: a message that is delivered again waits.
OWN_RUN_TIME_LIMIT = 12 * 60 * 60
# The time between its soft and its hard limit.
OWN_RUN_CLEAN_UP = 2 * 60

# The days for which the file of an export can be downloaded, and that of an import is kept.
EXPORT_DAYS = 7

# The largest file that can be uploaded.
IMPORT_MAX_BYTES = 2 * 2**30
FILE_UPLOAD_HANDLERS = ["ami.exchange.uploads.LimitedUploadHandler"]

# Lower levels go only to the log of the worker.
JOB_LOG_LEVEL = "INFO"

# Each batch is committed, so little work is lost if a worker stops soon.
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 10

CELERY_TASK_ACKS_LATE = True
CELERY_TASK_ACKS_ON_TIMEOUT = False
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_TRACK_STARTED = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 2, "interval_start": 0, "interval_max": 0.5}
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_WORKER_SEND_TASK_EVENTS = True
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"

# The tasks that people may schedule in the admin. A worker would run any other task by its name.
PERIODIC_TASKS = [
    "ami.exchange.tasks.delete_expired_exports",
    "ami.integrity.tasks.check_data_integrity",
    "ami.integrity.tasks.data_integrity_check",
    "ami.jobs.tasks.jobs_health_check",
    "ami.jobs.tasks.tick",
    "ami.main.tasks.check_data_integrity",
    "ami.main.tasks.regroup_events",
    "celery.backend_cleanup",
]

# Short work never waits behind long work if each queue has its own workers (`-Q`).
CELERY_TASK_DEFAULT_QUEUE = "ami"
CELERY_TASK_QUEUES: dict[str, dict[str, object]] = {"ami": {}, "post_processing": {}}
CELERY_TASK_ROUTES = {
    "ami.jobs.tasks.run_job": {"queue": "post_processing"},
    "ami.jobs.tasks.run_part": {"queue": "post_processing"},
    "ami.jobs.tasks.run_whole": {"queue": "post_processing"},
    "ami.integrity.tasks.data_integrity_check": {"queue": "post_processing"},
    "ami.integrity.tasks.check_data_integrity": {"queue": "post_processing"},
    "ami.main.tasks.check_data_integrity": {"queue": "post_processing"},
}

CELERY_BROKER_CONNECTION_TIMEOUT = 4
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# Not every system has all three.
_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, object] = {
    "visibility_timeout": CELERY_VISIBILITY_TIMEOUT,
    "socket_connect_timeout": 4,
    "socket_timeout": 15,
    "socket_keepalive": True,
    "socket_keepalive_options": {
        getattr(socket, name): value for name, value in _KEEPALIVE.items() if hasattr(socket, name)
    },
    "health_check_interval": 25,
}
CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS = {"visibility_timeout": CELERY_VISIBILITY_TIMEOUT}
