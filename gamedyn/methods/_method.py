"""What all methods have in common: the facts of a family, stated once, with what most families share as default."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar

from gamedyn.methods._immutable import Immutable

if TYPE_CHECKING:
    from gamedyn.methods._coefficients import Declared

__all__ = ["Method"]


class Method(Immutable):
    """A method as data. Listing, catalogue, ranking, explorer, verification and dispatch read these facts.

    Attributes:
        name: canonical name; user-made methods need none.
        aliases: other names.
        source: where it comes from.
        declared: what the literature says of it, or None.
        digits: decimals that its coefficients are trusted to; None: exact.
        time_scale: the clock s: it solves `y' = s v` in steps of h.
        embedded_order: order of the embedded method; None where there is none.
        strong_order: order on a path, of methods for flows with noise that depends on the state; None: of no such.
        steps: steps whose values enter the formula.
        corrections: how often a step applies its last formula to what the one before predicts.
        order: on every game; None where a step approximates no flow `y' = s v`.
        evaluations: field evaluations a step, once started; those of one Newton step where a solver decides.
        registers: vectors of parameter size that a step holds; None where a Krylov space, or a library, decides.
        explicit: whether a step solves no equation, and applies no function of J.
        order_is_bound: whether the order may be higher than `order`.
        varies: whether coefficients change from step to step: limits are then those of a late step.
        fixed_players: how many players a game must have; None: any number.
        has_theory: whether gamedyn holds coefficients that imply limits: a symbol, or a one-step matrix.
    """

    has_theory: ClassVar[bool] = True
    name: str
    aliases: tuple[str, ...]
    declared: Declared | None = None
    digits: int | None = None
    time_scale: Any = Fraction(1)
    embedded_order: Any = None
    strong_order: Any = None
    steps: Any = 1
    corrections: int = 0
    order: Any = None
    evaluations: Any = None
    registers: Any = None
    explicit: Any = True
    order_is_bound: Any = False
    varies: ClassVar[bool] = False
    fixed_players: Any = None

    @property
    def kind(self) -> str:
        """The family in words, such as "explicit Runge-Kutta"."""
        raise NotImplementedError

    @property
    def order_separable(self) -> Any:
        """Order on games in which no gradient depends on its own player."""
        return self.order

    @property
    def decouples(self) -> bool:
        """Whether eigenvalues determine a step: it treats all players, and all parts of J, alike."""
        return True

    @property
    def formulas(self) -> tuple[Any, ...]:
        """The multistep formulas that a step applies, first to last; none for one-step methods."""
        return ()

    @property
    def named_parts(self) -> tuple[str, ...]:
        """The parts of the flow whose Jacobians a step must know: those of additive methods."""
        return ()

    @property
    def solver_decides(self) -> bool:
        """Whether a solver decides how many field evaluations a step takes."""
        return False

    @property
    def work(self) -> float | None:
        """Field evaluations a step, once started; None where a solver decides."""
        return None if self.solver_decides else self.evaluations

    @property
    def solves(self) -> int:
        """Linear systems of the size of J, or functions of J, a step; a coupled system of s stages counts as s."""
        return 0

    @property
    def host_decides(self) -> str:
        """What the host decides within a step, in words; "" if a step is a fixed sequence of evaluations and sums.

        Such a step can be compiled, or captured, as a whole.
        """
        return "" if self.explicit else "equations are solved to a tolerance"

    @property
    def straight_line(self) -> bool:
        """Whether a step is a fixed sequence of field evaluations and sums: no equation, no product with J."""
        return not self.host_decides

    @property
    def ensembles(self) -> bool:
        """Whether many members are stepped at once."""
        return self.straight_line

    @property
    def resamples(self) -> bool:
        """Whether every evaluation of a step may see a batch of its own: no equation is solved for one field."""
        return self.straight_line

    @property
    def shown(self) -> str:
        """The name, or what a user-made method shows itself as."""
        return self.name or repr(self)
