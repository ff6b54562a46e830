"""Whether a function can take arguments that come as JSON."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic.decorator import ValidatedFunction

T = TypeVar("T")


class UnfitArgumentsError(ValueError):
    """The function cannot take these arguments; the message says why, argument by argument."""


def require_fit(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> None:
    """Compare number, names and types with the signature; raise UnfitArgumentsError."""
    call_fit(ValidatedFunction(function, None).init_model_instance, args, kwargs)


def call_fit(function: Callable[..., T], args: Sequence[Any], kwargs: Mapping[str, Any]) -> T:
    """Call a function that pydantic validates; raise UnfitArgumentsError where it refuses."""
    try:
        return function(*args, **kwargs)
    except ValidationError as unfit:
        told = "; ".join(f"{error['loc'][0]}: {error['msg']}" for error in unfit.errors())
        raise UnfitArgumentsError(f"The arguments do not fit: {told}.") from None
