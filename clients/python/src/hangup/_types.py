"""The data of requests and responses, as in JSON. `npm run generate:python` writes this file."""

from __future__ import annotations

from typing import Any, Literal, TypedDict, Union

CallStatus = Literal["initiated", "connecting", "ringing", "active", "completed", "failed", "cancelled", "no_answer", "busy"]
"""A live call is initiated, connecting, ringing or active. The other statuses are final."""


Direction = Literal["inbound", "outbound"]


class CallDetailsAgent(TypedDict):
    id: str | None
    name: str | None
    type: Literal["voice"]


class LiveParticipant(TypedDict):
    identity: str
    name: str
    kind: str
    """LiveKit's term."""
    state: str
    """LiveKit's term."""
    joinedAt: str | None


class LiveRoomStatus(TypedDict):
    roomExists: bool
    numParticipants: int
    participants: list[LiveParticipant]


class RoomDeletion(TypedDict):
    state: Literal["available", "running", "retryable", "completed", "discarded"]
    attempt: int
    lastError: str | None
    nextAttemptAt: str | None


class CallDetails(TypedDict):
    id: str
    """Id of the call."""
    organizationId: str
    status: CallStatus
    direction: Direction
    phoneNumber: str | None
    duration: int | None
    """Seconds between the answer and the end."""
    scheduledAt: str | None
    startedAt: str | None
    endedAt: str | None
    failureReason: str | None
    cancelledAt: str | None
    cancelledBy: str | None
    """Id of the API key."""
    cancelReason: str | None
    cancellationId: str | None
    """Id of the cancellation of many calls that cancelled this call."""
    agent: CallDetailsAgent
    metadata: dict[str, Any]
    summary: str | None
    """Always null; kept for compatibility."""
    transcript: str | None
    """Always null; kept for compatibility."""
    roomId: str | None
    roomName: str
    jobId: str | None
    sipParticipantId: str | None
    liveRoomStatus: LiveRoomStatus | None
    """The room's state in LiveKit, requested for a live call. Null if the call has ended or LiveKit does not respond."""
    roomDeletion: RoomDeletion | None
    createdAt: str
    updatedAt: str


class CallListItemAgent(TypedDict):
    id: str | None
    name: str | None


class CallListItemContact(TypedDict):
    phone: str | None
    name: str | None
    email: str | None


class RoomParticipant(TypedDict):
    identity: str
    role: Literal["agent", "person", "phone"]
    joinedAt: str


class CallRoom(TypedDict):
    """The room as on record: hangup sends no request to LiveKit."""

    name: str
    participants: list[RoomParticipant]
    """Those who are present, without recorders. Empty when the call has ended."""


class _CallListItem(TypedDict):
    id: str
    """Id of the call."""
    status: CallStatus
    direction: Direction
    scheduledAt: str | None
    duration: int | None
    outcome: CallStatus | None
    """The final status. Null while the call is live."""
    agent: CallListItemAgent
    contact: CallListItemContact
    phoneNumber: str | None
    createdAt: str


class CallListItem(_CallListItem, total=False):
    room: CallRoom
    """Only with `include=room`."""


class CallListPagination(TypedDict):
    total: int
    """Exact up to 10,000."""
    totalCapped: bool
    """True if there are more calls than `total`."""
    limit: int
    offset: int
    hasMore: bool
    nextCursor: str | None


class CallList(TypedDict):
    calls: list[CallListItem]
    pagination: CallListPagination


CallEvent = TypedDict(
    "CallEvent",
    {
        "id": "str",
        "at": "str",
        "action": "str",
        "actor": "str",
        "actorId": "str | None",
        "from": "CallStatus | None",
        "to": "CallStatus | None",
        "reason": "str | None",
        "cancellationId": "str | None",
    },
    total=True,
)


class CallEventsPagination(TypedDict):
    limit: int
    hasMore: bool
    nextCursor: str | None


class CallEvents(TypedDict):
    events: list[CallEvent]
    pagination: CallEventsPagination


class CancelledCall(TypedDict):
    id: str
    """Id of the call."""
    status: Literal["cancelled"]


class CancellationSelectorFilter(TypedDict, total=False):
    agentId: str
    status: list[Literal["initiated", "connecting", "ringing", "active"]]
    direction: Direction
    phoneNumber: str
    startDate: str
    endDate: str


class CancellationSelector(TypedDict, total=False):
    """As in the request: one of the fields is set."""

    filter: CancellationSelectorFilter
    callIds: list[str]
    all: bool


class Hold(TypedDict):
    """While the hold is active, no call that matches can start."""

    state: Literal["active", "lifted"]
    liftedAt: str | None
    liftedBy: str | None
    """Id of the API key."""


