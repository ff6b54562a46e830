"""Pictures in a bucket, which moto's server keeps."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import requests
from django.conf import settings
from django.test import Client, override_settings
from PIL import Image

from ami.base.tests.buckets import bucket_server, bucket_variables, new_bucket
from ami.base.tests.factories import (
    make_capture,
    make_deployment,
    make_detection,
    make_member,
    make_project,
    make_user,
)
from ami.main.access import Role
from ami.main.models import Deployment, Project
from ami.main.pictures import View, crop_url, frame_url, view_of
from ami.main.tests.test_pictures import MOTH, draw, draw_portrait, picture_of, reason
from config.settings.storages import s3, s3_origins

NAME = "night/a b.jpg"

# Serves one picture of the bucket, as it is and smaller, without a database.
SERVE = f"""
import django
django.setup()
from django.test import RequestFactory
from ami.main.admin.pictures import serve
from ami.main.models import Deployment, SourceImage
from ami.main.pictures import frame
capture = SourceImage(path={NAME!r}, deployment=Deployment(storage="s3"))
request = RequestFactory().get("/")
print(serve(request, frame(capture))["Location"])
print(len(b"".join(serve(request, frame(capture, 96)).streaming_content)))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with bucket_server() as url:
        yield url


@pytest.fixture
def named(server: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment that names the bucket."""
    named = bucket_variables(server, "captures")
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    return named


@pytest.fixture
def bucket(server: str, named: dict[str, str], tmp_path: Path) -> Iterator[Any]:
    requests.post(f"{server}/moto-api/reset", timeout=30)
    with new_bucket(server, "captures") as client:
        draw(tmp_path / "frame.jpg", (400, 300), MOTH)
        client.upload_file(str(tmp_path / "frame.jpg"), "captures", NAME)
        with override_settings(MEDIA_ROOT=tmp_path / "media", STORAGES=settings.STORAGES | s3()):
            yield client


@pytest.fixture
def project(db: None) -> Project:
    return make_project()


@pytest.fixture
def member(client: Client, project: Project) -> Client:
    client.force_login(make_member(project, Role.VIEWER, is_staff=False))
    return client


def capture_in(project: Project, storage: str = "s3", **fields: Any) -> Any:
    deployment = make_deployment(project=project, storage=storage)
    return make_capture(**{"deployment": deployment, "path": NAME} | fields)


def test_member_is_sent_to_a_signed_url(bucket: Any, member: Client, project: Project) -> None:
    answer = member.get(frame_url(capture_in(project).pk))
    assert answer.status_code == 302
    assert "private" in answer["Cache-Control"]
    assert "max-age=150" in answer["Cache-Control"]
    assert "X-Amz-Expires=300" in answer["Location"]
    assert answer["Location"].startswith(f"{s3_origins()[0]}/captures/")
    file = requests.get(answer["Location"], timeout=30)
    assert Image.open(BytesIO(file.content)).size == (400, 300)


def test_stranger_gets_no_signed_url(bucket: Any, client: Client, project: Project) -> None:
    url = frame_url(capture_in(project).pk)
    for person in (None, make_member(make_project(), Role.MANAGER)):
        if person:
            client.force_login(person)
        assert client.get(url).status_code == 404


def test_smaller_pictures_and_cut_crops_are_local_files(
    bucket: Any, member: Client, project: Project
) -> None:
    capture = capture_in(project, width=400, height=300)
    detection = make_detection(source_image=capture, bbox=MOTH)
    assert picture_of(member.get(frame_url(capture.pk, 96))).size == (96, 72)
    assert picture_of(member.get(crop_url(detection.pk))).size == (40, 10)


def test_same_path_in_two_storages_is_two_pictures(
    bucket: Any, member: Client, project: Project
) -> None:
    here = capture_in(project, storage="")
    draw(Path(settings.MEDIA_ROOT) / NAME, (300, 300), MOTH)
    assert picture_of(member.get(frame_url(capture_in(project).pk, 96))).size == (96, 72)
    assert picture_of(member.get(frame_url(here.pk, 96))).size == (96, 96)
    assert picture_of(member.get(frame_url(here.pk))).size == (300, 300)


@pytest.mark.parametrize(
    ("path", "expected"),
    [("none.jpg", "Capture file not found"), ("../secret.jpg", "Invalid capture path")],
)
def test_missing_object_is_a_placeholder(
    bucket: Any, member: Client, project: Project, path: str, expected: str
) -> None:
    capture = capture_in(project, path=path)
    for size in (None, 96):
        assert reason(member.get(frame_url(capture.pk, size))) == expected


def test_storage_that_refuses_is_a_placeholder(
    bucket: Any, member: Client, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture = capture_in(project)
    with socket.socket() as closed:  # bound, but it does not listen
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("S3_ENDPOINT_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
        with override_settings(STORAGES=settings.STORAGES | s3()):
            for size in (None, 96):
                answer = member.get(frame_url(capture.pk, size))
                assert reason(answer) == "Storage does not answer"


def test_storage_that_is_not_in_the_settings_is_a_placeholder(
    member: Client, project: Project
) -> None:
    capture = capture_in(project, storage="tape", width=400, height=300)
    assert reason(member.get(frame_url(capture.pk))) == "Storage tape is not in the settings"
    assert view_of(capture) == View(400, 300, "")


def test_pages_do_not_ask_the_bucket(
    bucket: Any, client: Client, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_portrait(tmp_path / "portrait.jpg", 6)
    bucket.upload_file(str(tmp_path / "portrait.jpg"), "captures", NAME)
    capture = capture_in(project, width=100, height=80)
    detection = make_detection(source_image=capture, bbox=MOTH)
    client.force_login(make_user(is_staff=True, is_superuser=True))

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("asked the bucket")

    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", refuse)
    for page in (
        "sourceimage/",
        "detection/",
        f"sourceimage/{capture.pk}/change/",
        f"detection/{detection.pk}/change/",
    ):
        assert client.get(f"/admin/main/{page}").status_code == 200
    assert view_of(capture) == View(100, 80, "")


def test_processes_that_share_no_disk_serve_the_same_picture(
    bucket: Any, named: dict[str, str], tmp_path: Path
) -> None:
    roots = [tmp_path / "one", tmp_path / "two"]
    for root in roots:
        done = subprocess.run(
            [sys.executable, "-c", SERVE],
            cwd=settings.ROOT,
            env=os.environ
            | named
            | {"MEDIA_ROOT": str(root), "DJANGO_SETTINGS_MODULE": "config.settings.test"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        location, size = done.stdout.split()
        assert requests.get(location, timeout=30).status_code == 200
        (made,) = (root / "thumbnails").rglob("*.jpg")
        assert made.stat().st_size == int(size)


def test_only_superusers_choose_a_storage(bucket: Any, client: Client, project: Project) -> None:
    deployment = make_deployment(project=project)
    page = f"/admin/main/deployment/{deployment.pk}/change/"
    fields = {"name": "Trap", "project": project.pk, "time_zone": "UTC"}
    fields["night_starts"] = "12:00"
    client.force_login(make_member(project, Role.MANAGER))
    assert client.post(page, fields | {"storage": "s3"}).status_code == 302
    assert Deployment.objects.get().storage == ""
    client.force_login(make_user(is_staff=True, is_superuser=True))
    for wrong in ("tape", "default", "staticfiles"):
        answer = client.post(page, fields | {"storage": wrong})
        assert f"{wrong} is not one of the available choices." in answer.text
    assert client.post(page, fields | {"storage": "s3"}).status_code == 302
    assert Deployment.objects.get().storage == "s3"


def test_pages_may_show_pictures_of_the_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("S3_BUCKET", raising=False)
    assert s3_origins() == []
    assert s3() == {}
    monkeypatch.setenv("S3_BUCKET", "captures")
    monkeypatch.delenv("S3_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("S3_REGION", "eu-west-1")
    assert s3_origins() == ["https://s3.eu-west-1.amazonaws.com"]
    monkeypatch.setenv("S3_ENDPOINT_URL", "https://objects.example.org:9000/")
    assert s3_origins() == ["https://objects.example.org:9000"]
