"""How long a table's texts are, found without making any of them."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc


def longest_texts(table: pa.Table) -> dict[str, int]:
    """Return text column -> bytes of its longest value (of its longest entry, for a dictionary)."""
    found = {}
    for name in table.column_names:
        lengths = [0]
        for chunk in table[name].chunks:
            values = chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk
            if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
                break
            lengths.append(pc.max(pc.binary_length(values)).as_py() or 0)
        else:
            found[name] = max(lengths)
    return found