class CancellationCountsRooms(TypedDict):
    deleted: int
    """Rooms that are gone."""
    pending: int
    """Rooms that hangup still deletes."""
    discarded: int
    """Rooms that hangup could not delete within the time limit. They may still exist."""


class CancellationCounts(TypedDict):
    matched: int
    """`cancelled` + `alreadyEnded`. Final when the state is completed."""
    cancelled: int
    """Calls that are cancelled on record."""
    alreadyEnded: int
    """Of `callIds`: calls that had ended before."""
    notFound: int
    """Of `callIds`: ids without a call in your organization."""
    rooms: CancellationCountsRooms


class Cancellation(TypedDict):
    id: str
    """Id of the cancellation."""
    state: Literal["running", "completed"]
    """completed: every matching call is cancelled on record, and each room is deleted or its deletion was given up."""
    reason: str
    createdBy: str
    """Id of the API key."""
    createdAt: str
    completedAt: str | None
    selector: CancellationSelector
    hold: Hold | None
    counts: CancellationCounts


class CancellationListPagination(TypedDict):
    limit: int
    hasMore: bool
    nextCursor: str | None


class CancellationList(TypedDict):
    cancellations: list[Cancellation]
    pagination: CancellationListPagination


class CancellationPreviewMatched(TypedDict):
    initiated: int
    connecting: int
    ringing: int
    active: int
    total: int


class CancellationPreview(TypedDict):
    dryRun: bool
    matched: CancellationPreviewMatched
    sample: list[CallListItem]
    """At most 100 of the calls."""


Scope = Literal["calls:read", "calls:write", "calls:cancel", "calls:stop", "admin"]


class ApiKey(TypedDict):
    """The properties of an API key. The key itself is not stored."""

    id: str
    name: str
    """The purpose that `hangup keys create --name` has set."""
    organization: str
    """Name of the organization."""
    organizationId: str
    scopes: list[Scope]
    createdAt: str
    expiresAt: str | None


class FoundCallAgent(TypedDict):
    id: str | None
    name: str | None


class FoundCallContact(TypedDict):
    phone: str | None
    name: str | None
    email: str | None


class FoundCall(TypedDict):
    id: str
    """Id of the call."""
    status: CallStatus
    direction: Direction
    scheduledAt: str | None
    duration: int | None
    outcome: CallStatus | None
    """The final status. Null while the call is live."""
    agent: FoundCallAgent
    contact: FoundCallContact
    phoneNumber: str | None
    createdAt: str
    room: CallRoom


class FoundCalls(TypedDict):
    calls: list[FoundCall]


class LiveAgent(TypedDict):
    id: str | None
    """Null: the live calls without an agent."""
    name: str | None
    """The name in one of these calls."""
    liveCalls: int


class AgentList(TypedDict):
    agents: list[LiveAgent]


IncompleteDeletionState = Literal["available", "running", "retryable", "discarded"]
"""available: not attempted. running: an attempt runs. retryable: failed, and due again. discarded: given up after 24 hours."""


class IncompleteDeletion(TypedDict):
    callId: str
    """Id of the call."""
    roomName: str
    state: IncompleteDeletionState
    attempt: int
    """The number of attempts that were started."""
    lastError: str | None
    createdAt: str
    nextAttemptAt: str | None
    """While an attempt runs, when its lease ends. Null for a discarded deletion."""
    cancellationId: str | None
    """The cancellation of many calls that cancelled the call."""


class RoomDeletionListPagination(TypedDict):
    limit: int
    hasMore: bool
    nextCursor: str | None


class RoomDeletionList(TypedDict):
    roomDeletions: list[IncompleteDeletion]
    pagination: RoomDeletionListPagination


class HealthLivekit(TypedDict):
    state: Literal["up", "down", "unknown"]
    """Whether LiveKit responds to this process. unknown: no request was sent yet."""
    since: str | None


class HealthLiveCalls(TypedDict):
    initiated: int
    connecting: int
    ringing: int
    active: int
    total: int


class HealthRoomDeletions(TypedDict):
    open: int
    discarded: int
    oldestOpenAt: str | None
    """When the oldest open deletion was created."""


class HealthCancellations(TypedDict):
    running: int
    activeHolds: int


class Health(TypedDict):
    livekit: HealthLivekit
    lastWebhookAt: str | None
    """The last event of LiveKit on record."""
    liveCalls: HealthLiveCalls
    roomDeletions: HealthRoomDeletions
    cancellations: HealthCancellations
    store: Literal["sqlite", "postgres"]
    version: str
    startedAt: str
    """When this process started."""


