"""Strong-stability-preserving Runge-Kutta methods: convex combinations of Euler steps.

`sspSP` has s stages and order p; its tableau is that of the Shu-Osher form.
"""

from __future__ import annotations

import math

from gamedyn.methods._coefficients import Declared
from gamedyn.methods._runge_kutta import RungeKutta

__all__ = ["SSP33", "SSP43", "SSP54", "SSP104"]

SSP33 = RungeKutta(
    A=[[], [1], ["1/4", "1/4"]],
    b=["1/6", "1/6", "2/3"],
    name="ssp33",
    aliases=("shu_osher3", "ssprk33"),
    declared=Declared(order=3, real=2.5127453266, imaginary=math.sqrt(3)),
    source="Shu, Osher 1988, J. Comput. Phys. 77, eq. (2.18)",
)
SSP43 = RungeKutta(
    A=[[], ["1/2"], ["1/2", "1/2"], ["1/6", "1/6", "1/6"]],
    b=["1/6", "1/6", "1/6", "1/2"],
    name="ssp43",
    aliases=("ssprk43",),
    declared=Declared(order=3, real=5.1494861478, imaginary=2.1561796402),
    source="Kraaijevanger 1991, BIT 31, p. 482; Spiteri, Ruuth 2002, SIAM J. Numer. Anal. 40, p. 469",
)
SSP54 = RungeKutta(
    A=[
        [],
        ["0.3917522265718890583279932475745293240814"],
        ["0.2176690962611692103576657071859138565479", "0.3684105930503720207501668053275406638466"],
        [
            "0.0826920866578107544051523122009453574112",
            "0.1399585021918957393790174293975628985787",
            "0.2518917742716926398363699147189955815724",
        ],
        [
            "0.0679662836371149632357905870872097552755",
            "0.1150346985046319946693967083364075293356",
            "0.2070348985973847185098638925022351878617",
            "0.5449747502285199220374336259531638981652",
        ],
    ],
    b=[
        "0.1468118760847864495633257376578330425815",
        "0.2484829094449761475711895840382539519620",
        "0.1042588303319802956667964507646552370447",
        "0.2744389009013494568051399674852949338026",
        "0.2260074832369076503935482600539628346093",
    ],
    digits=38,
    name="ssp54",
    aliases=("ssprk54",),
    declared=Declared(order=4, real=5.3314726, imaginary=3.2783556, digits=8),
    source="Kraaijevanger 1991, BIT 31, p. 482; Spiteri, Ruuth 2002, SIAM J. Numer. Anal. 40, p. 469, whose 15 "
    "digits were carried on to 40 by solving the order conditions with its four equal ratios alpha/beta",
)
SSP104 = RungeKutta(
    A=[["1/6"] * i for i in range(5)] + [["1/15"] * 5 + ["1/6"] * i for i in range(5)],
    b=["1/10"] * 10,
    name="ssp104",
    aliases=("ssprk104",),
    declared=Declared(order=4, real=13.917047465, imaginary=4.9214530707),
    source="Ketcheson 2008, SIAM J. Sci. Comput. 30, p. 2113",
)
