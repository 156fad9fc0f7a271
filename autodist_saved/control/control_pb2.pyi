from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MemberMessage(_message.Message):
    __slots__ = ("hello", "goodbye")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    GOODBYE_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    goodbye: Goodbye
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., goodbye: _Optional[_Union[Goodbye, _Mapping]] = ...) -> None: ...

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
    __slots__ = ()
    def __init__(self) -> None: ...

class ChiefMessage(_message.Message):
    __slots__ = ("welcome", "job_over", "parameter_server_lost", "give_copies")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    JOB_OVER_FIELD_NUMBER: _ClassVar[int]
    PARAMETER_SERVER_LOST_FIELD_NUMBER: _ClassVar[int]
    GIVE_COPIES_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    job_over: JobOver
    parameter_server_lost: ParameterServerLost
    give_copies: GiveCopies
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., job_over: _Optional[_Union[JobOver, _Mapping]] = ..., parameter_server_lost: _Optional[_Union[ParameterServerLost, _Mapping]] = ..., give_copies: _Optional[_Union[GiveCopies, _Mapping]] = ...) -> None: ...

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

class JobOver(_message.Message):
    __slots__ = ("succeeded", "reason")
    SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    succeeded: bool
    reason: str
    def __init__(self, succeeded: bool = ..., reason: _Optional[str] = ...) -> None: ...
