from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Request(_message.Message):
    __slots__ = ("attach", "probe", "move", "stage", "discard")
    ATTACH_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    MOVE_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    DISCARD_FIELD_NUMBER: _ClassVar[int]
    attach: Attach
    probe: Probe
    move: Move
    stage: Stage
    discard: Discard
    def __init__(self, attach: _Optional[_Union[Attach, _Mapping]] = ..., probe: _Optional[_Union[Probe, _Mapping]] = ..., move: _Optional[_Union[Move, _Mapping]] = ..., stage: _Optional[_Union[Stage, _Mapping]] = ..., discard: _Optional[_Union[Discard, _Mapping]] = ...) -> None: ...

class Attach(_message.Message):
    __slots__ = ("variables", "staging", "keep")
    VARIABLES_FIELD_NUMBER: _ClassVar[int]
    STAGING_FIELD_NUMBER: _ClassVar[int]
    KEEP_FIELD_NUMBER: _ClassVar[int]
    variables: bytes
    staging: str
    keep: bool
    def __init__(self, variables: _Optional[bytes] = ..., staging: _Optional[str] = ..., keep: bool = ...) -> None: ...

class Variables(_message.Message):
    __slots__ = ("variables",)
    VARIABLES_FIELD_NUMBER: _ClassVar[int]
    variables: _containers.RepeatedCompositeFieldContainer[Variable]
    def __init__(self, variables: _Optional[_Iterable[_Union[Variable, _Mapping]]] = ...) -> None: ...

class Variable(_message.Message):
    __slots__ = ("name", "container", "dtype", "reference", "shape")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONTAINER_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    container: str
    dtype: str
    reference: bool
    shape: Shape
    def __init__(self, name: _Optional[str] = ..., container: _Optional[str] = ..., dtype: _Optional[str] = ..., reference: bool = ..., shape: _Optional[_Union[Shape, _Mapping]] = ...) -> None: ...

class Stage(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Discard(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

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
    __slots__ = ("variable", "start", "nbytes", "offset")
    VARIABLE_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    NBYTES_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    variable: int
    start: int
    nbytes: int
    offset: int
    def __init__(self, variable: _Optional[int] = ..., start: _Optional[int] = ..., nbytes: _Optional[int] = ..., offset: _Optional[int] = ...) -> None: ...

class Shape(_message.Message):
    __slots__ = ("extents",)
    EXTENTS_FIELD_NUMBER: _ClassVar[int]
    extents: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, extents: _Optional[_Iterable[int]] = ...) -> None: ...

class Reply(_message.Message):
    __slots__ = ("error", "absent", "sees", "crc32c", "parked", "shapes", "resident_bytes", "staged_bytes")
    class ShapesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: Shape
        def __init__(self, key: _Optional[int] = ..., value: _Optional[_Union[Shape, _Mapping]] = ...) -> None: ...
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ABSENT_FIELD_NUMBER: _ClassVar[int]
    SEES_FIELD_NUMBER: _ClassVar[int]
    CRC32C_FIELD_NUMBER: _ClassVar[int]
    PARKED_FIELD_NUMBER: _ClassVar[int]
    SHAPES_FIELD_NUMBER: _ClassVar[int]
    RESIDENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    STAGED_BYTES_FIELD_NUMBER: _ClassVar[int]
    error: str
    absent: _containers.RepeatedScalarFieldContainer[int]
    sees: bool
    crc32c: _containers.RepeatedScalarFieldContainer[int]
    parked: bool
    shapes: _containers.MessageMap[int, Shape]
    resident_bytes: int
    staged_bytes: int
    def __init__(self, error: _Optional[str] = ..., absent: _Optional[_Iterable[int]] = ..., sees: bool = ..., crc32c: _Optional[_Iterable[int]] = ..., parked: bool = ..., shapes: _Optional[_Mapping[int, Shape]] = ..., resident_bytes: _Optional[int] = ..., staged_bytes: _Optional[int] = ...) -> None: ...
