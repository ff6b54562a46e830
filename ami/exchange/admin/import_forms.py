"""The forms of imports: a file, and what a person decides about it besides."""

from pathlib import Path
from typing import Any, cast

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat

from ami.exchange.base import ImportRefusedError, check_text
from ami.exchange.importing.options import Boxes, ImportOptions, NameListOptions
from ami.exchange.importing.rights import lacking_for_names, may_import, projects_to_import_into
from ami.exchange.reading.registry import NAME_LIST, Format, format_of
from ami.exchange.tables import ENCODINGS
from ami.exchange.uploads import is_too_large
from ami.main.models import Project

FIELDS = ImportOptions.__fields__
OF_NAMES = NameListOptions.__fields__
BOXES = {
    Boxes.AS_WRITTEN: "As the format says",
    Boxes.CORNERS: "x1, y1, x2, y2 in pixels",
    Boxes.FRACTIONS: "x1, y1, x2, y2 as shares of the width and height of the capture",
    Boxes.XYWH: "x, y, width, height in pixels",
    Boxes.WHOLE: "As the format says; the whole picture for an observation without a box",
}


class OccurrencesForm(forms.Form):
    """What a person decides about an import of occurrences besides the file."""

    deployment = forms.CharField(
        required=False,
        max_length=255,
        help_text=FIELDS["deployment"].field_info.description or "",
        widget=forms.TextInput({"class": "vTextField"}),
    )
    boxes = forms.ChoiceField(
        required=False,
        choices=[(key.value, label) for key, label in BOXES.items()],
        help_text=FIELDS["boxes"].field_info.description or "",
    )
    update = forms.BooleanField(
        required=False, help_text=FIELDS["update"].field_info.description or ""
    )

    def clean_deployment(self) -> str:
        return _named(self.cleaned_data["deployment"])

    def options(self) -> ImportOptions | NameListOptions:
        """Return the options; without pictures, for whose addresses the server would ask."""
        return ImportOptions(
            deployment=self.cleaned_data["deployment"],
            boxes=Boxes(self.cleaned_data["boxes"]),
            update=self.cleaned_data["update"],
            atomic=None,
            media=None,
        )


class NameListForm(forms.Form):
    """What a person decides about an import of a name list besides the file."""

    list_name = forms.CharField(
        label="Taxa list",
        max_length=255,
        help_text=OF_NAMES["list_name"].field_info.description or "",
        widget=forms.TextInput({"class": "vTextField"}),
    )
    encoding = forms.ChoiceField(
        required=False,
        choices=[("", "As recognised"), *((key, key) for key in ENCODINGS)],
        help_text=OF_NAMES["encoding"].field_info.description or "",
    )
    update = forms.BooleanField(
        required=False, help_text=OF_NAMES["update"].field_info.description or ""
    )

    def clean_list_name(self) -> str:
        return _named(self.cleaned_data["list_name"])

    def options(self) -> ImportOptions | NameListOptions:
        return NameListOptions(
            list_name=self.cleaned_data["list_name"],
            encoding=self.cleaned_data["encoding"] or None,
            update=self.cleaned_data["update"],
        )


def _named(name: str) -> str:
    """Return a name that can be stored, or a blank one."""
    try:
        return check_text(name, length=255).strip() if name else ""
    except ValueError as odd:
        raise forms.ValidationError(f"It {odd}.") from None


def refuse_list(form: forms.Form, user: Any, project: Project | None) -> None:
    """Add an error if the person may not import into the taxa list of the form."""
    if perm := lacking_for_names(user, form.cleaned_data["list_name"], project):
        form.add_error("list_name", f"You lack the permission {perm}, which the import needs.")


class UploadForm(OccurrencesForm, NameListForm):
    """A file, the project that gets its rows, and the options of what the file turns out to be."""

    file = forms.FileField(max_length=255)
    project = forms.ModelChoiceField(Project.objects.none())
    field_order = ("file", "project")

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request
        self.form: Format | None = None
        self.fields["list_name"].required = False
        projects = cast(forms.ModelChoiceField[Project], self.fields["project"])
        projects.queryset = projects_to_import_into(request.user).order_by("name", "pk")
        limit = filesizeformat(settings.IMPORT_MAX_BYTES)
        self.fields["file"].help_text = (
            f"A file of at most {limit}: JSON, CSV, Excel, or the zip of a Camtrap DP package, a "
            "Darwin Core Archive, or a folder with results of a pipeline."
        )
        self.fields["list_name"].help_text += " Only for a name list."
        self.fields["file"].error_messages["required"] = "Choose a file."
        if is_too_large(request):
            self.fields["file"].error_messages["required"] = (
                f"The file is larger than {limit}. Divide it, or import it with the command "
                "import_occurrences."
            )

    def clean(self) -> dict[str, Any]:
        """Recognise the format; what does not fit is refused with what was recognised."""
        file: TemporaryUploadedFile | None = self.cleaned_data.get("file")
        if file is not None and "encoding" in self.cleaned_data:
            path = Path(file.temporary_file_path())
            try:
                self.form = format_of(path, encoding=self.cleaned_data["encoding"] or None)
            except ImportRefusedError as refused:
                self.add_error("file", str(refused).replace(str(path), file.name or "The file"))
            else:
                self._check(self.form, file.name or "The file")
        return self.cleaned_data

    def _check(self, form: Format, name: str) -> None:
        """Refuse the options of another kind of file, and a file that the person may not import."""
        given, user = self.cleaned_data, self.request.user
        project = given.get("project")
        if form is not NAME_LIST:
            for field in ("list_name", "encoding"):
                if given.get(field):
                    self.add_error(field, f"{name} is {form.name}, not a name list.")
            if project and not may_import(user, project):
                self.add_error("project", f"You may not import {form.name} into this project.")
            return
        for field in ("deployment", "boxes"):
            if given.get(field):
                self.add_error(field, f"{name} is {form.name}, which has none.")
        if "list_name" not in given:
            return
        if not given["list_name"]:
            self.add_error("list_name", f"{name} is {form.name}. Name the taxa list that gets it.")
        elif project:
            refuse_list(self, user, project)

    def options(self) -> ImportOptions | NameListOptions:
        kind = NameListForm if self.form is NAME_LIST else OccurrencesForm
        return kind.options(self)
