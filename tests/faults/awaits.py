"""Every await of a module, and the moment a running process comes to one: told by the interpreter, not by the code."""

import dis
import gc
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import CodeType, FunctionType
from typing import Literal, NamedTuple

_TOOL = 4
"""Of those that the interpreter leaves to whoever wants one."""
_KINDS = {0: "await", 1: "enter", 2: "exit"}  # the argument of GET_AWAITABLE
_REPOSITORY = Path(__file__).parents[2]


class Await(NamedTuple):
    """An await in the source; an `async with` has two of them (enter, exit), an `async for` one (next)."""

    file: str
    line: int
    column: int
    kind: str
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column} {self.function}, {self.kind}"


class Point(NamedTuple):
    """A place to die: before an await has begun (nothing of it was sent), or while it waits for an answer."""

    at: Await
    moment: Literal["before", "waiting"]

    def __str__(self) -> str:
        return f"{self.at}, {self.moment}"


def awaits(name: str) -> list[Await]:
    """Return every await in the source of a module, or of one function of it (`module:Class.method`), in its order."""
    module, _, function = name.partition(":")
    file = import_module(module).__file__
    assert file is not None
    whole = compile(Path(file).read_text("utf-8"), file, "exec")
    found = {at for code in _inside(whole) for at, _ in _points(code).values()}
    return sorted(at for at in found if function in ("", at.function))


type Points = Mapping[CodeType, Mapping[int, Point]]
"""The points of functions, each by the place of its instruction."""


def points(names: Iterable[str]) -> Points:
    """Return the points of these modules and functions."""
    wanted = {at for name in names for at in awaits(name)}
    files = {str(_REPOSITORY / at.file) for at in wanted}
    functions = [each.__code__ for each in gc.get_objects() if isinstance(each, FunctionType)]
    codes = {code for one in functions if one.co_filename in files for code in _inside(one)}
    found = {code: {place: point for place, point in _points(code).items() if point.at in wanted} for code in codes}
    return {code: there for code, there in found.items() if there}


def watch(watched: Points, come: Callable[[Point], None]) -> None:
    """Call `come` whenever this process comes to one of these points, from now on and for good."""
    monitoring, events = sys.monitoring, sys.monitoring.events

    def at(code: CodeType, offset: int, *_: object) -> object:
        point = watched[code].get(offset)
        if point is None:
            return monitoring.DISABLE  # this one, for good
        come(point)
        return None

    monitoring.use_tool_id(_TOOL, "faults")
    monitoring.register_callback(_TOOL, events.INSTRUCTION, at)
    monitoring.register_callback(_TOOL, events.PY_YIELD, at)
    for code in watched:
        monitoring.set_local_events(_TOOL, code, events.INSTRUCTION | events.PY_YIELD)


def _points(code: CodeType) -> dict[int, Point]:
    """Return the points of one function by the place of their instructions."""
    found: dict[int, Point] = {}
    here: Await | None = None
    before = ""
    file = str(Path(code.co_filename).relative_to(_REPOSITORY))
    for each in dis.get_instructions(code):
        if each.opname in ("GET_AWAITABLE", "GET_ANEXT"):
            kind = "next" if each.opname == "GET_ANEXT" else _KINDS[each.arg or 0]
            assert each.positions is not None
            line, column = each.positions.lineno or 0, each.positions.col_offset or 0
            here = Await(file, line, column + 1, kind, code.co_qualname)
            found[each.offset] = Point(here, "before")
        elif each.opname == "YIELD_VALUE" and before == "SEND":  # an async generator's own yields are no awaits
            assert here is not None
            found[each.offset] = Point(here, "waiting")
        before = each.opname
    return found


def _inside(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _inside(constant)
