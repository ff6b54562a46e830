"""The pictures of captures and detections: who sees them, and how they are made."""

import io
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from django.core.files.storage import default_storage
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from PIL import Image

from ami.base.tests.factories import (
    make_capture,
    make_deployment,
    make_detection,
    make_member,
    make_project,
    make_user,
)
from ami.main.access import Role
from ami.main.models import Detection, Project, SourceImage
from ami.main.pictures import ORIENTATION, View, crop_url, frame_url, view_of

pytestmark = pytest.mark.django_db
RED, BLUE = (200, 20, 20), (20, 20, 200)
# The moth of `draw_portrait`, in the pixels of the file and of the upright picture.
MOTH, UPRIGHT_MOTH = (10, 20, 50, 30), (50, 10, 60, 50)


@pytest.fixture
def media(tmp_path: Path) -> Any:
    with override_settings(MEDIA_ROOT=tmp_path):
        yield tmp_path


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def member(client: Client, project: Project) -> Client:
    """A member who is not staff."""
    client.force_login(make_member(project, Role.VIEWER, is_staff=False))
    return client


def draw(file: Path, size: tuple[int, int], box: tuple[int, int, int, int], **how: Any) -> None:
    """Draw a blue picture with a red box."""
    picture = Image.new("RGB", size, BLUE)
    picture.paste(RED, box)
    file.parent.mkdir(parents=True, exist_ok=True)
    picture.save(file, quality=95, **how)


