"""What timm calls its models: tags, old names, addresses."""

from __future__ import annotations

import difflib
import re
from functools import cache

from bench.errors import BenchError

_HUB = re.compile(r"^(?:hf[-_]hub:|local-dir:|timm/)")
"""How names begin that timm takes besides its own: addresses."""


def is_meant(name: str) -> bool:
    """Return whether a name is one of timm's: an arch with or without tag, old, or an address."""
    import timm

    return bool(_HUB.match(name)) or timm.is_model(name.partition(".")[0])


@cache
def known_tag(tag: str) -> str:
    """Return the full `arch.tag` of a timm name.

    A bare arch gets timm's default tag, an old name the current one, and `hf-hub:timm/` before a
    name is dropped.

    Raises:
        BenchError: timm does not have it; the text names the nearest ones, or what to type.
    """
    import timm

    tag = _current(_without_address(tag))
    arch, _, chosen = tag.partition(".")
    if not timm.is_model(arch):
        near = difflib.get_close_matches(arch, timm.list_models(), n=3, cutoff=0.7)
        hint = f"did you mean {' or '.join(near)}?" if near else "see timm.list_models()"
        raise BenchError(f"unknown timm model {tag!r}: timm {timm.__version__} has none; {hint}")
    tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{arch}.*")]
    if chosen and chosen not in tags:
        raise BenchError(
            f"unknown tag {chosen!r} of timm model {arch!r}: timm {timm.__version__} has "
            f"{', '.join(tags) or 'no pretrained tags of it'}"
        )
    cfg = timm.get_pretrained_cfg(tag, allow_unregistered=True)
    return tag if chosen or cfg is None or not cfg.tag else f"{arch}.{cfg.tag}"


def _without_address(name: str) -> str:
    """Return the name in an address of timm's own weights. Raises BenchError for others."""
    plain = re.sub(r"^(?:hf[-_]hub:)?timm/", "", name)
    if _HUB.match(plain):
        raise BenchError(
            f"expected a name of timm's, found the address {name!r}; write an entry with "
            'source = "checkpoint" and tag = the arch, and give its weights with --weights PATH '
            "(or type timm's own name, as in hf-hub:timm/resnet50.a1_in1k)"
        )
    return plain


def _current(name: str) -> str:
    """Return what timm calls a model now. Raises BenchError if it has it no more."""
    import timm

    arch, dot, _ = name.partition(".")
    old = timm.models.get_deprecated_models()
    if arch not in old:
        return name
    now = old[arch]
    if now is None:
        raise BenchError(
            f"timm {timm.__version__} has removed {arch!r} and names no successor; choose another "
            "model (see timm.list_models())"
        )
    if dot:
        raise BenchError(
            f"expected a current name, got {name!r}: {arch!r} is timm's old name of {now!r}, and "
            f"has no tags; type {now}"
        )
    return str(now)
