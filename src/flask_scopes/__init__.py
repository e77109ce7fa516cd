"""Flask-Scopes: the right lifetime for every object of a Flask application."""

from .errors import ArgumentsError
from .errors import ClosedError
from .errors import CloseTimeout
from .errors import CommitFailed
from .errors import CycleError
from .errors import ForkWarning
from .errors import OutsideScopeError
from .errors import ReadOnlyError
from .errors import RetryError
from .errors import ScopeMismatchError
from .errors import ScopesError
from .errors import SessionTooLarge
from .errors import SessionValueError
from .errors import SetupError
from .errors import StartError
from .errors import UnitFailed
from .errors import YieldError
from .extension import Scopes
from .pings import Ping
from .resource import Resource
from .session_resource import SessionResource

__all__ = [
    "ArgumentsError",
    "CloseTimeout",
    "ClosedError",
    "CommitFailed",
    "CycleError",
    "ForkWarning",
    "OutsideScopeError",
    "Ping",
    "ReadOnlyError",
    "Resource",
    "RetryError",
    "ScopeMismatchError",
    "Scopes",
    "ScopesError",
    "SessionResource",
    "SessionTooLarge",
    "SessionValueError",
    "SetupError",
    "StartError",
    "UnitFailed",
    "YieldError",
]
