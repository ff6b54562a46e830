"""Where files are kept: static files, MEDIA_ROOT, and one bucket that the environment names."""

import os
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

SECONDS = 300  # how long a signed URL is valid


def s3() -> dict[str, Any]:
    """Return the storage "s3" by its name; nothing without S3_BUCKET."""
    if not (bucket := os.environ.get("S3_BUCKET")):
        return {}
    try:
        from botocore.config import Config  # noqa: PLC0415
    except ImportError as missing:
        raise ImproperlyConfigured("S3_BUCKET needs boto3: install ami[s3].") from missing

    options = {
        "bucket_name": bucket,
        "endpoint_url": _endpoint(),
        "access_key": os.environ.get("S3_ACCESS_KEY") or None,
        "secret_key": os.environ.get("S3_SECRET_KEY") or None,
        "region_name": _region(),
        "querystring_expire": SECONDS,
        "file_overwrite": False,
        # The bucket is in the path, so that each URL begins with the endpoint. A storage that does
        # not answer must not keep the processes of the site busy.
        "client_config": Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            connect_timeout=2,
            read_timeout=5,
            retries={"total_max_attempts": 1},
        ),
    }
    return {"s3": {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}}


def s3_origins() -> list[str]:
    """Return the origin of signed URLs, which pages may show pictures of; none without a bucket."""
    if not os.environ.get("S3_BUCKET"):
        return []
    parts = urlsplit(_endpoint())
    return [f"{parts.scheme}://{parts.netloc}"]


def _region() -> str:
    return os.environ.get("S3_REGION") or "us-east-1"


def _endpoint() -> str:
    url = os.environ.get("S3_ENDPOINT_URL") or f"https://s3.{_region()}.amazonaws.com"
    if not url.startswith(("http://", "https://")):
        raise ImproperlyConfigured(
            f"S3_ENDPOINT_URL must begin with http:// or https://, got {url!r}."
        )
    return url
