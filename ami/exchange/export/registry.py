"""The formats that the project writes. Each module of :mod:`.formats` registers one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import IO, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import BaseModel, Extra, Field, validator

from ami.base.registry import Registry
from ami.exchange.export.source import Source

Pass: TypeAlias = Literal["occurrences", "captures"]


class ExportError(Exception):
    """The export cannot be made; the message is one sentence."""


class ExportOptions(BaseModel, extra=Extra.forbid):
    """What decides the contents of a file besides its format and scope."""

    media_url: str = Field(
        "",
        max_length=500,
        title="Media URL",
        description="Put this address before the relative paths of captures and crops, such as "
        "https://images.example.org/.",
    )

    @validator("media_url")
    def _is_an_address(cls, value: str) -> str:  # noqa: N805
        value = value.strip()
        if not value:
            return ""
        try:
            parts = urlsplit(value)
        except ValueError:
            parts = urlsplit("")
        if (
            parts.scheme not in {"http", "https"}
            or not parts.netloc
            or any(map(str.isspace, value))
        ):
            raise ValueError("must be an address that begins with http:// or https://")
        return value if value.endswith("/") else f"{value}/"


@dataclass(frozen=True, kw_only=True)
class Format:
    """A file format.

    `write` reads a source, batch by batch, and writes to a binary file that can seek. `passes`
    names what it reads, in order, so that the share done is known. `needs` maps packages that may
    be missing to the command that installs them.
    """

    key: str
    name: str
    suffix: str
    media_type: str
    write: Callable[[Source, IO[bytes]], None]
    passes: tuple[Pass, ...]
    description: str
    needs: Mapping[str, str] = field(default_factory=dict)

    def require(self) -> None:
        """Raises ExportError if a package that the format needs is not installed."""
        for package, command in self.needs.items():
            if find_spec(package) is None:
                raise ExportError(
                    f"The format {self.key!r} needs the package {package}. Run `{command}`."
                )


FORMATS: Registry[Format] = Registry("format")


def register(form: Format) -> None:
    FORMATS.register(form.key, form)


def parse_options(values: Mapping[str, Any]) -> ExportOptions:
    """Raises pydantic's ValidationError."""
    return ExportOptions(**values)