def draw_portrait(file: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    draw(file, (100, 80), MOTH, exif=exif)


def capture_of(project: Project, **fields: Any) -> SourceImage:
    deployment = make_deployment(project=project)
    return make_capture(**{"deployment": deployment, "path": "night/frame.jpg"} | fields)


def picture_of(response: Any) -> Image.Image:
    assert response.status_code == 200
    assert response["Content-Type"] == "image/jpeg"
    assert "private" in response["Cache-Control"]
    return Image.open(io.BytesIO(b"".join(response.streaming_content)))


def text_of(response: Any) -> str:
    return BeautifulSoup(response.text, "html.parser").get_text()


def is_red(found: Any) -> bool:
    return all(abs(one - other) < 40 for one, other in zip(found, RED, strict=True))


def reason(response: Any) -> str:
    assert response.status_code == 404
    assert response["Content-Type"] == "image/svg+xml"
    return " ".join(piece.partition("<")[0] for piece in response.text.split('dy="13">')[1:])


@pytest.mark.parametrize("kind", ["frame", "crop"])
def test_only_members_of_the_project_see_a_picture(
    client: Client, media: Path, project: Project, kind: str
) -> None:
    capture = capture_of(project)
    draw(media / capture.path, (100, 80), MOTH)
    url = frame_url(capture.pk)
    if kind == "crop":
        url = crop_url(make_detection(source_image=capture, bbox=MOTH).pk)
    unknown = url.replace("/picture", "0000/picture")
    strangers = (
        None,
        make_user(),
        make_user(is_staff=True),
        make_member(make_project(), Role.MANAGER),
    )
    for person in strangers:
        client.logout()
        if person:
            client.force_login(person)
        for address in (url, unknown):
            answer = client.get(address)
            assert answer.status_code == 404
            assert answer["Content-Type"].startswith("text/html")
        assert text_of(client.get(url)) == text_of(client.get(unknown))
    people = [make_user(is_superuser=True), make_member(project, Role.VIEWER, is_staff=False)]
    for person in people:
        client.force_login(person)
        with CaptureQueriesContext(connection) as queries:
            assert picture_of(client.get(url)).size
        assert len(queries) <= 4
        assert client.post(url).status_code == 405
        assert client.get(unknown).status_code == 404


def test_crop_without_a_file_is_cut_out_of_its_capture(
    member: Client, media: Path, project: Project
) -> None:
    capture = capture_of(project, width=100, height=80)
    draw(media / capture.path, (100, 80), MOTH)
    detection = make_detection(source_image=capture, bbox=[9.6, 20, 50, 29.7])
    crop = picture_of(member.get(crop_url(detection.pk)))
    assert crop.size == (41, 10)
    assert is_red(crop.getpixel((20, 5)))
    small = picture_of(member.get(crop_url(detection.pk, 96)))
    assert small.size == (41, 10)  # pictures are never enlarged
    detection.bbox = [0, 0, 10_000, 10_000]
    detection.save()
    assert picture_of(member.get(crop_url(detection.pk, 96))).size == (96, 77)


def test_crop_with_a_file_is_that_file(member: Client, media: Path, project: Project) -> None:
    draw(media / "crops/a b.jpg", (400, 200), MOTH)
    detection = make_detection(source_image=capture_of(project), path="crops/a b.jpg")
    assert picture_of(member.get(crop_url(detection.pk))).size == (400, 200)
    assert picture_of(member.get(crop_url(detection.pk, 96))).size == (96, 48)
    assert picture_of(member.get(crop_url(detection.pk, 96))).size == (96, 48)
    assert len(list((media / "thumbnails").rglob("*.jpg"))) == 1
    draw(media / "crops/a b.jpg", (300, 300), MOTH)  # replaced
    assert picture_of(member.get(crop_url(detection.pk, 96))).size == (96, 96)


def test_cut_crop_follows_the_recorded_size_of_its_capture(
    member: Client, media: Path, project: Project
) -> None:
    capture = capture_of(project, width=80, height=100)
    draw_portrait(media / capture.path, 6)
    url = crop_url(make_detection(source_image=capture, bbox=MOTH).pk)
    assert picture_of(member.get(url)).size == (40, 10)
    SourceImage.objects.filter(pk=capture.pk).update(width=100, height=80)
    assert picture_of(member.get(url)).size == (10, 40)


def test_failed_save_leaves_no_file(
    member: Client, media: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture = capture_of(project)
    draw(media / capture.path, (100, 80), MOTH)

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    assert reason(member.get(frame_url(capture.pk, 96))) == "Smaller picture cannot be saved"
    assert not [file for file in (media / "thumbnails").rglob("*") if file.is_file()]


@pytest.mark.parametrize(
    ("orientation", "transform"),
    [
        (6, "matrix(0 1 -1 0 80 0)"),
        (8, "matrix(0 -1 1 0 0 100)"),
        (5, "matrix(0 1 1 0 0 0)"),
        (7, "matrix(0 -1 -1 0 80 100)"),
    ],
)
def test_portrait_is_upright_and_its_boxes_in_place(
    member: Client,
    media: Path,
    project: Project,
    orientation: int,
    transform: str,
) -> None:
    capture = capture_of(project, width=100, height=80)
    draw_portrait(media / capture.path, orientation)
    frame = picture_of(member.get(frame_url(capture.pk, 1280)))
    assert frame.size == (80, 100)
    view = view_of(capture)
    assert view == View(80, 100, transform)
    # The transform moves the box of the file to where the moth is on the upright picture.
    a, b, c, d, e, f = map(int, transform.removeprefix("matrix(").rstrip(")").split())
    x, y = (MOTH[0] + MOTH[2]) / 2, (MOTH[1] + MOTH[3]) / 2
    middle = (a * x + c * y + e, b * x + d * y + f)
    assert is_red(frame.getpixel((int(middle[0]), int(middle[1]))))
    crop = picture_of(member.get(crop_url(make_detection(source_image=capture, bbox=MOTH).pk)))
    assert crop.size == (10, 40)
    assert is_red(crop.getpixel((5, 20)))


def test_boxes_of_an_upright_portrait_are_taken_as_they_are(
    member: Client, media: Path, project: Project
) -> None:
    capture = capture_of(project, width=80, height=100)
    draw_portrait(media / capture.path, 6)
    assert view_of(capture) == View(80, 100, "")
    detection = make_detection(source_image=capture, bbox=UPRIGHT_MOTH)
    crop = picture_of(member.get(crop_url(detection.pk)))
    assert crop.size == (10, 40)
    assert is_red(crop.getpixel((5, 20)))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("none.jpg", "Capture file not found"),
        ("../secret.jpg", "Invalid capture path"),
        ("/etc/passwd.jpg", "Invalid capture path"),
        ("{media}/inside.jpg", "Invalid capture path"),
        ("a/./b.jpg", "Invalid capture path"),
        ("thumbnails/96/00/0.jpg", "Invalid capture path"),
        (f"{'x' * 300}.jpg", "Capture file not found"),
        ("page.html", "Not a picture"),
        ("drawing.svg", "Not a picture"),
        ("broken.jpg", "Unreadable file"),
        ("short.jpg", "Unreadable file"),
    ],
)
def test_missing_picture_is_a_placeholder_with_the_reason(
    member: Client, media: Path, project: Project, path: str, expected: str
) -> None:
    (media / "broken.jpg").write_bytes(b"not a picture")
    draw(media / "short.jpg", (400, 300), MOTH)
    (media / "short.jpg").write_bytes((media / "short.jpg").read_bytes()[:700])
    (media / "page.html").write_text("<script>")
    (media.parent / "secret.jpg").write_bytes(b"secret")
    draw(media / "inside.jpg", (400, 300), MOTH)
    capture = capture_of(project, path=path.replace("{media}", str(media)))
    assert reason(member.get(frame_url(capture.pk, 96))) == expected
    detection = make_detection(source_image=capture)
    assert reason(member.get(crop_url(detection.pk, 96))) == expected


