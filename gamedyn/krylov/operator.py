"""A linear map on torch vectors, known by its products."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gamedyn._lib.checks import known_options
from gamedyn._lib.errors import ArgumentError
from gamedyn.krylov.inverse import nearest_eigenpairs
from gamedyn.krylov.schur import eigenpairs, symmetric_eigenpairs

if TYPE_CHECKING:
    from collections.abc import Callable

    import scipy.sparse.linalg

    from gamedyn.krylov.ritz import RitzPairs

__all__ = ["LinearOperator"]


class LinearOperator:
    """A real (m, n) map: `A @ x`, `A.T`, symmetric and skew part, sums and multiples, dense and SciPy's form.

    Args:
        shape: (m, n).
        matvec: x -> A x, (n,) to (m,).
        rmatvec: y -> A^T y, (m,) to (n,); None: the map has no transpose.
        dtype: of the vectors.
        device: of the vectors.
        matrix: gives the matrix, (m, n), where there is a cheaper way to it than n products.

    Example:
        >>> A = torch.tensor([[0.0, 2.0], [-1.0, 0.0]])
        >>> op = LinearOperator((2, 2), A.mv, A.T.mv, dtype=A.dtype)
        >>> (op.skew @ torch.tensor([1.0, 0.0])).tolist()
        [0.0, -1.5]
    """

    def __init__(
        self,
        shape: tuple[int, int],
        matvec: Callable[[Tensor], Tensor],
        rmatvec: Callable[[Tensor], Tensor] | None = None,
        *,
        dtype: torch.dtype,
        device: torch.device | str | None = None,
        matrix: Callable[[], Tensor] | None = None,
    ) -> None:
        self.shape, self.dtype = shape, dtype
        self.device = torch.device("cpu" if device is None else device)
        self._matvec, self._rmatvec, self._matrix = matvec, rmatvec, matrix

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.shape[0]} x {self.shape[1]}, {self.dtype}, {self.device})"

    def matvec(self, x: Tensor) -> Tensor:
        """A x, (n,) to (m,)."""
        return self._matvec(x)

    def rmatvec(self, y: Tensor) -> Tensor:
        """A^T y, (m,) to (n,).

        Raises:
            ArgumentError: if the map has no transpose.
        """
        if self._rmatvec is None:
            raise ArgumentError("operator", "one with a transpose", repr(self), "give rmatvec")
        return self._rmatvec(y)

    def __matmul__(self, x: Tensor) -> Tensor:
        """A x for a vector (n,), or for columns (n, k)."""
        if not isinstance(x, Tensor) or x.dim() not in (1, 2) or len(x) != self.shape[1]:
            got = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
            raise ArgumentError("x", f"a vector ({self.shape[1]},) or columns ({self.shape[1]}, k)", got)
        if x.dtype != self.dtype or x.device.type != self.device.type:
            expected = f"{self.dtype} on {self.device}, as the operator"
            raise ArgumentError("x", expected, f"{x.dtype} on {x.device}", "x.to(operator.dtype)")
        return self.matvec(x) if x.dim() == 1 else torch.stack([self.matvec(c) for c in x.unbind(1)], 1)

    @property
    def T(self) -> LinearOperator:
        """The transpose."""
        m, n = self.shape
        matrix = None if self._matrix is None else lambda: self.to_dense().T
        return LinearOperator((n, m), self.rmatvec, self.matvec, dtype=self.dtype, device=self.device, matrix=matrix)

    @property
    def symmetric(self) -> LinearOperator:
        """`(A + A^T) / 2`."""
        return self._half(1.0)

    @property
    def skew(self) -> LinearOperator:
        """`(A - A^T) / 2`."""
        return self._half(-1.0)

    def _half(self, sign: float) -> LinearOperator:
        """`(A + sign A^T) / 2`: of a matrix that is formed, formed once."""

        def matrix() -> Tensor:
            A = self.to_dense()
            return (A + sign * A.T) / 2

        half = (self + self.T * sign) * 0.5
        half._matrix = None if self._matrix is None else matrix
        return half

    def __add__(self, other: LinearOperator) -> LinearOperator:
        """The sum of two maps of one shape."""
        if not isinstance(other, LinearOperator) or other.shape != self.shape:
            got = other.shape if isinstance(other, LinearOperator) else type(other).__name__
            raise ArgumentError("operator", f"one of shape {self.shape}", got)
        known = self._matrix is not None and other._matrix is not None
        return LinearOperator(
            self.shape,
            lambda x: self.matvec(x) + other.matvec(x),
            lambda y: self.rmatvec(y) + other.rmatvec(y),
            dtype=self.dtype,
            device=self.device,
            matrix=(lambda: self.to_dense() + other.to_dense()) if known else None,
        )

    def __mul__(self, factor: float) -> LinearOperator:
        """A multiple."""
        return LinearOperator(
            self.shape,
            lambda x: self.matvec(x) * factor,
            lambda y: self.rmatvec(y) * factor,
            dtype=self.dtype,
            device=self.device,
            matrix=None if self._matrix is None else lambda: self.to_dense() * factor,
        )

    __rmul__ = __mul__

    def __sub__(self, other: LinearOperator) -> LinearOperator:
        """The difference of two maps of one shape."""
        return self + other * -1.0

    def __neg__(self) -> LinearOperator:
        return self * -1.0

    def eigenpairs(
        self,
        k: int = 6,
        which: str = "rightmost",
        *,
        symmetric: bool = False,
        shift: complex | None = None,
        start: Tensor | None = None,
        seed: int = 0,
        **options: Any,
    ) -> RitzPairs:
        """The k eigenvalues that are rightmost, leftmost, of largest modulus or imaginary part, or nearest a shift.

        Args:
            k: how many.
            which: the kind, or "nearest" the shift.
            symmetric: whether the map is (a player's own block is, and `.symmetric`): Lanczos, real values.
            shift: for "nearest".
            start: first vector, (n,); None: random, from the seed.
            seed: of it.
            **options: of `gamedyn.krylov.eigenpairs` or `nearest_eigenpairs`: tol, basis, max_products, multiple,
                progress, ...

        Raises:
            ArgumentError: for k too large, an unknown kind or option, a map that is not square.

        Example:
            >>> A = torch.tensor([[0.0, 2.0], [-2.0, -1.0]], dtype=torch.float64)
            >>> LinearOperator((2, 2), A.mv, A.T.mv, dtype=A.dtype).eigenpairs(2).values.real
            array([-0.5, -0.5])
        """
        if self.shape[0] != self.shape[1]:
            raise ArgumentError("operator", "a square one", repr(self))
        if start is None:
            g = torch.Generator(device=self.device).manual_seed(seed)
            start = torch.randn(self.shape[0], dtype=self.dtype, device=self.device, generator=g)
        if (shift is None) == (which == "nearest"):
            raise ArgumentError("which, shift", '"nearest" and a number, or another kind and none', f"{which}, {shift}")
        search = nearest_eigenpairs if shift is not None else symmetric_eigenpairs if symmetric else eigenpairs
        known = [p.name for p in inspect.signature(search).parameters.values() if p.kind is p.KEYWORD_ONLY]
        known_options(search.__name__, options, known)
        wanted = {"which": which} if shift is None else {"shift": shift}
        found: RitzPairs = search(self.matvec, start, k, **wanted, **options)
        return found

    def to_dense(self) -> Tensor:
        """The matrix, (m, n): n products, unless there is a cheaper way."""
        if self._matrix is not None:
            return self._matrix()
        return self @ torch.eye(self.shape[1], dtype=self.dtype, device=self.device)

    def to_scipy(self) -> scipy.sparse.linalg.LinearOperator:
        """The same map on NumPy vectors."""
        from scipy.sparse.linalg import LinearOperator as SciPyOperator

        def on_arrays(product: Callable[[Tensor], Tensor]) -> Callable[[Any], Any]:
            def of(x: Any) -> Any:
                if np.iscomplexobj(x):  # an eigenvector's residual is taken so
                    return of(np.real(x)) + 1j * of(np.imag(x))
                vector = torch.tensor(np.ascontiguousarray(np.reshape(x, -1)), dtype=self.dtype, device=self.device)
                return product(vector).detach().cpu().numpy()

            return of

        dtype = torch.empty(0, dtype=self.dtype).numpy().dtype
        return SciPyOperator(self.shape, matvec=on_arrays(self.matvec), rmatvec=on_arrays(self.rmatvec), dtype=dtype)

    def adjoint_misfit(self, seed: int = 0) -> float:
        """`|<A x, y> - <x, A^T y>| / max(|A x| |y|, |x| |A^T y|)`, x, y random: rounding, if the products agree."""
        g = torch.Generator(device=self.device).manual_seed(seed)
        y, x = (torch.randn(k, dtype=self.dtype, device=self.device, generator=g) for k in self.shape)
        image, pulled = self.matvec(x), self.rmatvec(y)
        scale = float(max(image.norm() * y.norm(), x.norm() * pulled.norm())) or 1.0  # one of them may cancel
        return abs(float(image @ y) - float(x @ pulled)) / scale
