from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MemberMessage(_message.Message):
    __slots__ = ("hello", "goodbye", "progress", "connections", "fenced", "ended", "remembered")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    GOODBYE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    FENCED_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    REMEMBERED_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    goodbye: Goodbye
    progress: Progress
    connections: Connections
    fenced: Fenced
    ended: Life
    remembered: Life
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., goodbye: _Optional[_Union[Goodbye, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., connections: _Optional[_Union[Connections, _Mapping]] = ..., fenced: _Optional[_Union[Fenced, _Mapping]] = ..., ended: _Optional[_Union[Life, _Mapping]] = ..., remembered: _Optional[_Union[Life, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("job", "process", "remembered")
    JOB_FIELD_NUMBER: _ClassVar[int]
    PROCESS_FIELD_NUMBER: _ClassVar[int]
    REMEMBERED_FIELD_NUMBER: _ClassVar[int]
    job: str
    process: Process
    remembered: _containers.RepeatedCompositeFieldContainer[Process]
    def __init__(self, job: _Optional[str] = ..., process: _Optional[_Union[Process, _Mapping]] = ..., remembered: _Optional[_Iterable[_Union[Process, _Mapping]]] = ...) -> None: ...

class Life(_message.Message):
    __slots__ = ("task", "life")
    TASK_FIELD_NUMBER: _ClassVar[int]
    LIFE_FIELD_NUMBER: _ClassVar[int]
    task: str
    life: str
    def __init__(self, task: _Optional[str] = ..., life: _Optional[str] = ...) -> None: ...

class Process(_message.Message):
    __slots__ = ("task", "life", "pid", "started", "machine", "is_replaced")
    TASK_FIELD_NUMBER: _ClassVar[int]
    LIFE_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    MACHINE_FIELD_NUMBER: _ClassVar[int]
    IS_REPLACED_FIELD_NUMBER: _ClassVar[int]
    task: str
    life: str
    pid: int
    started: int
    machine: str
    is_replaced: bool
    def __init__(self, task: _Optional[str] = ..., life: _Optional[str] = ..., pid: _Optional[int] = ..., started: _Optional[int] = ..., machine: _Optional[str] = ..., is_replaced: bool = ...) -> None: ...

class Goodbye(_message.Message):
    __slots__ = ("failed",)
    FAILED_FIELD_NUMBER: _ClassVar[int]
    failed: bool
    def __init__(self, failed: bool = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("standing", "steps", "epoch", "renewal", "sent_at")
    class Standing(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        TRAINING: _ClassVar[Progress.Standing]
        PARKING: _ClassVar[Progress.Standing]
        PARKED: _ClassVar[Progress.Standing]
        LEFT: _ClassVar[Progress.Standing]
    TRAINING: Progress.Standing
    PARKING: Progress.Standing
    PARKED: Progress.Standing
    LEFT: Progress.Standing
    STANDING_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    RENEWAL_FIELD_NUMBER: _ClassVar[int]
    SENT_AT_FIELD_NUMBER: _ClassVar[int]
    standing: Progress.Standing
    steps: int
    epoch: int
    renewal: int
    sent_at: float
    def __init__(self, standing: _Optional[_Union[Progress.Standing, str]] = ..., steps: _Optional[int] = ..., epoch: _Optional[int] = ..., renewal: _Optional[int] = ..., sent_at: _Optional[float] = ...) -> None: ...

class Connections(_message.Message):
    __slots__ = ("round", "connections", "error")
    ROUND_FIELD_NUMBER: _ClassVar[int]
    CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    round: int
    connections: _containers.RepeatedCompositeFieldContainer[Connection]
    error: str
    def __init__(self, round: _Optional[int] = ..., connections: _Optional[_Iterable[_Union[Connection, _Mapping]]] = ..., error: _Optional[str] = ...) -> None: ...

class Connection(_message.Message):
    __slots__ = ("server", "endpoint")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    server: str
    endpoint: str
    def __init__(self, server: _Optional[str] = ..., endpoint: _Optional[str] = ...) -> None: ...

class Fenced(_message.Message):
    __slots__ = ("epoch", "round", "renewal", "error")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    RENEWAL_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    round: int
    renewal: int
    error: str
    def __init__(self, epoch: _Optional[int] = ..., round: _Optional[int] = ..., renewal: _Optional[int] = ..., error: _Optional[str] = ...) -> None: ...

class ChiefMessage(_message.Message):
    __slots__ = ("welcome", "job_over", "parameter_server_lost", "give_copies", "park", "release", "heard", "tell_connections", "fence", "remember", "forget")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    JOB_OVER_FIELD_NUMBER: _ClassVar[int]
    PARAMETER_SERVER_LOST_FIELD_NUMBER: _ClassVar[int]
    GIVE_COPIES_FIELD_NUMBER: _ClassVar[int]
    PARK_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    HEARD_FIELD_NUMBER: _ClassVar[int]
    TELL_CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    FENCE_FIELD_NUMBER: _ClassVar[int]
    REMEMBER_FIELD_NUMBER: _ClassVar[int]
    FORGET_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    job_over: JobOver
    parameter_server_lost: ParameterServerLost
    give_copies: GiveCopies
    park: Park
    release: Release
    heard: Heard
    tell_connections: TellConnections
    fence: Fence
    remember: Process
    forget: Life
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., job_over: _Optional[_Union[JobOver, _Mapping]] = ..., parameter_server_lost: _Optional[_Union[ParameterServerLost, _Mapping]] = ..., give_copies: _Optional[_Union[GiveCopies, _Mapping]] = ..., park: _Optional[_Union[Park, _Mapping]] = ..., release: _Optional[_Union[Release, _Mapping]] = ..., heard: _Optional[_Union[Heard, _Mapping]] = ..., tell_connections: _Optional[_Union[TellConnections, _Mapping]] = ..., fence: _Optional[_Union[Fence, _Mapping]] = ..., remember: _Optional[_Union[Process, _Mapping]] = ..., forget: _Optional[_Union[Life, _Mapping]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("training_lease_secs",)
    TRAINING_LEASE_SECS_FIELD_NUMBER: _ClassVar[int]
    training_lease_secs: float
    def __init__(self, training_lease_secs: _Optional[float] = ...) -> None: ...

class Heard(_message.Message):
    __slots__ = ("sent_at",)
    SENT_AT_FIELD_NUMBER: _ClassVar[int]
    sent_at: float
    def __init__(self, sent_at: _Optional[float] = ...) -> None: ...

class ParameterServerLost(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: str
    def __init__(self, task: _Optional[str] = ...) -> None: ...

class GiveCopies(_message.Message):
    __slots__ = ("port", "token")
    PORT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    port: int
    token: bytes
    def __init__(self, port: _Optional[int] = ..., token: _Optional[bytes] = ...) -> None: ...

class Park(_message.Message):
    __slots__ = ("epoch", "renewal", "lease_secs")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    RENEWAL_FIELD_NUMBER: _ClassVar[int]
    LEASE_SECS_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    renewal: int
    lease_secs: float
    def __init__(self, epoch: _Optional[int] = ..., renewal: _Optional[int] = ..., lease_secs: _Optional[float] = ...) -> None: ...

class Release(_message.Message):
    __slots__ = ("epoch",)
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    def __init__(self, epoch: _Optional[int] = ...) -> None: ...

class TellConnections(_message.Message):
    __slots__ = ("round",)
    ROUND_FIELD_NUMBER: _ClassVar[int]
    round: int
    def __init__(self, round: _Optional[int] = ...) -> None: ...

class Fence(_message.Message):
    __slots__ = ("epoch", "round", "renewal", "lease_secs", "allowed")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    RENEWAL_FIELD_NUMBER: _ClassVar[int]
    LEASE_SECS_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    round: int
    renewal: int
    lease_secs: float
    allowed: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, epoch: _Optional[int] = ..., round: _Optional[int] = ..., renewal: _Optional[int] = ..., lease_secs: _Optional[float] = ..., allowed: _Optional[_Iterable[str]] = ...) -> None: ...

class JobOver(_message.Message):
    __slots__ = ("succeeded", "reason", "terminated")
    SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TERMINATED_FIELD_NUMBER: _ClassVar[int]
    succeeded: bool
    reason: str
    terminated: bool
    def __init__(self, succeeded: bool = ..., reason: _Optional[str] = ..., terminated: bool = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusReply(_message.Message):
    __slots__ = ("tasks", "exports", "tasks_left_out", "exports_left_out")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    EXPORTS_FIELD_NUMBER: _ClassVar[int]
    TASKS_LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    EXPORTS_LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[TaskStatus]
    exports: _containers.RepeatedCompositeFieldContainer[ExportStatus]
    tasks_left_out: int
    exports_left_out: int
    def __init__(self, tasks: _Optional[_Iterable[_Union[TaskStatus, _Mapping]]] = ..., exports: _Optional[_Iterable[_Union[ExportStatus, _Mapping]]] = ..., tasks_left_out: _Optional[int] = ..., exports_left_out: _Optional[int] = ...) -> None: ...

class TaskStatus(_message.Message):
    __slots__ = ("task", "state", "standing", "steps", "steps_per_sec", "silent_secs", "pid")
    TASK_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STANDING_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    STEPS_PER_SEC_FIELD_NUMBER: _ClassVar[int]
    SILENT_SECS_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    task: str
    state: str
    standing: Progress.Standing
    steps: int
    steps_per_sec: float
    silent_secs: float
    pid: int
    def __init__(self, task: _Optional[str] = ..., state: _Optional[str] = ..., standing: _Optional[_Union[Progress.Standing, str]] = ..., steps: _Optional[int] = ..., steps_per_sec: _Optional[float] = ..., silent_secs: _Optional[float] = ..., pid: _Optional[int] = ...) -> None: ...

class ExportRequest(_message.Message):
    __slots__ = ("target",)
    TARGET_FIELD_NUMBER: _ClassVar[int]
    target: str
    def __init__(self, target: _Optional[str] = ...) -> None: ...

class ExportStatus(_message.Message):
    __slots__ = ("target", "phase", "seconds", "path", "error")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    target: str
    phase: str
    seconds: float
    path: str
    error: str
    def __init__(self, target: _Optional[str] = ..., phase: _Optional[str] = ..., seconds: _Optional[float] = ..., path: _Optional[str] = ..., error: _Optional[str] = ...) -> None: ...
