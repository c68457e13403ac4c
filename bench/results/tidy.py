"""Leaving a place in order: what is only of use while somebody is at work goes when nobody is."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.results.campaign import Campaign
from bench.results.store import Store

MARK = re.compile(r"\.(claim|failed)\.")
"""In the keys of marks at units."""


def tidy(store: Store, keys: Sequence[str], campaigns: Sequence[Campaign]) -> None:
    """Remove what nobody needs any more.

    Args:
        store: the result, where nobody is at work.
        keys: what was there before that was found out.
        campaigns: all that the result may have.
    """
    folder = store.address.blocks
    for key in keys:
        inside = key.removeprefix(f"{folder}/")
        if inside.startswith(("workers/", "merge/")) or MARK.search(inside):
            store.files.delete(key)
    for campaign in campaigns:
        _tidy(campaign, keys)
    store.files.sweep(folder)


def _tidy(campaign: Campaign, keys: Sequence[str]) -> None:
    """Remove superseded blocks, and a campaign's notes where none of its blocks is left."""
    own = [key for key in keys if key.startswith(f"{campaign.folder}/")]
    blocks = any(key.endswith(".rows.parquet") for key in own)
    for attack in campaign.identities if blocks else ():
        for name in campaign.blocks(attack, own).superseded:
            for kind in ("rows", *campaign.store.form.sides):
                campaign.store.files.delete(campaign.key(name, kind))
    if not any(key.endswith(".rows.parquet") for key in campaign.look()):
        for key in campaign.look():
            if not key.endswith(".damaged"):
                campaign.store.files.delete(key)
