"""Client of hangup: cancel a LiveKit call, and know that it is over."""

from ._async.client import AsyncHangup
from ._async.events import AsyncSubscription
from ._errors import ErrorCode, HangupError
from ._sync.client import Hangup
from ._sync.events import Subscription
from ._types import (
    ApiKey,
    CallDetails,
    CallEvent,
    CallEvents,
    CallFilter,
    CallList,
    CallListItem,
    CallStatus,
    Cancellation,
    CancellationList,
    CancellationPreview,
    CancelledCall,
    Contact,
    Direction,
    HangupEvent,
)
from ._version import __version__

__all__ = [
    "ApiKey",
    "AsyncHangup",
    "AsyncSubscription",
    "CallDetails",
    "CallEvent",
    "CallEvents",
    "CallFilter",
    "CallList",
    "CallListItem",
    "CallStatus",
    "Cancellation",
    "CancellationList",
    "CancellationPreview",
    "CancelledCall",
    "Contact",
    "Direction",
    "ErrorCode",
    "Hangup",
    "HangupError",
    "HangupEvent",
    "Subscription",
    "__version__",
]