@pytest.mark.parametrize("bbox", [None, [], [1, 2, 3], [5, 5, 5, 9], [float("nan"), 1, 2, 3]])
def test_crop_without_file_and_box_is_a_placeholder(
    member: Client, project: Project, bbox: list[float] | None
) -> None:
    detection = make_detection(source_image=capture_of(project))
    Detection.objects.filter(pk=detection.pk).update(bbox=bbox)
    assert reason(member.get(crop_url(detection.pk))) == "No crop file"


def test_picture_on_another_server_is_a_redirect(member: Client, project: Project) -> None:
    url = "https://example.org/moth.jpg?size=1"
    capture = capture_of(project, path=url)
    assert member.get(frame_url(capture.pk, 96))["Location"] == url
    detection = make_detection(source_image=capture)
    assert reason(member.get(crop_url(detection.pk))) == "Capture on another server"


def test_unchanged_picture_is_not_sent_again(member: Client, media: Path, project: Project) -> None:
    capture = capture_of(project)
    draw(media / capture.path, (100, 80), MOTH)
    first = member.get(frame_url(capture.pk))
    picture_of(first)
    again = member.get(frame_url(capture.pk), headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_proxy_sends_the_file_if_there_is_one(
    member: Client, media: Path, project: Project
) -> None:
    capture = capture_of(project, path="night/a b.jpg")
    draw(media / capture.path, (100, 80), MOTH)
    with override_settings(X_ACCEL_REDIRECT="/media/"):
        answer = member.get(frame_url(capture.pk))
    assert answer["X-Accel-Redirect"] == "/media/night/a%20b.jpg"
    assert (answer["Content-Type"], answer.content) == ("image/jpeg", b"")


def test_proxy_of_another_user_can_read_what_was_made(
    member: Client, media: Path, project: Project
) -> None:
    capture = capture_of(project, path="a.jpg")
    draw(media / capture.path, (100, 80), MOTH)
    picture_of(member.get(frame_url(capture.pk, 96)))
    (made,) = (media / "thumbnails").rglob("*.jpg")
    assert made.stat().st_mode & 0o777 == 0o644


@pytest.mark.usefixtures("media")
@pytest.mark.parametrize("size", ["1", "", "x", "-96", "1280000", "96\x00"])
def test_other_sizes_do_not_exist(member: Client, project: Project, size: str) -> None:
    assert member.get(frame_url(capture_of(project).pk), {"size": size}).status_code == 404
    assert member.get(frame_url(2**70)).status_code == 404
    assert not default_storage.exists("thumbnails")


def test_only_superusers_write_paths(client: Client, project: Project) -> None:
    capture = capture_of(project)
    detection = make_detection(source_image=capture, path="crop.jpg")
    pages = [f"/admin/main/sourceimage/{capture.pk}/", f"/admin/main/detection/{detection.pk}/"]
    for person, may in (
        (make_member(project, Role.MANAGER), False),
        (make_user(is_staff=True, is_superuser=True), True),
    ):
        client.force_login(person)
        for page in pages:
            shown = client.get(f"{page}change/")
            assert ("path" in shown.context["adminform"].form.fields) is may
        assert client.get("/admin/main/sourceimage/add/").status_code == (200 if may else 403)
