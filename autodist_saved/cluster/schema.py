"""The schema of a cluster description: its keys, types and ranges. ``rules`` checks what it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, MinLen
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    StrictInt,
    StrictStr,
    Tag,
    ValidationError,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from autodist_saved.cluster.address import Address, read_address
from autodist_saved.cluster.control_files import FILE_KEYS
from autodist_saved.cluster.task import TASK_TYPES, TaskType
from autodist_saved.cluster.wording import kind, shown, unknown
from autodist_saved.errors import Problem

_SAY_JOBS = 'write each job with its addresses, such as worker: ["localhost:2222"]'
SAY_TASK = "say which task this process is, such as {type: worker, index: 0}"


def _address(value: object) -> Address:
    """Our own code: pydantic has no type for ``host:port`` without a scheme."""
    found = read_address("", value)
    if isinstance(found, Problem):
        raise PydanticCustomError("address", "{what}", {"what": found.what, "fix": found.fix})
    return found


def _as_list(row: object) -> object:
    return list(row) if isinstance(row, tuple) else row


_HostPort = Annotated[Address, PlainValidator(_address)]
# Strict: a set has no order to number the tasks by.
_Row = Annotated[list[_HostPort], Field(strict=True), MinLen(1), BeforeValidator(_as_list)]
_File = Annotated[StrictStr, Field(pattern=r"^[^\x00]+$")] | None


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Task(_Schema):
    type: TaskType
    index: Annotated[StrictInt, Ge(0)]


class _Control(_Schema):
    address: _HostPort | None = None
    token_file: _File = None
    certificate: _File = None
    key: _File = None
    authority: _File = None


_AddressOrMapping = Annotated[
    Annotated[_HostPort, Tag("address")] | Annotated[_Control, Tag("mapping")],
    Discriminator(lambda value: "mapping" if isinstance(value, Mapping) else "address"),
]


class _Description(_Schema):
    cluster: dict[TaskType, _Row]
    task: _Task | None = None
    control: _AddressOrMapping | None = None


KEYS = tuple(_Description.model_fields)
_KEYS = {"": KEYS, "task": tuple(_Task.model_fields), "control": tuple(_Control.model_fields)}


@dataclass(frozen=True)
class Readable:
    """The values of a description that fit the schema. The rules check these, whatever else is wrong.

    Attributes:
        rows: for each job, known or not, its addresses; None in place of one that does not fit. None if there is no
            mapping of jobs.
        task_type: type of the task this process is; None if it is absent or does not fit.
        task_index: index of that task; None if it is absent or does not fit.
        control: address of the control service; None if it is absent or does not fit.
        control_place: the place of that address, for problems.
        says_control: whether there is such an address, even one that does not fit.
        control_files: the keys of the files that the description names.
    """

    rows: Mapping[str, list[Address | None]] | None
    task_type: str | None
    task_index: int | None
    control: Address | None
    control_place: str
    says_control: bool
    control_files: frozenset[str]


def check_schema(config: Mapping[str, object]) -> tuple[list[Problem], Readable]:
    """Find all places where a description does not fit the schema. Returns them, and the values that fit.

    Args:
        config: a description with the keys ``cluster``, ``task`` and ``control``, with values of any type.
    """
    problems: dict[tuple[int | str, ...], Problem] = {}
    config = {str(key): _with_text_keys(value) for key, value in config.items()}
    try:
        _Description.model_validate(config)
    except ValidationError as error:
        for found in error.errors(include_url=False):
            # The second part names which member of the union of address and mapping pydantic has tried.
            loc = found["loc"][:1] + found["loc"][2:] if found["loc"][0] == "control" else found["loc"]
            problems[loc] = _problem(loc, found)

    def read(*loc: int | str) -> Any:
        """The value at a place; None if it, or what contains it, is absent or does not fit."""
        value: Any = config
        for depth, part in enumerate(loc, 1):
            if loc[:depth] in problems:
                return None
            value = value.get(part) if isinstance(value, Mapping) else value[part]
            if value is None:
                return None
        return value

    def address(*loc: int | str) -> Address | None:
        text = read(*loc)
        return None if text is None else Address.of(text)

    jobs = read("cluster")
    rows = None
    if jobs is not None:
        rows = {
            str(job): [address("cluster", job, index) for index in range(len(read("cluster", job) or ()))]
            for job in jobs
        }
    control = config.get("control")
    place = ("control", "address") if isinstance(control, Mapping) else ("control",)
    in_control = control if isinstance(control, Mapping) else {"address": control}
    return list(problems.values()), Readable(
        rows=rows,
        task_type=read("task", "type"),
        task_index=read("task", "index"),
        control=address(*place),
        control_place=".".join(place),
        says_control=in_control.get("address") is not None,
        control_files=frozenset(key for key in FILE_KEYS if in_control.get(key) is not None),
    )


def _problem(loc: tuple[int | str, ...], found: ErrorDetails) -> Problem:
    """What pydantic has found, in our words and with a fix."""
    top, given = str(loc[0]), found["input"]
    is_key = loc[-1] == "[key]"
    place = _place(loc[:-1] if is_key else loc)
    match found["type"]:
        case "address":
            return Problem(place, found["ctx"]["what"], found["ctx"]["fix"])
        case "missing":
            return Problem(place, "it is missing", SAY_TASK if top == "task" else _SAY_JOBS)
        case "extra_forbidden":
            return unknown(place, str(loc[-1]), _KEYS["" if len(loc) == 1 else top], "key")
        case "literal_error":
            return unknown(
                place, given if isinstance(given, str) else shown(given), TASK_TYPES, "job" if is_key else "task type"
            )
        case "list_type":
            fix = 'write a list, such as ["localhost:2222"]; its order numbers the tasks'
            return Problem(place, f"it is {kind(given)}, not a list of addresses", fix)
        case "too_short":
            return Problem(place, "the list is empty", "add an address, or leave the job out")
        case "int_type":
            what = f"{shown(given)} is {kind(given)}, not a whole number"
            return Problem(place, what, "write a number without quotes, counted from 0")
        case "greater_than_equal":
            return Problem(place, f"{given} is negative", "count the tasks of a job from 0")
        case "string_type" | "string_pattern_mismatch":
            return Problem(place, f"{shown(given)} is no path of a file", "write the path, or leave the key out")
        case _:  # a mapping was wanted
            return Problem(place, f"it is {kind(given)}, not a mapping", SAY_TASK if top == "task" else _SAY_JOBS)


def _with_text_keys(value: object) -> object:
    """YAML has keys of all types. As texts they are unknown keys, which errors can name."""
    return {str(key): each for key, each in value.items()} if isinstance(value, Mapping) else value


def _place(loc: tuple[int | str, ...]) -> str:
    """As in ``cluster.ps[0]``: the third is a number in a list, the others are keys."""
    return ".".join(map(str, loc[:2])) + "".join(f"[{index}]" for index in loc[2:])
