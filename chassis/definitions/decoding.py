"""Decodes public events for folds into msgspec structs that have the attributes of the pydantic contract.

The publisher has validated the contract's constraints (patterns, ranges); a decoder checks types only.
"""

import copy
from collections.abc import Callable, Collection
from functools import cache
from types import UnionType
from typing import Annotated, Any, TypeAliasType, Union, cast, get_args, get_origin

import msgspec
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from contracts.envelope import PublicEvent

type Decode = Callable[[bytes], Any]

_CONTAINERS = (list, dict, tuple, set, frozenset)


def decoder(event: type[PublicEvent], only: Collection[str] | None = None) -> Decode:
    """Return what decodes the JSON data of `event` into a frozen struct with the attributes of the model.

    `only` names the attributes wanted; the struct then has no others, and skips them unread. Unknown fields
    are ignored. The decoder raises msgspec.DecodeError (ValidationError when it is JSON of another shape).
    Raises TypeError for a model whose meaning a struct cannot carry, ValueError for an unknown name in `only`.
    """
    return _decoder(event, None if only is None else frozenset(only))


@cache
def _decoder(event: type[PublicEvent], only: frozenset[str] | None) -> Decode:
    if only is not None and (unknown := only - event.model_fields.keys()):
        raise ValueError(f"{event.__name__} has no {', '.join(sorted(unknown))}")
    return msgspec.json.Decoder(_struct(event, only)).decode


@cache
def _struct(model: type[BaseModel], only: frozenset[str] | None = None) -> type[msgspec.Struct]:
    decorators = model.__pydantic_decorators__
    if decorators.field_validators or decorators.model_validators or decorators.validators:
        raise TypeError(f"{model.__name__} has validators, which its struct would not run")
    wanted = {name: field for name, field in model.model_fields.items() if only is None or name in only}
    types = {name: _type(field.annotation) for name, field in wanted.items()}
    return msgspec.defstruct(
        model.__name__,
        [(name, types[name], _default(field)) for name, field in wanted.items()],
        rename={name: _name_in_json(name, field) for name, field in wanted.items()},
        frozen=True,
        kw_only=True,
        # A struct of nothing but scalars and such structs can be in no reference cycle.
        gc=any(_holds_containers(kind) for kind in types.values()),
        module=model.__module__,
    )


def _type(annotation: Any) -> Any:
    """Return the annotation as msgspec reads it: aliases and constraints taken off, models made structs."""
    if isinstance(annotation, TypeAliasType):
        return _type(annotation.__value__)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(origin, TypeAliasType):
        return _type(origin.__value__[arguments])
    if origin is Annotated:
        return _type(arguments[0])
    if origin in (Union, UnionType):
        return Union[tuple(_type(argument) for argument in arguments)]  # noqa: UP007
    if origin in _CONTAINERS:
        return origin[tuple(_type(argument) for argument in arguments)]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _struct(annotation)
    return annotation


def _default(field: FieldInfo) -> Any:
    if field.is_required():
        return msgspec.NODEFAULT
    if field.default_factory is not None:
        return msgspec.field(default_factory=cast("Callable[[], Any]", field.default_factory))
    if isinstance(field.default, BaseModel):
        raise TypeError("a model as a default would not be the struct that decoding makes")
    if isinstance(field.default, list | dict | set):
        return msgspec.field(default_factory=lambda: copy.deepcopy(field.default))
    return field.default


def _name_in_json(name: str, field: FieldInfo) -> str:
    alias = field.validation_alias or field.alias or name
    if not isinstance(alias, str):
        raise TypeError(f"{alias!r}: only a plain alias can be decoded")
    return alias


def _holds_containers(kind: Any) -> bool:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return bool(kind.__struct_config__.gc)
    if get_origin(kind) in (Union, UnionType):
        return any(_holds_containers(member) for member in get_args(kind))
    return kind is Any or get_origin(kind) in _CONTAINERS or kind in _CONTAINERS
