from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar

from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message

DESCRIPTOR: _descriptor.FileDescriptor

class MemberMessage(_message.Message):
    __slots__ = ("goodbye", "hello")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    GOODBYE_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    goodbye: Goodbye
    def __init__(self, hello: Hello | _Mapping | None = ..., goodbye: Goodbye | _Mapping | None = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("job", "pid", "task")
    JOB_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    job: str
    task: str
    pid: int
    def __init__(self, job: str | None = ..., task: str | None = ..., pid: int | None = ...) -> None: ...

class Goodbye(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ChiefMessage(_message.Message):
    __slots__ = ("job_over", "welcome")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    JOB_OVER_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    job_over: JobOver
    def __init__(self, welcome: Welcome | _Mapping | None = ..., job_over: JobOver | _Mapping | None = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class JobOver(_message.Message):
    __slots__ = ("reason", "succeeded")
    SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    succeeded: bool
    reason: str
    def __init__(self, succeeded: bool = ..., reason: str | None = ...) -> None: ...
