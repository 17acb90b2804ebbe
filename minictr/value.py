"""Value: the base of every immutable record that flows through the program.

It gives what a frozen dataclass gives (constructor, equality, hash, repr) without importing
dataclasses, which alone costs more start-up time than a whole launch may take.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, Self, dataclass_transform
else:

    def dataclass_transform(**_options: object):
        """What type checkers read, and the interpreter need not."""
        return lambda cls: cls


@dataclass_transform(frozen_default=True)
class Value:
    """A record: its fields are the annotations of the class, its defaults the class attributes.

    What a class has and its instances share is not annotated.
    """

    fields: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        cls.fields += tuple(cls.__dict__.get("__annotations__", ()))

    def __init__(self, *values: Any, **named: Any) -> None:
        fields, record = self.fields, self.__dict__
        for name, value in zip(fields, values):  # noqa: B905  a keyword costs more than the rest
            record[name] = value
        record.update(named)
        if len(record) < len(fields):
            for name in fields:
                if name not in record:  # AttributeError names the missing field
                    record[name] = getattr(type(self), name)
        elif len(values) > len(fields):
            raise TypeError(f"{type(self).__name__} has {len(fields)} fields")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: {name} cannot be set")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.__dict__ == self.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *(self.__dict__[name] for name in self.fields)))

    def __repr__(self) -> str:
        inner = ", ".join(f"{name}={self.__dict__[name]!r}" for name in self.fields)
        return f"{type(self).__name__}({inner})"

    def replace(self, **changes: Any) -> Self:
        """The same record with some fields changed."""
        same = object.__new__(type(self))
        same.__dict__.update(self.__dict__)
        same.__dict__.update(changes)
        return same
