"""The one table of attacks: (algorithm, norm, implementation) -> class."""

from __future__ import annotations

from bench.attacks.base import Attack
from bench.attacks.brendel_bethge.attack import L2BrendelBethge, LinfBrendelBethge
from bench.attacks.foolbox_reference import FoolboxBrendelBethge, FoolboxPGD
from bench.attacks.pgd import LinfPGD, LpPGD
from bench.entries.attacks import AttackSpec
from bench.errors import BenchError

ATTACKS: dict[tuple[str, str, str], type[Attack]] = {
    ("pgd", "linf", "bench"): LinfPGD,
    ("pgd", "l2", "bench"): LpPGD,
    ("pgd", "l1", "bench"): LpPGD,
    ("brendel-bethge", "linf", "bench"): LinfBrendelBethge,
    ("brendel-bethge", "l2", "bench"): L2BrendelBethge,
    ("pgd", "linf", "foolbox"): FoolboxPGD,
    ("pgd", "l2", "foolbox"): FoolboxPGD,
    ("pgd", "l1", "foolbox"): FoolboxPGD,
    ("brendel-bethge", "linf", "foolbox"): FoolboxBrendelBethge,
    ("brendel-bethge", "l2", "foolbox"): FoolboxBrendelBethge,
}


def build(spec: AttackSpec) -> Attack:
    """Return the attack that a spec describes.

    Raises:
        BenchError: no implementation does this.
    """
    if spec.random_start:
        raise BenchError(
            "expected random_start = false, got true in a protocol: start noise leaves a white "
            "residue in the spectrum, and no implementation here draws it; remove the key"
        )
    key = (spec.algorithm, spec.norm, spec.implementation)
    if key not in ATTACKS:
        known = ", ".join(" ".join(k) for k in sorted(ATTACKS))
        raise BenchError(f"expected one of the attacks {known}, got {' '.join(key)} in a protocol")
    return ATTACKS[key](spec)
