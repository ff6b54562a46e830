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


def require_rights(user: User | None, *perms: str, row: Any = None) -> None:
    """Raises CommandError if the user of `--as` lacks a permission, on the row if one is given."""
    for perm in perms if user else ():
        if not user.has_perm(perm, row):  # type: ignore[union-attr]
            place = "" if row is None else f" for {str(row)!r}"
            raise CommandError(f"{user} lacks {perm}{place}.", returncode=BAD_USAGE)


def require_superuser(user: User | None) -> None:
    """Raises CommandError if the user of `--as` is limited to some projects."""
    if user is not None and not user.is_superuser:
        raise CommandError(
            f"This command works on all projects; {user} is not a superuser.",
            returncode=BAD_USAGE,
        )