class HealthHistorySeries(TypedDict):
    """Each series has one value for each time. Null: not known."""

    liveCalls: list[float | None]
    requestsPerSecond: list[float | None]
    """All requests to this process."""
    cancelsPerMinute: list[float | None]
    """Cancelled calls."""
    deletionsPerMinute: list[float | None]
    """Deleted rooms."""
    failedDeletionsPerMinute: list[float | None]
    """Failed attempts to delete a room."""
    livekitRequestMs: list[float | None]
    """The 95th percentile of the durations of requests from this process to LiveKit."""
    openDeletions: list[float | None]


class HealthHistory(TypedDict):
    times: list[str]
    series: HealthHistorySeries
    """Each series has one value for each time. Null: not known."""


class Finding(TypedDict):
    check: str
    level: Literal["ok", "warning", "failure", "unknown"]
    """unknown: the check has no result."""
    message: str
    advice: str | None
    """The remedy. Can have several lines."""


class HealthFindings(TypedDict):
    findings: list[Finding]
    checkedAt: str


class ListedApiKey(TypedDict):
    id: str
    name: str
    scopes: list[Scope]
    createdAt: str
    expiresAt: str | None
    revokedAt: str | None
    lastUsedAt: str | None
    """Exact to a minute."""
    isCurrent: bool
    """Whether this is the key of the request."""


class ApiKeyList(TypedDict):
    apiKeys: list[ListedApiKey]


class CreatedApiKey(TypedDict):
    """The only response that contains the key itself."""

    id: str
    name: str
    scopes: list[Scope]
    createdAt: str
    expiresAt: str | None
    revokedAt: str | None
    lastUsedAt: str | None
    """Exact to a minute."""
    isCurrent: bool
    """Whether this is the key of the request."""
    key: str
    """The key itself. hangup stores only its hash."""


class AdoptionPrefix(TypedDict):
    prefix: str
    createdAt: str


class AdoptionPrefixList(TypedDict):
    adoptionPrefixes: list[AdoptionPrefix]


class RemovedAdoptionPrefix(TypedDict):
    prefix: str


class Contact(TypedDict, total=False):
    name: str
    phone: str
    email: str


class CallFilter(TypedDict, total=False):
    """Live calls that match every field. At least one field is required. `endDate` is not before `startDate`."""

    agentId: str
    status: list[Literal["initiated", "connecting", "ringing", "active"]]
    direction: Direction
    phoneNumber: str
    startDate: str
    """The earliest `createdAt`, inclusive."""
    endDate: str
    """The latest `createdAt`, inclusive."""


class CallCreatedEvent(TypedDict):
    id: str
    """The position of the event. Later events have larger numbers."""
    at: str
    type: Literal["call.created"]
    callId: str
    status: CallStatus | None
    agentId: str | None
    actor: Literal["api_key", "operator", "livekit", "reconciler"]
    actorId: str | None


CallStatusChangedEvent = TypedDict(
    "CallStatusChangedEvent",
    {
        "id": "str",
        "at": "str",
        "type": "Literal['call.status_changed']",
        "callId": "str",
        "from": "CallStatus | None",
        "to": "CallStatus | None",
        "reason": "str | None",
        "actor": "Literal['api_key', 'operator', 'livekit', 'reconciler']",
        "actorId": "str | None",
        "cancellationId": "str | None",
    },
    total=True,
)


class CallRoomDeletionEvent(TypedDict):
    id: str
    """The position of the event. Later events have larger numbers."""
    at: str
    type: Literal["call.room_deletion"]
    callId: str
    state: Literal["available", "running", "retryable", "completed", "discarded"]
    attempt: int
    error: str | None
    cancellationId: str | None
    """Id of the cancellation."""


class CancellationProgressEvent(TypedDict):
    id: str
    """The position of the event. Later events have larger numbers."""
    at: str
    type: Literal["cancellation.progress"]
    cancellationId: str
    """Id of the cancellation."""
    state: Literal["running", "completed"]
    counts: CancellationCounts


class HoldLiftedEvent(TypedDict):
    id: str
    """The position of the event. Later events have larger numbers."""
    at: str
    type: Literal["hold.lifted"]
    cancellationId: str
    """Id of the cancellation."""
    by: str | None
    """Id of the API key."""


class ResetEvent(TypedDict):
    id: str
    """The position of the event. Later events have larger numbers."""
    at: str
    type: Literal["reset"]


HangupEvent = Union[
    CallCreatedEvent,
    CallStatusChangedEvent,
    CallRoomDeletionEvent,
    CancellationProgressEvent,
    HoldLiftedEvent,
    ResetEvent,
]
