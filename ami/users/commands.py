"""`--as`: a command that has the rights of a user, who is recorded."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from ami.base.commands import BAD_USAGE
from ami.users.models import User


def add_person(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--as",
        dest="person",
        metavar="E-MAIL",
        help="run with the rights of this user, who is recorded",
    )


def person_of(options: dict[str, Any]) -> User | None:
    """Return the user of `--as`, if any. Raises CommandError if there is no such active user."""
    email = options["person"]
    if email is None:
        return None
    user = User.objects.filter(email=email, is_active=True).first()
    if user is None:
        raise CommandError(f"There is no active user {email!r}.", returncode=BAD_USAGE)
    return user
