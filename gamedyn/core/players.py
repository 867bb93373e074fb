"""What a game takes from its players: leaves, buffers, slots; and what it must refuse to take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from gamedyn._lib.errors import ArgumentError
from gamedyn.core.binding import Slot
from gamedyn.core.state import Leaf

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Collected", "Structure", "Used", "collected", "refuse_captured", "refuse_hooks"]

PROJECTED = "what is done to parameters after a step is no part of the losses"


class Collected(NamedTuple):
    """Trainable tensors and where they are; buffers and frozen parameters, and where they are."""

    leaves: list[Leaf]
    own: list[Tensor]
    slots: list[Slot]
    buffers: list[Slot]
    buffer_names: list[str]
    frozen: list[Slot]
    modules: tuple[nn.Module, ...]


def collected(players: Mapping[str, nn.Module | Tensor]) -> Collected:
    """Every tensor of every player (tied parameters hold one leaf in several slots).

    Raises:
        ArgumentError: for players that are no game's.
    """
    out = Collected([], [], [], [], [], [], _modules(players))
    owner: dict[int, tuple[int, int]] = {}  # id of a parameter -> (player, leaf)
    buffers: dict[int, int] = {}
    for i, (name, player) in enumerate(players.items()):
        found = {"": _floating(name, player)} if isinstance(player, Tensor) else _trainable(name, player)
        for key, tensor in found.items():
            if id(tensor) in owner:
                other = list(players)[owner[id(tensor)][0]]
                got = f"{key or name!r} in both {other!r} and {name!r}"
                raise ArgumentError("players", "parameters owned by one player each", got, "freeze or copy it in one")
            owner[id(tensor)] = (i, len(out.leaves))
            out.leaves.append(Leaf(i, key, tensor.shape))
            out.own.append(tensor)
        for prefix, module in player.named_modules() if isinstance(player, nn.Module) else ():
            for key, p in module._parameters.items():
                if p is not None and id(p) in owner:
                    out.slots.append(Slot(module._parameters, key, owner[id(p)][1]))
                elif p is not None:
                    out.frozen.append(Slot(module._parameters, key, -1))
            for key, b in module._buffers.items():
                if b is not None:
                    if id(b) not in buffers:
                        out.buffer_names.append(".".join(filter(None, (name, prefix, key))))
                    out.buffers.append(Slot(module._buffers, key, buffers.setdefault(id(b), len(buffers))))
    _same_kind(list(players), out)
    refuse_hooks(players)
    return out


class Structure:
    """Which parameters and modules the players were made of: what a game goes on relying on.

    Args:
        players: by name.
    """

    def __init__(self, players: Mapping[str, nn.Module | Tensor]) -> None:
        self._players, self._found = players, _structure(players)
        self._where = [
            (m._parameters, k, p, p.requires_grad)
            for player in players.values()
            if isinstance(player, nn.Module)
            for m in player.modules()
            for k, p in m._parameters.items()
            if p is not None
        ]

    def same_parameters(self) -> bool:
        """Whether every parameter is in its place, and trained or not as before: a quick look."""
        return all(d[k] is p and p.requires_grad is trained for d, k, p, trained in self._where)

    def refuse_changed(self, *, bound: bool) -> None:
        """Refuse players whose modules or parameters are others than at first.

        Args:
            bound: whether the modules hold other tensors for now; then only modules and buffers can be compared.

        Raises:
            ArgumentError: with what has changed.
        """
        now = _structure(self._players)
        for name, before in self._found.items():
            after = now.get(name)
            if after is None or (not bound and after[0] != before[0]):
                remedy = "make the game anew: loading in place (load_state_dict without assign=True) keeps it"
                got = f"{name!r} replaced or taken away since the game was made"
                raise ArgumentError("players", "the modules and parameters that the game was made with", got, remedy)
            if not bound and after[1] != before[1]:
                got = f"{name!r}, {'frozen' if before[1] else 'unfrozen'} since the game was made"
                remedy = "make the game anew, from the parameters that are to be trained"
                raise ArgumentError("players", "the trainable parameters that the game was made with", got, remedy)
        for name in now.keys() - self._found.keys():
            got = f"{name!r}, added since (a parametrisation, a new layer?)"
            raise ArgumentError(
                "players", "the modules and parameters that the game was made with", got, "make the game anew"
            )


def _structure(players: Mapping[str, nn.Module | Tensor]) -> dict[str, tuple[int, bool]]:
    """By full name: the identity of every parameter, and whether it is trained; 0 for a module."""
    out = {}
    for name, player in players.items():
        if isinstance(player, nn.Module):
            for prefix, module in player.named_modules(prefix=name):
                out[prefix] = (id(module), False)
                for key, p in module._parameters.items():
                    if p is not None:
                        out[f"{prefix}.{key}"] = (id(p), p.requires_grad)
    return out


def refuse_hooks(players: Mapping[str, nn.Module | Tensor]) -> None:
    """Refuse what acts on gradients as they are accumulated, which a field's never are.

    Raises:
        ArgumentError: for hooks on parameters, and backward hooks of modules.
    """
    for name, player in players.items():
        if isinstance(player, Tensor):
            _refuse_tensor_hooks(name, player)
            continue
        for key, p in player.named_parameters():
            _refuse_tensor_hooks(f"{name}.{key}", p)
        for key, m in player.named_modules():
            if getattr(m, "_backward_hooks", None) or getattr(m, "_backward_pre_hooks", None):
                got = f"one on {key or name!r}"
                remedy = "write what it does into the losses, or take it off: handle.remove()"
                raise ArgumentError(f"players[{name!r}]", "modules without backward hooks", got, remedy)


def _refuse_tensor_hooks(name: str, p: Tensor) -> None:
    if p._backward_hooks or getattr(p, "_post_accumulate_grad_hooks", None):
        remedy = "a hook sees accumulated gradients, and a field has none; gamedyn.flows.mapped maps the velocity"
        raise ArgumentError("players", "parameters without hooks", f"a hook on {name!r}", remedy)


FACTS = (
    "shape",
    "dtype",
    "device",
    "ndim",
    "requires_grad",
    "is_leaf",
    "layout",
    "size",
    "dim",
    "numel",
    "is_floating_point",
)
"""What may be asked of a parameter that the players do not hold for now: no value of it."""


class Used(TorchFunctionMode):
    """Sees whether the losses use players' own tensors, in whose place others stand for now.

    Args:
        own: those tensors.
    """

    def __init__(self, own: Sequence[Tensor]) -> None:
        super().__init__()
        self._own = {id(p): p for p in own}
        self._found: Tensor | None = None

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """The operation as it is; what it is called with is looked at."""
        name = getattr(function, "__name__", "")
        if name == "__get__":
            name = getattr(getattr(function, "__self__", None), "__name__", "")
        if name not in FACTS:
            for x in tree_leaves((args, kwargs)):
                if id(x) in self._own:
                    self._found = x
        return function(*args, **(kwargs or {}))

    def refuse(self) -> None:
        """Refuse what has been seen.

        Raises:
            ArgumentError: if a player's own tensor has been used.
        """
        if self._found is not None:
            refuse_captured("a player's own tensor", self._found)


def refuse_captured(whose: str, x: Tensor) -> None:
    """Refuse a tensor that the losses have not from the players.

    Raises:
        ArgumentError: always.
    """
    got = f"{whose}, of shape {tuple(x.shape)}, captured from outside"
    remedy = "take it from the players that the losses are called with (list(D.parameters()) there; no list kept "
    remedy += "beforehand); what is a constant is frozen: requires_grad_(False)"
    raise ArgumentError("losses", "functions of the players they are called with", got, remedy)


def _modules(players: Mapping[str, nn.Module | Tensor]) -> tuple[nn.Module, ...]:
    found = {id(m): m for p in players.values() if isinstance(p, nn.Module) for m in p.modules()}
    return tuple(found.values())


def _trainable(name: str, player: object) -> dict[str, Tensor]:
    if not isinstance(player, nn.Module):
        raise ArgumentError(f"players[{name!r}]", "a module or a floating-point tensor", type(player).__name__)
    for module in player.modules():
        _refuse_kinds(name, module)
    found: dict[str, Tensor] = {k: p for k, p in player.named_parameters() if p.requires_grad}
    if not found:
        raise ArgumentError(f"players[{name!r}]", "a module with a parameter that requires grad", "none")
    _refuse_meta(name, [*player.parameters(), *player.buffers()])
    for key, p in found.items():
        if not p.is_floating_point():
            raise ArgumentError(f"players[{name!r}]", "floating-point parameters", f"{key!r} of dtype {p.dtype}")
    return found


def _refuse_kinds(name: str, module: nn.Module) -> None:
    """Refuse modules whose parameters are not what a game can take."""
    where = f"players[{name!r}]"
    for hook in module._forward_pre_hooks.values():
        if type(hook).__name__ in ("SpectralNorm", "WeightNorm"):
            remedy = "use torch.nn.utils.parametrizations, which does not rewrite the module's attributes"
            raise ArgumentError(where, "no old-style weight hooks", type(hook).__name__, remedy)
    tensors = [*module._parameters.values(), *module._buffers.values()]
    if any(isinstance(p, (UninitializedParameter, UninitializedBuffer)) for p in tensors):
        remedy = "run the module once on a sample before the game is made"
        raise ArgumentError(where, "initialised parameters", f"a lazy module, {type(module).__name__}", remedy)
    if getattr(module, "sparse", False) is True or any(_sparse(p) for p in module._parameters.values()):
        remedy = "sparse=False: a field is a dense vector"
        raise ArgumentError(where, "dense parameters and gradients", f"{type(module).__name__}(sparse)", remedy)
    if getattr(module, "max_norm", None) is not None and isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
        got = f"{type(module).__name__}(max_norm=...), which writes its weight when it is evaluated"
        raise ArgumentError(where, "parameters that evaluating does not write", got, PROJECTED)


def _sparse(p: Any) -> bool:
    return p is not None and str(p.layout) != "torch.strided"


def _floating(name: str, tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        raise ArgumentError(f"players[{name!r}]", "a floating-point tensor", f"dtype {tensor.dtype}", "call .float()")
    _refuse_meta(name, [tensor])
    if tensor.numel() == 0:
        raise ArgumentError(f"players[{name!r}]", "a tensor with entries", "an empty one")
    if _sparse(tensor):
        raise ArgumentError(f"players[{name!r}]", "a dense tensor", f"layout {tensor.layout}", "call .to_dense()")
    return tensor


def _refuse_meta(name: str, tensors: Sequence[Tensor]) -> None:
    if any(x.is_meta for x in tensors):
        remedy = "give it values first: player.to_empty(device='cpu'), then initialise its parameters"
        raise ArgumentError(f"players[{name!r}]", "parameters with values", "some on the device 'meta'", remedy)


def _same_kind(players: Sequence[str], found: Collected) -> None:
    for what in ("device", "dtype"):
        kinds = {str(getattr(t, what)): players[leaf.player] for t, leaf in zip(found.own, found.leaves, strict=True)}
        if len(kinds) > 1:
            got = ", ".join(f"{player}: {kind}" for kind, player in kinds.items())
            raise ArgumentError("players", f"one {what} for all parameters", got, f"move them with .to({what}=...)")
