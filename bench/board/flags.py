"""Signs that a number may mislead, each with one line of explanation."""

from __future__ import annotations

from collections.abc import Iterator

from bench.board.numbers import ModelSummary
from bench.board.seeds import seed_number
from bench.board.table import Row
from bench.board.text import NORMS
from bench.entries.registry import registry_dir
from bench.entries.rules import Rules
from bench.errors import printable
from bench.stats.intervals import FEW, is_few
from bench.submissions.verify.records import records_of, standing
from bench.submissions.verify.signatures import SIGNERS, signer

MASKED_SHARE = 0.01
"""Share of samples from which a sign of masking is flagged."""

MEANINGS = {
    "PGD>minimal": (
        f"in at least {MASKED_SHARE:.0%} of the clean-correct samples PGD fools the model within "
        "its budget of this norm while the norm that the minimal attack found lies above that "
        "budget: it did not find the minimum, so its norms are too large."
    ),
    "zero-grad": (
        f"the loss gradient is exactly zero for at least {MASKED_SHARE:.0%} of the attacked "
        "samples: gradient attacks are blind there, which looks like robustness and is not."
    ),
    "minimal<gate": (
        "a minimal attack fools too few samples; what is left over is not a fair sample."
    ),
    "broken": (
        "under so many attacks and samples logits or perturbations were not finite, or the attack "
        "could not take its steps; these are in no mean and count as not fooled."
    ),
    "challenged": (
        "so many samples of this norm have a smaller perturbation than the attack found, sent by "
        "the named and judged by forward passes; it lowers the best known distance, never the "
        "attack's own norm or RFC."
    ),
    "few": f"fewer than {FEW} kept samples: intervals are too narrow, and of one there is none.",
    "seed left out": "a result of another training seed does not count, for the reason given.",
    "uncommitted": "measured with a working copy that differed from its commit.",
}
"""Flag -> what it says."""


def flag_key(flag: str) -> str:
    """Return the key in MEANINGS of a flag as it is shown."""
    return next((key for key in MEANINGS if flag.startswith(key)), "")


def badges(row: Row, rules: Rules) -> list[tuple[str, str]]:
    """Return short signs with what each says; of several left-out seeds one.

    A stranger's seed can be left out for a long reason: that stands in the details.
    """
    found = [
        (flag, MEANINGS[flag_key(flag)])
        for flag in flags(row, rules)
        if not flag.startswith("seed left out")
    ]
    out = [seed for seed in row.seeds.left_out if seed != seed_number(row.model)]
    if out:
        text = f"{len(out)} seed{'s' if len(out) > 1 else ''} left out"
        found.append((text, "; ".join(dict.fromkeys(row.seeds.left_out[seed] for seed in out))))
    return found


def flags(row: Row, rules: Rules) -> list[str]:
    """Return the flags of one model, each with its number, in the order of MEANINGS."""
    model = row.model
    return [
        *_masked(model, rules),
        *_weak(model, rules),
        *_broken(model, rules),
        *_challenged(model, rules),
        *_made(row),
    ]


def _masked(model: ModelSummary, rules: Rules) -> Iterator[str]:
    for name, found in model.attacks.items():
        if found.stronger_pgd >= MASKED_SHARE:
            yield f"PGD>minimal {NORMS[rules.attacks[name].norm]} {found.stronger_pgd:.1%}"
    blind = max((a.zero_grad for a in model.attacks.values() if a.zero_grad >= 0), default=0.0)
    if blind >= MASKED_SHARE:
        yield f"zero-grad {blind:.1%}"


def _weak(model: ModelSummary, rules: Rules) -> Iterator[str]:
    gate = rules.gates.min_minimal_success
    for name, spec in rules.attacks.items():
        found = model.attacks[name]
        if spec.minimal and gate is not None and found.correct and found.success.mean < gate:
            yield f"minimal<gate {NORMS[spec.norm]} {found.success.mean:.1%}"


def _broken(model: ModelSummary, rules: Rules) -> Iterator[str]:
    broken = sum(found.broken for found in model.attacks.values())
    if broken:
        yield f"broken {broken}"
    kept = model.attacks[rules.primary].kept
    if is_few(kept):
        yield f"few: {kept} kept"


def _challenged(model: ModelSummary, rules: Rules) -> Iterator[str]:
    for name, found in model.attacks.items():
        if (best := found.challenged) is not None:
            who = ", ".join(printable(one)[:40] for one in best.who[:3])
            more = f" and {len(best.who) - 3} more" if len(best.who) > 3 else ""
            yield (
                f"challenged {NORMS[rules.attacks[name].norm]}: {best.n} by {who}{more}, up to "
                f"{best.largest:.1%} shorter"
            )


def _made(row: Row) -> Iterator[str]:
    for seed, why in row.seeds.left_out.items():
        if seed != seed_number(row.model):  # whose reasons stand in its row
            yield f"seed left out: {seed} ({why})"
    if row.model.submission.metadata.git.dirty:
        yield "uncommitted"


def verified(model: ModelSummary) -> str:
    """Return verdict, "k of n" and who for the verification of this very file that counts, or "".

    A contradicted one counts whatever its date. Without a maintainer's signature a record says
    what the authors found.
    """
    record = standing(records_of(model.submission.path))
    if record is None:
        return ""
    who = signer(record, registry_dir() / SIGNERS)
    by = f"by maintainer {who[:30]}" if who else "by the authors"
    if record.verdict == "reproduced":
        return f"reproduced {record.reproduced} of {record.rows} {by}"
    others = f" and {len(record.others)} other differences" if record.others else ""
    return f"NOT reproduced: {record.reproduced} of {record.rows} rows{others} {by}"
