"""Runge-Kutta methods written as programs on registers: low storage."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, TypedDict, Union

from gamedyn._lib.errors import ArgumentError
from gamedyn.methods._coefficients import Coefficient, Declared, fewest_digits, float_digits, row
from gamedyn.methods._runge_kutta import RungeKutta

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack

__all__ = ["About", "Combine", "Evaluate", "Instruction", "LowStorage", "nested", "three_s_star", "two_n", "two_r"]

ONE, ZERO = Fraction(1), Fraction(0)


@dataclass(frozen=True)
class Evaluate:
    """`F <- v(t + c_i h, R[0])`, at the i-th such instruction; register 0 is always the stage point."""


@dataclass(frozen=True)
class Combine:
    """`R[target] <- sum_j w_j R[j] + slope h F`, in place: the target may be among the sources.

    Attributes:
        target: register written.
        weights: pairs (source register, weight).
        slope: weight of the last evaluation times h.
    """

    target: int
    weights: tuple[tuple[int, Fraction], ...]
    slope: Fraction


Instruction = Union[Evaluate, Combine]

Vector = tuple[Fraction, ...]
"""What a register holds: coefficients of y, h k_1, h k_2, ..."""


class About(TypedDict, total=False):
    """What is said of a method, as in `LowStorage`."""

    digits: int | None
    name: str
    aliases: tuple[str, ...]
    declared: Declared | None
    source: str


class LowStorage(RungeKutta):
    """A Runge-Kutta method given as a program; on vectors of coefficients the program yields its tableau.

    The registers start as copies of y or as zero; at the end register 0 holds y+.

    Args:
        program: the instructions of one step.
        initial: for each register, whether it starts as a copy of y (else as zero).
        error_register: the register that holds `y_hat` at the end, or None.
        form: the family: "2N", "2R", "nested", "3S*" or "other".
        digits: decimals that published decimal coefficients are trusted to; None: exact.
        name: canonical name; user-made methods need none.
        aliases: other names.
        declared: what the literature says, checked by the contract suite.
        source: where the coefficients come from.

    Raises:
        ArgumentError: if a register does not exist, an evaluation is never used, or a stage point, y+ or
            y_hat is not y plus a sum of slopes.

    Source: Ketcheson 2010, J. Comput. Phys. 229, p. 1763 (the forms).

    Example:
        >>> midpoint = nested(["1/2", 1])
        >>> midpoint.order, midpoint.registers_used, midpoint.registers
        (2, 2, 4)
        >>> [str(w) for w in midpoint.b]
        ['0', '1']
    """

    def __init__(
        self,
        program: Sequence[Instruction],
        initial: Sequence[bool],
        *,
        error_register: int | None = None,
        form: str = "other",
        digits: int | None = None,
        name: str = "",
        aliases: tuple[str, ...] = (),
        declared: Declared | None = None,
        source: str = "user",
    ) -> None:
        self.program, self.initial = tuple(program), tuple(initial)
        self.error_register, self.form = error_register, form
        self._check()
        stages, end = _executed(self.program, self.initial)
        A = [_slopes("program", "every stage point", u) for u in stages]
        b = _slopes("program", "register 0", end[0])
        b_hat = None
        if error_register is not None:
            b_hat = _slopes("error_register", f"register {error_register}", end[error_register])
        _check_used(A, b, b_hat)
        super().__init__(A, b, b_hat, digits=digits, name=name, aliases=aliases, declared=declared, source=source)

    @property
    def kind(self) -> str:
        """The family in words."""
        return "low storage"

    @property
    def registers_used(self) -> int:
        """Number of registers R of the program."""
        return len(self.initial)

    @property
    def registers(self) -> int:
        """Vectors of parameter size that a step holds: the registers, the field, a checked state."""
        return self.registers_used + 2

    def _check(self) -> None:
        count = len(self.initial)
        if not count or not self.initial[0]:
            raise ArgumentError("initial", "register 0 to start as a copy of y", self.initial)
        for step in self.program:
            used = (step.target, *(j for j, _ in step.weights)) if isinstance(step, Combine) else ()
            if any(not 0 <= j < count for j in used):
                raise ArgumentError("program", f"registers 0 to {count - 1}", step)
        if self.error_register is not None and not 0 < self.error_register < count:
            raise ArgumentError("error_register", f"a register from 1 to {count - 1}", self.error_register)
        if not self.program or not isinstance(self.program[0], Evaluate):
            raise ArgumentError("program", "an evaluation first", self.program[:1])


def _executed(program: Sequence[Instruction], initial: Sequence[bool]) -> tuple[list[Vector], list[Vector]]:
    """Stage points and final registers, as coefficients of y, h k_1, ..., h k_s."""
    width = 1 + sum(isinstance(step, Evaluate) for step in program)
    registers = [tuple(ONE if is_y and q == 0 else ZERO for q in range(width)) for is_y in initial]
    stages: list[Vector] = []
    for step in program:
        if isinstance(step, Evaluate):
            stages.append(registers[0])
            continue
        out = [ZERO] * width
        for j, weight in step.weights:
            out = [x + weight * r for x, r in zip(out, registers[j], strict=True)]
        out[len(stages)] += step.slope
        registers[step.target] = tuple(out)
    return stages, registers


def _slopes(argument: str, what: str, weights: Vector) -> Vector:
    """The coefficients of the slopes, of a register that holds y plus slopes."""
    if weights[0] != 1:
        raise ArgumentError(argument, f"{what} to be y plus slopes", f"{weights[0]} y")
    return weights[1:]


def _check_used(A: Sequence[Vector], b: Vector, b_hat: Vector | None) -> None:
    for i, weight in enumerate(b):
        if not (weight or (b_hat and b_hat[i]) or any(r[i] for r in A)):
            raise ArgumentError("program", "every evaluation to be used", f"evaluation {i + 1}, which is not")


def two_n(A: Sequence[Coefficient], B: Sequence[Coefficient], **about: Unpack[About]) -> LowStorage:
    """A method of Williamson's form: `dU <- A_i dU + h F`, `U <- U + B_i dU`, for i = 1, ..., s.

    Two registers, U and dU.

    Args:
        A: s coefficients, the first 0.
        B: s coefficients.
        **about: digits, name, aliases, declared and source, as in `LowStorage`.

    Raises:
        ArgumentError: if the lengths differ or A does not begin with 0.

    Source: Williamson 1980, J. Comput. Phys. 35, p. 48.

    Example:
        >>> heun = two_n([0, -1], [1, "1/2"])
        >>> [str(w) for w in heun.b]
        ['1/2', '1/2']
    """
    first, second = row("A", A), row("B", B)
    if len(first) != len(second) or not first or first[0]:
        raise ArgumentError("A", f"{len(second)} coefficients, as many as B, the first 0", A)
    program: list[Instruction] = []
    for a, b in zip(first, second, strict=True):
        program += [Evaluate(), Combine(1, ((1, a),) if a else (), ONE), Combine(0, ((0, ONE), (1, b)), ZERO)]
    about["digits"] = fewest_digits(about.get("digits"), float_digits(A, B))
    return LowStorage(program, (True, False), form="2N", **about)


def two_r(
    a: Sequence[Coefficient],
    b: Sequence[Coefficient],
    b_hat: Sequence[Coefficient] | None = None,
    **about: Unpack[About],
) -> LowStorage:
    """A method of van der Houwen's form: `A_ij = b_j` below the first subdiagonal `a`.

    `U <- P + a_i h F`, `P <- P + b_i h F`; at the last stage `U <- P + b_s h F`. Two registers, U and P;
    embedded weights take a third, `y_hat <- y_hat + b_hat_i h F`.

    Args:
        a: s - 1 coefficients `A_{i+1,i}`.
        b: s weights.
        b_hat: s embedded weights, or None.
        **about: digits, name, aliases, declared and source, as in `LowStorage`.

    Raises:
        ArgumentError: if the lengths do not match.

    Source: van der Houwen 1972; Kennedy, Carpenter, Lewis 2000, Appl. Numer. Math. 35, p. 177.

    Example:
        >>> kutta = two_r(["1/2"], [0, 1])
        >>> kutta.order, kutta.form
        (2, '2R')
    """
    below, weights = row("a", a), row("b", b)
    hats = None if b_hat is None else row("b_hat", b_hat)
    if len(below) != len(weights) - 1:
        raise ArgumentError("a", f"{len(weights) - 1} coefficients, one fewer than b", f"{len(below)}")
    if hats is not None and len(hats) != len(weights):
        raise ArgumentError("b_hat", f"{len(weights)} weights, as many as b", f"{len(hats)}")
    program: list[Instruction] = []
    for i, weight in enumerate(weights):
        last = i == len(below)
        program += [Evaluate(), Combine(0, ((1, ONE),), weight if last else below[i])]
        if not last and weight:
            program.append(Combine(1, ((1, ONE),), weight))
        if hats is not None and hats[i]:
            program.append(Combine(2, ((2, ONE),), hats[i]))
    about["digits"] = fewest_digits(about.get("digits"), float_digits(a, b, b_hat or ()))
    return LowStorage(
        program, (True,) * (2 if hats is None else 3), error_register=None if hats is None else 2, form="2R", **about
    )


def nested(alphas: Sequence[Coefficient], **about: Unpack[About]) -> LowStorage:
    """A nested method: `U <- y + alpha_k h v(U)` for k = 1, ..., s, with `alpha_s = 1`.

    `R(z) = 1 + alpha_s z (1 + alpha_{s-1} z (1 + ...))`. Two registers, U and y. Order 2 at most on nonlinear
    games.

    Args:
        alphas: s coefficients, none of them 0.
        **about: digits, name, aliases, declared and source, as in `LowStorage`.

    Raises:
        ArgumentError: if an alpha is 0.

    Source: Jameson, Schmidt, Turkel 1981, AIAA 81-1259; Kinnmark, Gray 1984, Math. Comput. Simul. 26, p. 87.

    Example:
        >>> nested(["1/2", "1/2", 1]).order
        2
    """
    program: list[Instruction] = []
    for alpha in row("alphas", alphas):
        program += [Evaluate(), Combine(0, ((1, ONE),), alpha)]
    about["digits"] = fewest_digits(about.get("digits"), float_digits(alphas))
    return LowStorage(program, (True, True), form="nested", **about)


def three_s_star(
    gamma2: Sequence[Coefficient],
    gamma3: Sequence[Coefficient],
    delta: Sequence[Coefficient],
    beta: Sequence[Coefficient],
    b_hat: Sequence[Coefficient] | None = None,
    **about: Unpack[About],
) -> LowStorage:
    """A method of Ketcheson's form 3S*: three registers, the third of which keeps y.

    `S2 <- S2 + delta_i S1`, `S1 <- gamma1_i S1 + gamma2_i S2 + gamma3_i y + beta_i h F`, for i = 1, ..., s,
    from S1 = y and S2 = 0. `gamma1_i = 1 - gamma2_i (delta_1 + ... + delta_i) - gamma3_i` is derived. Embedded
    weights take a fourth register, `y_hat <- y_hat + b_hat_i h F`.

    Args:
        gamma2: s coefficients.
        gamma3: s coefficients.
        delta: s coefficients.
        beta: s coefficients.
        b_hat: s embedded weights, or None.
        **about: digits, name, aliases, declared and source, as in `LowStorage`.

    Raises:
        ArgumentError: if the lengths differ.

    Source: Ketcheson 2010, J. Comput. Phys. 229, p. 1763; Ranocha et al. 2022 (embedded weights).

    Example:
        >>> heun = three_s_star([1, "1/2"], [0, 0], [1, 0], [1, "1/2"])
        >>> heun.order, heun.registers_used
        (2, 3)
    """
    columns = {"gamma2": gamma2, "gamma3": gamma3, "delta": delta, "beta": beta} | (
        {} if b_hat is None else {"b_hat": b_hat}
    )
    exact = {key: row(key, values) for key, values in columns.items()}
    for key, values in exact.items():
        if len(values) != len(exact["beta"]):
            raise ArgumentError(key, f"{len(exact['beta'])} coefficients, as many as beta", f"{len(values)}")
    program: list[Instruction] = []
    total = ZERO
    for i, (g2, g3, d, slope) in enumerate(
        zip(*(exact[k] for k in ("gamma2", "gamma3", "delta", "beta")), strict=True)
    ):
        total += d
        shares = ((0, ONE - g2 * total - g3), (1, g2), (2, g3))
        program.append(Evaluate())
        if d:
            program.append(Combine(1, ((1, ONE), (0, d)) if i else ((0, d),), ZERO))
        program.append(Combine(0, tuple((j, w) for j, w in shares if w), slope))
        if "b_hat" in exact and exact["b_hat"][i]:
            program.append(Combine(3, ((3, ONE),), exact["b_hat"][i]))
    about["digits"] = fewest_digits(about.get("digits"), float_digits(*columns.values()))
    embedded = "b_hat" in exact
    return LowStorage(
        program, (True, False, True) + (True,) * embedded, error_register=3 if embedded else None, form="3S*", **about
    )
