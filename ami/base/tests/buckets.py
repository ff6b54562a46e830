"""Buckets for tests, which moto's server keeps."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import boto3
from moto.server import ThreadedMotoServer


@contextmanager
def bucket_server() -> Iterator[str]:
    """Serve buckets in the block; yields the server's URL."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def bucket_variables(url: str, bucket: str) -> dict[str, str]:
    """Return the environment variables that name a bucket of the server, and may read it."""
    return {
        "S3_BUCKET": bucket,
        "S3_ENDPOINT_URL": url,
        "S3_ACCESS_KEY": "reader",
        "S3_SECRET_KEY": "secret",
    }


@contextmanager
def new_bucket(url: str, bucket: str) -> Iterator[Any]:
    """Create a bucket; yields a client that may write."""
    options = {"aws_access_key_id": "writer", "aws_secret_access_key": "secret"}
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **options)
    with closing(client):
        client.create_bucket(Bucket=bucket)
        yield client
