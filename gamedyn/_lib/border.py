"""The public border: what a bad argument leads to is reported as what it is.

A call that succeeds costs nothing. Where a call from outside the package fails with an error that is not gamedyn's, and
no code of the user's was running, its arguments are compared with the annotations: one of another type, or with a value
that few functions take (not finite, not positive, empty, of another kind of number), is named, with the error that it
has led to. What neither explains comes through as it is, and so does what a call from inside the package raises: it is
a fault of ours, or of something further out.
"""

from __future__ import annotations

import builtins
import collections.abc
import functools
import inspect
import math
import operator
import sys
import sysconfig
import types
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Union

from gamedyn._lib.errors import ArgumentError, GamedynError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["border", "bordered"]

F = TypeVar("F", bound="typing.Callable[..., Any]")

LIBRARIES = [sysconfig.get_paths()[k] for k in ("purelib", "platlib", "stdlib")]
OURS = (str(Path(__file__).parents[1]), *LIBRARIES, "<frozen")
NUMBERS = {int: "a whole number", float: "a number", complex: "a complex number", bool: "True or False", str: "text"}
HUGE = 1e15
SHAPES = ("shape", "size", "dimension", "broadcast")
ABSTRACT = {name: getattr(collections.abc, name) for name in collections.abc.__all__}


UNDESCRIBED = (TypeError, ValueError, AttributeError, NotImplementedError, RuntimeError)
"""What values raise that cannot even be looked at (a scripted module's length): the error itself says more."""


def border(namespace: dict[str, Any], *, skip: Iterable[str] = ()) -> None:
    """Let a package's public functions and classes (its `__all__`) explain their bad arguments.

    Args:
        namespace: the package's `globals()`.
        skip: names on the hot path: of classes, all but their constructors, of methods, or "Class.method".
    """
    skip = set(skip)
    for name in namespace["__all__"]:
        found = namespace[name]
        if isinstance(found, types.FunctionType) and not hasattr(found, "__bordered__"):
            namespace[name] = told = bordered(found)
            module = sys.modules[found.__module__]
            if getattr(module, name, None) is found:
                setattr(module, name, told)
        elif inspect.isclass(found) and found.__module__.startswith("gamedyn") and not issubclass(found, BaseException):
            for kind in _kinds(found):
                for key, method in {"__init__": kind.__init__, **vars(kind)}.items():
                    public = key == "__init__" or not key.startswith("_")
                    hot = not skip.isdisjoint({key, f"{name}.{key}"}) or (name in skip and key != "__init__")
                    hot = hot or hasattr(method, "__bordered__")
                    if public and not hot and isinstance(method, types.FunctionType):
                        setattr(kind, key, bordered(method))


def _kinds(found: type) -> list[Any]:
    """A class and those of its package that are made of it, which functions of the package return."""
    package = found.__module__.rpartition(".")[0]
    subclasses: list[type] = type.__subclasses__(found)
    below = [kind for c in subclasses if c.__module__.rpartition(".")[0] == package for kind in _kinds(c)]
    return [found, *below]


def bordered(function: F, *, through: int = 0) -> F:
    """A function that explains its bad arguments to whoever calls it, `through` so many functions of the package's."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except GamedynError:
            raise
        except Exception as error:
            if not _inside(sys._getframe(1 + through).f_code) and not _users(error):
                try:
                    _explain(function, args, kwargs, error)
                except GamedynError:
                    raise
                except UNDESCRIBED:
                    pass
            raise

    call.__bordered__ = True  # type: ignore[attr-defined]
    return call  # type: ignore[return-value]


def _inside(code: types.CodeType) -> bool:
    """Whether code is the package's or a library's; a dataclass's generated constructor is."""
    generated = code.co_filename == "<string>" and code.co_name == "__init__"
    return generated or code.co_filename.startswith(OURS)


def _users(error: BaseException) -> bool:
    """Whether code that is not the package's, nor a library's, was running."""
    step = error.__traceback__
    while step is not None:
        if not _inside(step.tb_frame.f_code):
            return True
        step = step.tb_next
    return False


def _explain(function: Any, args: Any, kwargs: Any, error: Exception) -> None:
    """Raise what is known of the bad argument; return where nothing is.

    Raises:
        ArgumentError: with the argument's name.
    """
    signature = inspect.signature(function)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as unfit:
        name = getattr(function, "__qualname__", "the call")
        raise ArgumentError(name, f"a call as {name}{_shown(signature)}", str(unfit).removeprefix("got ")) from error
    given = [
        (k, v, signature.parameters[k], _hint(signature.parameters[k].annotation, function))
        for k, v in bound.arguments.items()
        if k != "self"
    ]
    led = f"it led to {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    for name, value, parameter, hint in given:
        if parameter.kind is parameter.VAR_KEYWORD or parameter.kind is parameter.VAR_POSITIONAL or _fits(value, hint):
            continue
        raise ArgumentError(name, _words(parameter.annotation, hint), _got(value), led) from error
    for name, value, parameter, hint in given:
        named = name in str(error).lower()
        odd = "" if _declared(value, hint) and not named else _odd(value, str(error))
        if odd and value is not parameter.default:
            raise ArgumentError(name, "a value that can be used here", f"{odd}, {_got(value)}", led) from error


