"""What a method is: frozen, validated coefficients. Reads nothing, knows no stepper, never imports torch."""

from __future__ import annotations

import inspect

from gamedyn._lib.border import border
from gamedyn._lib.discover import Registry
from gamedyn._lib.errors import ArgumentError, UnknownNameError
from gamedyn.methods._additive import AdditiveRungeKutta
from gamedyn.methods._anchored import Anchored
from gamedyn.methods._coefficients import Declared
from gamedyn.methods._delegated import Delegated
from gamedyn.methods._exponential import ExponentialRosenbrock
from gamedyn.methods._linear_multistep import LinearMultistep
from gamedyn.methods._linearly_implicit import LinearlyImplicit
from gamedyn.methods._lookahead import Lookahead
from gamedyn.methods._low_storage import LowStorage
from gamedyn.methods._maps import AlternatingMap, ExtrapolatedMap, Grafted, Map, NormalisedDescent, OptimisticMap
from gamedyn.methods._method import Method
from gamedyn.methods._partitioned import Partitioned, Sweep
from gamedyn.methods._periodic import Periodic
from gamedyn.methods._predictor_corrector import PredictorCorrector
from gamedyn.methods._runge_kutta import RungeKutta
from gamedyn.methods._stochastic import StochasticRungeKutta
from gamedyn.methods._table import Listing, listed
from gamedyn.methods.additive import penalty_placed
from gamedyn.methods.anchored import anchored_gradient, feg
from gamedyn.methods.discrete_maps import alternating_adam, extra_adam, optimistic_adam
from gamedyn.methods.game import double_step_extragradient, extragradient, lookahead
from gamedyn.methods.implicit import theta
from gamedyn.methods.low_storage import nested, nested_imaginary, three_s_star, two_n, two_r
from gamedyn.methods.momentum import complex_momentum, heavy_ball, lead, optimistic
from gamedyn.methods.multistep import adams_bashforth, adams_moulton, bdf, explicit_bdf
from gamedyn.methods.partitioned import alternating, forest_ruth, ruth3, strang

__all__ = [
    "AdditiveRungeKutta",
    "AlternatingMap",
    "Anchored",
    "Declared",
    "Delegated",
    "ExponentialRosenbrock",
    "ExtrapolatedMap",
    "Grafted",
    "LinearMultistep",
    "LinearlyImplicit",
    "Listing",
    "Lookahead",
    "LowStorage",
    "Map",
    "Method",
    "NormalisedDescent",
    "OptimisticMap",
    "Partitioned",
    "Periodic",
    "PredictorCorrector",
    "RungeKutta",
    "StochasticRungeKutta",
    "Sweep",
    "adams_bashforth",
    "adams_moulton",
    "alternating",
    "alternating_adam",
    "anchored_gradient",
    "bdf",
    "complex_momentum",
    "double_step_extragradient",
    "explicit_bdf",
    "extra_adam",
    "extragradient",
    "feg",
    "forest_ruth",
    "get",
    "heavy_ball",
    "lead",
    "lookahead",
    "maps",
    "members",
    "names",
    "nested",
    "nested_imaginary",
    "optimistic",
    "optimistic_adam",
    "penalty_placed",
    "ruth3",
    "strang",
    "table",
    "theta",
    "three_s_star",
    "two_n",
    "two_r",
]

LIBRARIES = ("torchdiffeq", "scipy", "torch.optim")
"""Libraries a name may be prefixed with."""
OPTIMISERS = {n.lower(): n for n in ("Adagrad", "Adam", "Adamax", "AdamW", "NAdam", "RAdam", "RMSprop")}
"""What people call optimisers of PyTorch, and what it calls them."""
ABOUT = ("get", "maps", "members", "names", "table")
"""The functions here that make no method; every other one is a family."""

_REGISTRY: Registry[Method] = Registry("gamedyn.methods", Method, "method")


def names() -> tuple[str, ...]:
    """Canonical names of all members, sorted; maps have their own, see `maps`.

    Example:
        >>> "rk4" in names()
        True
    """
    return tuple(members())


def members() -> dict[str, Method]:
    """All methods that have an order and limits, by canonical name."""
    return {n: m for n, m in _REGISTRY.members().items() if m.order is not None}


def maps() -> dict[str, Method]:
    """All discrete maps by canonical name: steps that approximate no flow `y' = s v`, so that they have no order.

    Anchored and periodic ones have limits nevertheless; `has_theory` says which.

    Example:
        >>> "normalised" in maps(), "eag" in maps(), "rk4" in maps()
        (True, True, False)
    """
    return {n: m for n, m in _REGISTRY.members().items() if m.order is None}


def table() -> Listing:
    """All methods and maps: family, orders, work, registers, limits, what their steppers support; by name, too.

    Example:
        >>> row = table()["strang"]
        >>> row.order_separable, row.order, row.evaluations
        (2, 1, 1.5)
    """
    return Listing(listed(m) for m in _REGISTRY.members().values())


def get(method: str | Method, **options: object) -> Method:
    """The method of a name or alias; a method object is returned as it is.

    Args:
        method: a name ("rk4"), a name with a library's prefix ("torchdiffeq:rk4"), or a method object.
        options: options of the library's method, or arguments of the family of that name (`alternating`, `theta`...).

    Raises:
        UnknownNameError: if nothing is called so, with the nearest names.
        ArgumentError: if it is neither a name nor a method, or options are given where none exist or fit.

    Example:
        >>> get("ogda").name, get("alternating", cycles={"D": 5, "G": 1}).evaluations
        ('optimistic', 3)
    """
    if isinstance(method, str) and ":" in method:
        library, _, inner = method.partition(":")
        if library not in LIBRARIES:
            raise UnknownNameError("library", library, LIBRARIES)
        return Delegated(library, inner, dict(options))
    if options:
        return _of_family(method, options)
    if isinstance(method, str):
        try:
            return _REGISTRY.get(method)
        except UnknownNameError as error:
            if optimiser := OPTIMISERS.get(method.lower()):
                remedy = f"PyTorch's: 'torch.optim:{optimiser}'"
                raise ArgumentError("method", error.expected, method, remedy) from None
            raise
    if not isinstance(method, Method):
        raise ArgumentError("method", "a name or a method object", method, f"names: {', '.join(names())}")
    return method


def _of_family(method: object, options: dict[str, object]) -> Method:
    families = {n: f for n in __all__ if n.islower() and n not in ABOUT and callable(f := globals()[n])}
    if method not in families:
        remedy = f"other libraries' methods take options, and families: {', '.join(families)}"
        raise ArgumentError("options", f"none for {method!r}", ", ".join(options), remedy)
    try:
        inspect.signature(families[method]).bind(**options)
    except TypeError as error:
        takes = ", ".join(inspect.signature(families[method]).parameters)
        raise ArgumentError("options", f"arguments of {method}: {takes}", ", ".join(options), str(error)) from error
    made: Method = families[method](**options)
    return made


border(globals())
