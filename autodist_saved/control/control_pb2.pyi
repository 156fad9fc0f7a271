from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MemberMessage(_message.Message):
    __slots__ = ("hello", "goodbye", "progress")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    GOODBYE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    goodbye: Goodbye
    progress: Progress
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., goodbye: _Optional[_Union[Goodbye, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("job", "task", "pid", "life")
    JOB_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    LIFE_FIELD_NUMBER: _ClassVar[int]
    job: str
    task: str
    pid: int
    life: str
    def __init__(self, job: _Optional[str] = ..., task: _Optional[str] = ..., pid: _Optional[int] = ..., life: _Optional[str] = ...) -> None: ...

class Goodbye(_message.Message):
    __slots__ = ("failed",)
    FAILED_FIELD_NUMBER: _ClassVar[int]
    failed: bool
    def __init__(self, failed: bool = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("standing", "steps", "epoch", "renewal")
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
    standing: Progress.Standing
    steps: int
    epoch: int
    renewal: int
    def __init__(self, standing: _Optional[_Union[Progress.Standing, str]] = ..., steps: _Optional[int] = ..., epoch: _Optional[int] = ..., renewal: _Optional[int] = ...) -> None: ...

class ChiefMessage(_message.Message):
    __slots__ = ("welcome", "job_over", "parameter_server_lost", "give_copies", "park", "release")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    JOB_OVER_FIELD_NUMBER: _ClassVar[int]
    PARAMETER_SERVER_LOST_FIELD_NUMBER: _ClassVar[int]
    GIVE_COPIES_FIELD_NUMBER: _ClassVar[int]
    PARK_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    job_over: JobOver
    parameter_server_lost: ParameterServerLost
    give_copies: GiveCopies
    park: Park
    release: Release
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., job_over: _Optional[_Union[JobOver, _Mapping]] = ..., parameter_server_lost: _Optional[_Union[ParameterServerLost, _Mapping]] = ..., give_copies: _Optional[_Union[GiveCopies, _Mapping]] = ..., park: _Optional[_Union[Park, _Mapping]] = ..., release: _Optional[_Union[Release, _Mapping]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

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

class JobOver(_message.Message):
    __slots__ = ("succeeded", "reason")
    SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    succeeded: bool
    reason: str
    def __init__(self, succeeded: bool = ..., reason: _Optional[str] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatusReply(_message.Message):
    __slots__ = ("tasks", "exports")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    EXPORTS_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[TaskStatus]
    exports: _containers.RepeatedCompositeFieldContainer[ExportStatus]
    def __init__(self, tasks: _Optional[_Iterable[_Union[TaskStatus, _Mapping]]] = ..., exports: _Optional[_Iterable[_Union[ExportStatus, _Mapping]]] = ...) -> None: ...

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