def _shown(signature: inspect.Signature) -> str:
    names = [p.name if p.default is p.empty else f"{p.name}=..." for p in signature.parameters.values()]
    return f"({', '.join(n for n in names if n != 'self')})"


class _Names(dict[str, Any]):
    """A module's names; those that it imports for type checkers alone, as far as they are known."""

    def __missing__(self, key: str) -> Any:
        if key in ABSTRACT or hasattr(builtins, key):
            return ABSTRACT.get(key) or getattr(builtins, key)
        torch = sys.modules.get("torch")
        return torch.Tensor if key == "Tensor" and torch is not None else Any


def _hint(annotation: Any, function: Any) -> Any:
    if not isinstance(annotation, str):
        return Any if annotation is inspect.Parameter.empty else annotation
    try:
        return eval(annotation, {}, _Names(sys.modules[function.__module__].__dict__))
    except Exception:  # an annotation that only a type checker understands
        return Any


def _fits(value: Any, hint: Any) -> bool:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint in (Any, object) or isinstance(hint, TypeVar):
        return True
    if hint is None or hint is type(None):
        return value is None
    if origin in (Union, types.UnionType):
        return any(_fits(value, h) for h in inner)
    if hint in NUMBERS:
        return _number(value, hint)
    kind = origin or hint
    if kind is collections.abc.Callable:
        return callable(value)
    if kind in (collections.abc.Sequence, collections.abc.Iterable, collections.abc.Iterator, list, tuple):
        if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__" if kind is not list else "__len__"):
            return False
        each = inner[0] if inner and inner[0] is not Ellipsis else Any
        return not isinstance(value, (list, tuple)) or kind is tuple or all(_fits(x, each) for x in value)
    if kind in (collections.abc.Mapping, dict):
        return hasattr(value, "keys")
    if inspect.isclass(kind) and not getattr(kind, "_is_protocol", False):
        return isinstance(value, kind)
    return True


def _declared(value: Any, hint: Any) -> bool:
    """Whether the annotation asks for text, or for a truth value, and this is one."""
    if typing.get_origin(hint) in (Union, types.UnionType):
        return any(_declared(value, h) for h in typing.get_args(hint))
    return hint in (str, bool) and _fits(value, hint)


def _number(value: Any, kind: type) -> bool:
    if kind is str:
        return isinstance(value, str)
    if isinstance(value, (str, bytes)) or value is None:
        return False
    if kind is bool:
        return isinstance(value, bool) or type(value).__name__ in ("bool", "bool_")
    try:
        converts: dict[type, Any] = {int: operator.index, float: float, complex: complex}
        converts[kind](value)
    except Exception:  # whatever the conversion says
        return False
    return kind is not int or not isinstance(value, bool)


def _words(annotation: Any, hint: Any) -> str:
    if hint in NUMBERS:
        return NUMBERS[hint]
    return str(annotation) if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def _got(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if shape is not None and hasattr(value, "dtype"):
        return f"{type(value).__name__} of shape {tuple(shape)}, {value.dtype}"
    text = repr(value)
    return f"{text if len(text) < 80 else text[:77] + '...'} ({type(value).__name__})"


def _odd(value: Any, said: str = "") -> str:
    """What is unusual about a value; "" if nothing. Of an array its shape, where that was said to be wrong."""
    shape = getattr(value, "shape", None)
    if shape is not None and hasattr(value, "dtype"):
        return _odd_array(value, tuple(shape), any(word in said for word in SHAPES))
    if isinstance(value, (str, bytes)):
        return "text"
    if isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)):
        return "a class" if isinstance(value, type) else "a function"
    if isinstance(value, (bool, complex)):
        return "a truth value" if isinstance(value, bool) else "a complex number"
    if isinstance(value, (int, float)) or hasattr(value, "__float__"):
        number = float(value) if abs(value) < HUGE or isinstance(value, float) else math.inf
        odd = "not finite" if isinstance(value, float) and not math.isfinite(value) else ""
        return odd or ("too large" if abs(number) >= HUGE else "not positive" if number <= 0 else "")
    if hasattr(value, "__len__"):
        inside = value.values() if hasattr(value, "values") and callable(value.values) else value
        if len(value) == 0:
            return "empty"
        entries = list(inside) if isinstance(value, (list, tuple, dict)) and len(value) < 100 else []
        found = (odd for x in entries if (odd := _odd(x) or _nothing(x)))
        return next((f"with an entry that is {odd}" for odd in found if odd != "not positive"), "")
    return _nothing(value)


def _nothing(x: Any) -> str:
    return "nothing" if x is None else "a bare object" if type(x) is object else ""


def _odd_array(value: Any, shape: tuple[int, ...], misshapen: bool) -> str:
    if 0 in shape or not shape:
        return "empty" if 0 in shape else "a single number"
    kind = str(value.dtype)
    if "float" not in kind:
        return f"of kind {kind}"
    finite = value == value
    if not bool(finite.all()) or bool((abs(value) == math.inf).any()):
        return "not finite"
    return f"of shape {shape}" if misshapen else ""
