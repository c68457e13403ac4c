"""Signs that a number may mislead, each with one line of explanation."""

from __future__ import annotations

from bench.board.summary import MASKED_SHARE, ModelSummary
from bench.entries.registry import registry_dir
from bench.entries.rules import Rules
from bench.submissions.verify.records import records_of, standing
from bench.submissions.verify.signatures import SIGNERS, signer

MEANINGS = {
    "PGD>BB": (
        f"in at least {MASKED_SHARE:.0%} of the clean-correct samples PGD fools the model within "
        "its budget while the minimal norm that Brendel-Bethge found lies above that budget: "
        "Brendel-Bethge did not find the minimum, so its norms are too large."
    ),
    "zero-grad": (
        f"the loss gradient is exactly zero for at least {MASKED_SHARE:.0%} of the attacked "
        "samples: gradient attacks are blind there, which looks like robustness and is not."
    ),
    "BB<gate": "Brendel-Bethge fools too few samples; what is left over is not a fair sample.",
    "non-finite": "logits or perturbations were NaN or infinite for some samples (left out).",
    "uncommitted": "measured with a working copy that differed from its commit.",
}
"""Flag -> what it says."""


def flags(model: ModelSummary, rules: Rules) -> list[str]:
    """Return the flags of one model, each with its number, in the order of MEANINGS."""
    attacks = model.attacks
    found = []
    masked = max((a.stronger_pgd for a in attacks.values() if a.stronger_pgd >= 0), default=0.0)
    if masked >= MASKED_SHARE:
        found.append(f"PGD>BB {masked:.1%}")
    blind = max((a.zero_grad for a in attacks.values() if a.zero_grad >= 0), default=0.0)
    if blind >= MASKED_SHARE:
        found.append(f"zero-grad {blind:.1%}")
    gate = rules.gates.min_minimal_success
    weak = [
        a.success.mean
        for name, a in attacks.items()
        if rules.attacks[name].minimal and gate is not None and a.correct and a.success.mean < gate
    ]
    if weak:
        found.append(f"BB<gate {min(weak):.1%}")
    broken = sum(a.broken for a in attacks.values())
    if broken:
        found.append(f"non-finite {broken}")
    if model.submission.metadata.git.dirty:
        found.append("uncommitted")
    return found


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
