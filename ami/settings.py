"""The settings that a project needs to run the Jobs of `ami` on Celery and Redis.

A settings module takes them with ``from ami.settings import *``, and sets `CELERY_BROKER_URL`
itself. `manage.py check` refuses numbers that do not fit together.

What Celery 5.7 and Redis do, each seen with real workers:

- SIGTERM, then the soft shutdown: what has ended by then is acknowledged, what has not is
  stopped, and its message is back in the queue.
- A pool process that dies, or runs into the hard limit: its message is back in the queue.
- A whole worker that dies: its messages come back after the visibility timeout. A tick of ami.jobs
  gives them back sooner.
"""

import socket

# Seconds. Each needs room above the one before it: the slice of a part (ami.jobs.parts) ends with
# a batch, the soft limit lets a task clean up, and a message that is worked on must not be given to
# a second worker, even where the clocks of two machines are minutes apart.
CELERY_TASK_SOFT_TIME_LIMIT = 10 * 60
CELERY_TASK_TIME_LIMIT = 12 * 60
CELERY_VISIBILITY_TIMEOUT = 30 * 60

# Of work that is one call, such as a method with a `run` of its own, which gives no message back
# in between. It may be longer than the visibility timeout: a message that comes again waits.
OWN_RUN_TIME_LIMIT = 12 * 60 * 60
# From its soft to its hard limit.
OWN_RUN_CLEAN_UP = 2 * 60

# What is below goes to the log of the worker alone.
JOB_LOG_LEVEL = "INFO"

# Batches are committed as they end, so little is lost by stopping soon.
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

# Short work never waits behind long work, where each has workers of its own (`-Q`).
CELERY_TASK_DEFAULT_QUEUE = "ami"
CELERY_TASK_QUEUES: dict[str, dict[str, object]] = {"ami": {}, "post_processing": {}}
CELERY_TASK_ROUTES = {
    "ami.jobs.tasks.run_job": {"queue": "post_processing"},
    "ami.jobs.tasks.run_part": {"queue": "post_processing"},
    "ami.jobs.tasks.run_whole": {"queue": "post_processing"},
    "ami.jobs.tasks.data_integrity_check": {"queue": "post_processing"},
    "ami.jobs.tasks.check_data_integrity": {"queue": "post_processing"},
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
