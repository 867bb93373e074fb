"""Runge-Kutta methods that need two to four vectors of parameter size, whatever their number of stages."""

from __future__ import annotations

from fractions import Fraction

from gamedyn._lib.checks import positive_int
from gamedyn._lib.errors import ArgumentError
from gamedyn.methods._coefficients import Declared
from gamedyn.methods._low_storage import (
    Combine,
    Evaluate,
    Instruction,
    LowStorage,
    nested,
    three_s_star,
    two_n,
    two_r,
)

__all__ = [
    "CK54",
    "KCL43",
    "KCL54",
    "KG32",
    "KG52",
    "KG72",
    "NDB124",
    "RDPK35",
    "Combine",
    "Evaluate",
    "Instruction",
    "LowStorage",
    "nested",
    "nested_imaginary",
    "three_s_star",
    "two_n",
    "two_r",
]

CK54 = two_n(
    A=[
        0,
        "-567301805773/1357537059087",
        "-2404267990393/2016746695238",
        "-3550918686646/2091501179385",
        "-1275806237668/842570457699",
    ],
    B=[
        "1432997174477/9575080441755",
        "5161836677717/13612068292357",
        "1720146321549/2090206949498",
        "3134564353537/4481467310338",
        "2277821191437/14882151754819",
    ],
    digits=20,
    name="ck54",
    aliases=("carpenter_kennedy54",),
    declared=Declared(order=4, real=4.6567571, imaginary=3.340718, digits=7),
    source="Carpenter, Kennedy 1994, NASA TM-109112, the recommended scheme of five stages",
)
NDB124 = two_n(
    A=[
        0,
        "-0.0923311242368072",
        "-0.9441056581158819",
        "-4.3271273247576394",
        "-2.1557771329026072",
        "-0.9770727190189062",
        "-0.7581835342571139",
        "-1.7977525470825499",
        "-2.6915667972700770",
        "-4.6466798960268143",
        "-0.1539613783825189",
        "-0.5943293901830616",
    ],
    B=[
        "0.0650008435125904",
        "0.0161459902249842",
        "0.5758627178358159",
        "0.1649758848361671",
        "0.3934619494248182",
        "0.0443509641602719",
        "0.2074504268408778",
        "0.6914247433015102",
        "0.3766646883450449",
        "0.0757190350155483",
        "0.2027862031054088",
        "0.2167029365631842",
    ],
    digits=13,
    name="ndb124",
    aliases=("niegemann_diehl_busch124", "ndblsrk124"),
    declared=Declared(order=4, real=4.0465036, imaginary=10.953794, digits=8),
    source="Niegemann, Diehl, Busch 2012, J. Comput. Phys. 231, p. 364; real limit computed here",
)
KCL43 = two_r(
    a=["11847461282814/36547543011857", "3943225443063/7078155732230", "-346793006927/4029903576067"],
    b=[
        "1017324711453/9774461848756",
        "8237718856693/13685301971492",
        "57731312506979/19404895981398",
        "-101169746363290/37734290219643",
    ],
    b_hat=[
        "15763415370699/46270243929542",
        "514528521746/5659431552419",
        "27030193851939/9429696342944",
        "-69544964788955/30262026368149",
    ],
    digits=20,
    name="kcl43",
    aliases=("rk3(2)4[2r+]c", "ckllsrk43_2"),
    declared=Declared(order=3, real=2.7852936, imaginary=2.8284271, digits=8),
    source="Kennedy, Carpenter, Lewis 2000, Appl. Numer. Math. 35, p. 177, RK3(2)4[2R+]C",
)
KCL54 = two_r(
    a=[
        "970286171893/4311952581923",
        "6584761158862/12103376702013",
        "2251764453980/15575788980749",
        "26877169314380/34165994151039",
    ],
    b=[
        "1153189308089/22510343858157",
        "1772645290293/4653164025191",
        "-1672844663538/4480602732383",
        "2114624349019/3568978502595",
        "5198255086312/14908931495163",
    ],
    b_hat=[
        "1016888040809/7410784769900",
        "11231460423587/58533540763752",
        "-1563879915014/6823010717585",
        "606302364029/971179775848",
        "1097981568119/3980877426909",
    ],
    digits=20,
    name="kcl54",
    aliases=("rk4(3)5[2r+]c", "ckllsrk54_3c"),
    declared=Declared(order=4, real=4.816957, imaginary=3.3239301, digits=7),
    source="Kennedy, Carpenter, Lewis 2000, Appl. Numer. Math. 35, p. 177, RK4(3)5[2R+]C",
)
RDPK35 = three_s_star(
    gamma2=[
        1,
        "5.528418745102160639901976698795928733e-01",
        "6.731844400389673824374042790213570079e-01",
        "2.803103804507635075215805236096803381e-01",
        "5.521508873507393276457754945308880998e-01",
    ],
    gamma3=[0, 0, 0, "2.752585813446636957256614568573008811e-01", "-8.950548709279785077579454232514633376e-01"],
    delta=[
        1,
        "3.407687209321455242558804921815861422e-01",
        "3.414399280584625023244387687873774697e-01",
        "7.229302732875589702087936723400941329e-01",
        0,
    ],
    beta=[
        "2.300285062878154351930669430512780706e-01",
        "3.021457892454169700189445968126242994e-01",
        "8.025601039472704213300183888573974531e-01",
        "4.362158997637629844305216319994356355e-01",
        "1.129268494470295369172265188216779157e-01",
    ],
    b_hat=[
        "1.046363371354093758897668305991705199e-01",
        "9.520431574956758809511173383346476348e-02",
        "4.482446645568668405072421350300379357e-01",
        "2.449030295461310135957132640369862245e-01",
        "1.070116530120251819121660365003405564e-01",
    ],
    digits=34,
    name="rdpk35",
    aliases=("rdpk3sp35",),
    declared=Declared(order=3, real=4.9282855, imaginary=2.7393351, digits=8),
    source="Ranocha, Dalcin, Parsani, Ketcheson 2022, Commun. Appl. Math. Comput. 4, p. 1191, RK3(2)5[3S*+]; "
    "limits computed here",
)

