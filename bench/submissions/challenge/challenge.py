"""A challenge as a whole: read, judge, keep what is shorter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError
from bench.results.challenges import STATED, Kept, challenge_of, read_kept, write_kept
from bench.run.request import Request
from bench.submissions.challenge.judge import Verdict, judge, known, open_challenged
from bench.submissions.challenge.sent import read_sent
from bench.submissions.check.check_challenge import MAX_WHO
from bench.submissions.check.places import MAX_BYTES, NAME
from bench.submissions.verify.records import user


@dataclass(frozen=True)
class Challenged:
    """What came of a challenge.

    Attributes:
        model, dataset, protocol: whose rows.
        verdicts: one for each perturbation, in the order of the file.
        file: where the accepted ones are kept; None: nowhere.
    """

    model: str
    dataset: str
    protocol: str
    verdicts: tuple[Verdict, ...]
    file: Path | None

    @property
    def accepted(self) -> tuple[Verdict, ...]:
        """Those that are now the best known."""
        return tuple(v for v in self.verdicts if not v.reason)

    @property
    def refused(self) -> tuple[Verdict, ...]:
        """Those that are not."""
        return tuple(v for v in self.verdicts if v.reason)


def challenge(
    path: Path, submissions: Path, request: Request, who: str | None, *, again: bool = False
) -> Challenged:
    """Judge a file of perturbations, and keep what is shorter than the best known.

    Args:
        path: `.npz` of `np.savez`, or Parquet.
        submissions: folder of submissions; the accepted ones go beside the challenged row.
        request: how to open the model here: weights, data, device, trust, offline.
        who: name of the sender; None: the file's, else the user's.
        again: judge what was accepted before, as the pull request does; nothing is written.

    Raises:
        BenchError: no such file or row, or another model.
    """
    sent = read_sent(path)
    names = {key: sent.stated[key] for key in STATED}
    for key in ("protocol", "dataset", "model"):
        if not NAME.match(names[key]) or ".." in names[key]:
            raise BenchError(f"expected a name for {key} in {path}, found {names[key][:40]!r}")
    found = known(submissions / names["protocol"] / names["dataset"] / f"{names['model']}.parquet")
    sender = _sender(who or sent.stated.get("who") or user())
    opened = open_challenged(found, names["weights_sha256"], request)
    verdicts = judge(sent, found, opened, sender, again=again)
    file = None
    if not again and any(v.kept for v in verdicts):
        file = challenge_of(found.submission.path)
        _keep(file, [v.kept for v in verdicts if v.kept is not None], names)
    return Challenged(names["model"], names["dataset"], names["protocol"], tuple(verdicts), file)


def _sender(name: str) -> str:
    if not name.strip() or not name.isprintable() or len(name) > MAX_WHO:
        raise BenchError(
            f"expected a printable name of at most {MAX_WHO} characters for --who, got "
            f"{name[:40]!r}"
        )
    return name.strip()


def _keep(file: Path, accepted: Sequence[Kept], names: dict[str, str]) -> None:
    """Put accepted perturbations beside the earlier ones, the shortest of each row."""
    before, stated = read_kept(file)
    if stated.get("weights_sha256") != names["weights_sha256"]:
        before = []  # of a model that is no longer there
    best = {(row.attack, row.sample_id): row for row in before}
    best |= {(row.attack, row.sample_id): row for row in accepted}
    write_kept(file, best.values(), names)
    size = file.stat().st_size
    if size > MAX_BYTES:
        write_kept(file, before, names) if before else file.unlink()
        raise BenchError(
            f"expected at most {MAX_BYTES:,} bytes of challenges of one model, found {size:,}; "
            "send the largest gains only"
        )
