"""Sample ids and their places in a list of ids, such as the protocol's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def places(
    ids: npt.ArrayLike, wanted: npt.ArrayLike
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return where each wanted id stands in a list of ids, and whether it stands there at all.

    Args:
        ids: (n,) whole numbers in any order, each once.
        wanted: (m,) whole numbers.

    Returns:
        (m,) places 0 .. n - 1 (any place, 0 if n is 0, for an id that is not there), (m,) bool.
    """
    known, asked = np.asarray(ids, dtype=np.int64), np.asarray(wanted, dtype=np.int64)
    if len(known) == 0:
        return np.zeros(asked.shape, dtype=np.int64), np.zeros(asked.shape, dtype=bool)
    order = np.argsort(known)
    # an id above all others would be sought behind the last place
    place = order[np.searchsorted(known, asked, sorter=order).clip(max=len(known) - 1)]
    return place, known[place] == asked