Polynomial = list[Fraction]


def nested_imaginary(stages: int) -> LowStorage:
    """The method of Kinnmark and Gray KG(s, 2): stable on `[0, (s - 1) i]`, the most s stages can reach.

    `R(z) = T_k(x) + (z/k) (1 + z^2/(4 k^2)) U_{k-1}(x)`, `x = 1 + z^2/(2 k^2)`, s = 2k + 1; the coefficients of
    the nested form are the ratios of successive coefficients of R.

    Args:
        stages: s, odd and at least 3.

    Raises:
        ArgumentError: if `stages` is not an odd whole number of at least 3.

    Source: Kinnmark, Gray 1984, Math. Comput. Simul. 26, p. 87.

    Example:
        >>> method = nested_imaginary(5)
        >>> [str(step.slope) for step in method.program if isinstance(step, Combine)]
        ['1/4', '1/6', '3/8', '1/2', '1']
    """
    positive_int("stages", stages, least=3)
    if stages % 2 == 0:
        raise ArgumentError("stages", "an odd number", stages)
    name, aliases, declared = _KINNMARK_GRAY.get(stages, ("", (), None))
    R = _imaginary_polynomial(stages // 2)
    alphas = [R[m + 1] / R[m] for m in reversed(range(stages))]
    source = "Kinnmark, Gray 1984, Math. Comput. Simul. 26, p. 87"
    return nested(alphas, name=name, aliases=aliases, declared=declared, source=source)


def _imaginary_polynomial(k: int) -> Polynomial:
    """Coefficients of R, constant first."""
    square = Fraction(1, 2 * k * k)
    x: Polynomial = [Fraction(1), Fraction(0), square]
    T, U = [[Fraction(1)], x], [[Fraction(1)], [2 * c for c in x]]
    for family in (T, U):
        while len(family) <= k:
            doubled = [2 * c for c in _product(x, family[-1])]
            family.append(_sum(doubled, [-c for c in family[-2]]))
    odd = _product([Fraction(0), Fraction(1, k), Fraction(0), square / (2 * k)], U[k - 1])
    return _sum(T[k], odd)


def _product(p: Polynomial, q: Polynomial) -> Polynomial:
    out = [Fraction(0)] * (len(p) + len(q) - 1)
    for i, a in enumerate(p):
        for j, b in enumerate(q):
            out[i + j] += a * b
    return out


def _sum(p: Polynomial, q: Polynomial) -> Polynomial:
    width = max(len(p), len(q))
    return [(p[i] if i < len(p) else Fraction(0)) + (q[i] if i < len(q) else Fraction(0)) for i in range(width)]


_KINNMARK_GRAY: dict[int, tuple[str, tuple[str, ...], Declared]] = {
    3: ("kg32", (), Declared(order=2, real=2.0, imaginary=2.0)),
    5: ("kg52", ("jameson",), Declared(order=2, real=2.5911955, imaginary=4.0, digits=8)),
    7: ("kg72", (), Declared(order=2, real=3.0, imaginary=6.0)),
}

KG32, KG52, KG72 = nested_imaginary(3), nested_imaginary(5), nested_imaginary(7)
