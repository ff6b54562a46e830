"""Validation of arguments from JSON against a function's signature."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic.decorator import ValidatedFunction

T = TypeVar("T")


class UnfitArgumentsError(ValueError):
    """The function does not accept these arguments; the message has the reason for each."""


def require_fit(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> None:
    """Raise UnfitArgumentsError if the arguments do not match the signature and its types."""
    call_fit(ValidatedFunction(function, None).init_model_instance, args, kwargs)


def call_fit(function: Callable[..., T], args: Sequence[Any], kwargs: Mapping[str, Any]) -> T:
    """Call a function that pydantic validates. Raises UnfitArgumentsError for invalid arguments."""
    try:
        return function(*args, **kwargs)
    except ValidationError as unfit:
        told = "; ".join(f"{error['loc'][0]}: {error['msg']}" for error in unfit.errors())
        raise UnfitArgumentsError(f"The arguments are not valid: {told}.") from None
