"""The console command `bench`: registers the verbs and turns errors into one line."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from bench import __version__
from bench.cli.challenge import challenge
from bench.cli.check import check
from bench.cli.compare import compare
from bench.cli.doctor import doctor
from bench.cli.download import download
from bench.cli.eval import evaluate
from bench.cli.join import join
from bench.cli.leaderboard import leaderboard
from bench.cli.list import list_entries
from bench.cli.probe import app as probe
from bench.cli.publish import publish
from bench.cli.rescore import rescore
from bench.cli.selftest import selftest
from bench.cli.show import show
from bench.cli.study import app as study
from bench.cli.submit import submit
from bench.cli.theory import theory
from bench.cli.train import train
from bench.cli.verify import verify
from bench.errors import BenchError, BenchWarning, printable

app = typer.Typer(
    name="bench",
    help="Where in the frequency spectrum is an image classifier attackable?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("eval")(evaluate)
app.command("train")(train)
app.command("submit")(submit)
app.command("check")(check)
app.command("verify")(verify)
app.command("challenge")(challenge)
app.command("show")(show)
app.command("leaderboard")(leaderboard)
app.command("compare")(compare)
app.add_typer(probe, name="probe")
app.command("theory")(theory)
app.add_typer(study, name="study")
app.command("join")(join)
app.command("rescore")(rescore)
app.command("selftest")(selftest)
app.command("publish")(publish)
app.command("list")(list_entries)
app.command("doctor")(doctor)
app.command("download")(download)

INTERRUPTED = 130


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"frequency-bench {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Where in the frequency spectrum is an image classifier attackable?

    Start with `bench eval --model fashionmnist-local-conv-relu --limit 32`: real images and a
    trained model come with the package.
    """


def call(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 2 to be fixed, 130 interrupted."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", BenchWarning)
        warnings.showwarning = _warn_with(warnings.showwarning)
        return _call(arguments)


def _warn_with(usual: Callable[..., None]) -> Callable[..., None]:
    """Return how warnings are shown: ours as one line on stderr, others as usual."""

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, BenchWarning):
            sys.stderr.write(f"bench: warning: {printable(' '.join(str(message).split()))}\n")
        else:
            usual(message, category, *where, **more)

    return show


PLAIN = {
    "Input should be a valid integer, unable to parse string as an integer": (
        "expected a whole number"
    ),
    "Input should be a valid number, unable to parse string as a number": "expected a number",
}
"""What the parser of numbers says -> what we do."""


def _call(arguments: Sequence[str] | None) -> int:
    try:
        code = app(args=None if arguments is None else list(arguments), standalone_mode=False)
        # typer turns Ctrl-C into this code
        return _interrupted() if code == INTERRUPTED else int(code or 0)
    except BenchError as error:
        return _complain(str(error))
    except TyperException as error:
        said = error.format_message().strip() or "expected a command; they are listed above."
        for technical, plain in PLAIN.items():
            said = said.replace(technical, plain)
        return _complain(f"{said.rstrip('.')}. See `bench --help`.")
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()


def _interrupted() -> int:
    sys.stderr.write("bench: interrupted. What was finished is kept; run it again to go on.\n")
    return INTERRUPTED


def _complain(text: str) -> int:
    line = printable(" ".join(text.split()))
    if line:
        sys.stderr.write(f"bench: error: {line}\n")
    return 2


def run() -> None:
    """Entry point of the console script."""
    sys.exit(call())
