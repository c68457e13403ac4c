"""Signatures of verification records: OpenSSH's, made and checked by `ssh-keygen`.

The public keys are in `registry/maintainers` (one "<principal> <key type> <key>" a line, the
format of ssh-keygen's allowed signers); there may be none yet. No private key is ever read here
but by `ssh-keygen` itself, from the path that a maintainer names.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from bench.errors import BenchError
from bench.submissions.verify.records import Record

NAMESPACE = "frequency-bench-verify"
"""Of the signatures, so that no other signature of a maintainer passes for one."""
SIGNERS = "maintainers"
"""File of public keys in the registry."""
SECONDS = 60


def sign(record: Record, key: Path) -> Record:
    """Return the record with a signature.

    Args:
        record: what to sign.
        key: a private key, or the public one of a key that the agent holds.

    Raises:
        BenchError: ssh-keygen is missing or refuses.
    """
    with tempfile.TemporaryDirectory(prefix="bench-sign-") as folder:
        content = Path(folder) / "record"
        content.write_bytes(record.signed_bytes())
        arguments = ["-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(key), str(content)]
        done = _run(arguments, b"", f"a signature with {key}")
        made = content.with_name("record.sig")
        if done.returncode != 0 or not made.exists():
            reason = " ".join(done.stderr.decode(errors="replace").split())
            raise BenchError(
                f"expected a signature with {key}, found: {reason or 'none'}; name a key that "
                "ssh-keygen can use with --sign"
            )
        return record.model_copy(update={"signature": made.read_text()})


def signer(record: Record, signers: Path) -> str | None:
    """Return the principal whose key signed a record; None if none of them did.

    Args:
        record: with or without a signature.
        signers: file of allowed signers, which may not be there.

    Raises:
        BenchError: ssh-keygen is missing.
    """
    if record.signature is None or not signers.is_file():
        return None
    with tempfile.TemporaryDirectory(prefix="bench-verify-") as folder:
        signature = Path(folder) / "record.sig"
        signature.write_text(record.signature)
        common = ["-f", str(signers), "-s", str(signature)]
        found = _run(["-Y", "find-principals", *common], b"", "a signature's principal")
        for name in found.stdout.decode(errors="replace").splitlines():
            arguments = ["-Y", "verify", "-n", NAMESPACE, "-I", name, *common]
            if _run(arguments, record.signed_bytes(), "a signature").returncode == 0:
                return name
    return None


def _run(arguments: list[str], content: bytes, what: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["ssh-keygen", *arguments], input=content, capture_output=True, timeout=SECONDS
        )
    except FileNotFoundError:
        raise BenchError(
            f"expected ssh-keygen for {what}, found none on the PATH; install OpenSSH"
        ) from None
    except subprocess.TimeoutExpired:
        raise BenchError(
            f"expected {what} within {SECONDS} s, ssh-keygen still waits; give a key without a "
            "passphrase, or one that the agent holds"
        ) from None
