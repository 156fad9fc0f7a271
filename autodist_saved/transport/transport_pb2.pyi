from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Request(_message.Message):
    __slots__ = ("attach", "probe", "move")
    ATTACH_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    MOVE_FIELD_NUMBER: _ClassVar[int]
    attach: Attach
    probe: Probe
    move: Move
    def __init__(self, attach: _Optional[_Union[Attach, _Mapping]] = ..., probe: _Optional[_Union[Probe, _Mapping]] = ..., move: _Optional[_Union[Move, _Mapping]] = ...) -> None: ...

class Attach(_message.Message):
    __slots__ = ("copies",)
    COPIES_FIELD_NUMBER: _ClassVar[int]
    copies: _containers.RepeatedCompositeFieldContainer[Copy]
    def __init__(self, copies: _Optional[_Iterable[_Union[Copy, _Mapping]]] = ...) -> None: ...

class Copy(_message.Message):
    __slots__ = ("shared_name", "dtype")
    SHARED_NAME_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    shared_name: str
    dtype: str
    def __init__(self, shared_name: _Optional[str] = ..., dtype: _Optional[str] = ...) -> None: ...

class Probe(_message.Message):
    __slots__ = ("path", "contents")
    PATH_FIELD_NUMBER: _ClassVar[int]
    CONTENTS_FIELD_NUMBER: _ClassVar[int]
    path: bytes
    contents: bytes
    def __init__(self, path: _Optional[bytes] = ..., contents: _Optional[bytes] = ...) -> None: ...

class Move(_message.Message):
    __slots__ = ("spans", "path", "sync")
    SPANS_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    SYNC_FIELD_NUMBER: _ClassVar[int]
    spans: _containers.RepeatedCompositeFieldContainer[Span]
    path: bytes
    sync: bool
    def __init__(self, spans: _Optional[_Iterable[_Union[Span, _Mapping]]] = ..., path: _Optional[bytes] = ..., sync: bool = ...) -> None: ...

class Span(_message.Message):
    __slots__ = ("copy", "start", "nbytes", "offset")
    COPY_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    NBYTES_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    copy: int
    start: int
    nbytes: int
    offset: int
    def __init__(self, copy: _Optional[int] = ..., start: _Optional[int] = ..., nbytes: _Optional[int] = ..., offset: _Optional[int] = ...) -> None: ...

class Shape(_message.Message):
    __slots__ = ("extents",)
    EXTENTS_FIELD_NUMBER: _ClassVar[int]
    extents: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, extents: _Optional[_Iterable[int]] = ...) -> None: ...

class Reply(_message.Message):
    __slots__ = ("error", "shapes", "sees", "crc32c")
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SHAPES_FIELD_NUMBER: _ClassVar[int]
    SEES_FIELD_NUMBER: _ClassVar[int]
    CRC32C_FIELD_NUMBER: _ClassVar[int]
    error: str
    shapes: _containers.RepeatedCompositeFieldContainer[Shape]
    sees: bool
    crc32c: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, error: _Optional[str] = ..., shapes: _Optional[_Iterable[_Union[Shape, _Mapping]]] = ..., sees: bool = ..., crc32c: _Optional[_Iterable[int]] = ...) -> None: ...
