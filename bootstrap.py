"""Set p2ptk up in .venv and work on it, with the same commands on Linux, macOS and Windows.

    python bootstrap.py demo [ARGS]     install, then train the demo: p2ptk demo ARGS
    python bootstrap.py install         install p2ptk and the plugins of this repository
    python bootstrap.py test [ARGS]     install the test tools too, then pytest ARGS (-n auto)
    python bootstrap.py check           lint, formatting and types
    python bootstrap.py lowest [ARGS]   pytest ARGS on the oldest versions allowed
    python bootstrap.py lock [ARGS]     renew constraints.txt (--upgrade: to the newest versions)

An existing .venv is kept and used, and nothing is installed again until a requirement changes.
"""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

OLDEST_PYTHON = (3, 11)
if sys.version_info < OLDEST_PYTHON:  # so this file keeps to syntax that old Pythons can read
    sys.exit(
        "p2ptk needs Python {}.{} or newer, but this one is {}.{}; "
        "name another, for example: make demo PYTHON=python3.12".format(
            *OLDEST_PYTHON, *sys.version_info[:2]
        )
    )

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
LOWEST = ROOT / ".venv-lowest"
STAMP = VENV / ".p2ptk-stamp"
CONSTRAINTS = ROOT / "constraints.txt"
SET_UP_TOOLS = ("uv", "hatchling", "editables")  # what installing takes, pinned like the rest


def venv_program(name: str, venv: Path = VENV) -> Path:
    """The path of a program that is installed in `venv`, be it there or not."""
    return venv / "Scripts" / f"{name}.exe" if os.name == "nt" else venv / "bin" / name


PYTHON = venv_program("python")
UV = venv_program("uv")


# --- running other programs ---------------------------------------------------------------------


def run(*command: str | Path, stdin: str | None = None) -> int:
    """Run a command in the repository root, its output left as it is, and return its exit code."""
    code = subprocess.run(list(map(str, command)), cwd=ROOT, input=stdin, text=True).returncode
    return code if code >= 0 else 128 - code  # ended by a signal: the number a shell would give


def run_or_exit(purpose: str, *command: str | Path, stdin: str | None = None) -> None:
    """Run a command that everything after it depends on."""
    code = run(*command, stdin=stdin)
    if code:
        fail(f"{purpose} failed (exit code {code}); the reason stands above.", code)


def fail(message: str, code: int) -> NoReturn:
    print(f"bootstrap: {message}", file=sys.stderr)
    sys.exit(code)


# --- installing ---------------------------------------------------------------------------------


def install(*groups: str) -> None:
    """Bring .venv up to date: p2ptk with all extras, the plugins, and the tools of these groups."""
    ensure_uv()
    digest = requirements_digest()
    installed = installed_groups(digest)
    if installed is not None and installed.issuperset(groups):
        return
    print("Installing into .venv; the first time downloads PyTorch, which is large.", flush=True)
    STAMP.unlink(missing_ok=True)  # an install that is cut off must not look finished
    wanted = sorted(installed.union(groups) if installed else groups)
    run_or_exit(
        "installing p2ptk",
        *(UV, "pip", "install", "--python", PYTHON),
        *("--constraints", CONSTRAINTS, "--build-constraints", CONSTRAINTS),
        *(f"--group={group}" for group in wanted),
        *(f"--editable={project}" for project in local_projects()),
    )
    STAMP.write_text("\n".join([digest, *wanted]), encoding="utf-8")


def ensure_uv() -> None:
    """Make .venv where there is none, and put uv into it, which installs everything else."""
    if UV.exists():
        return
    if not PYTHON.exists():
        run_or_exit("making .venv", sys.executable, "-m", "venv", "--without-pip", VENV)
    run_or_exit(
        "installing pip (on Debian and Ubuntu it needs the package python3-venv)",
        *(PYTHON, "-m", "ensurepip", "--upgrade"),
    )
    run_or_exit(
        "installing uv",
        *(PYTHON, "-m", "pip", "install", "--quiet", "--constraint", CONSTRAINTS, "uv"),
    )


def local_projects() -> list[str]:
    """What this repository holds to install, as uv names it: p2ptk itself, then its plugins."""
    plugins = sorted(file.parent for file in ROOT.glob("plugins/*/pyproject.toml"))
    return [".[all]", *(plugin.relative_to(ROOT).as_posix() for plugin in plugins)]


def requirements_digest() -> str:
    """One hash of everything that decides what gets installed, and where."""
    digest = hashlib.sha256(str(ROOT).encode())
    files = [Path(__file__), CONSTRAINTS, VENV / "pyvenv.cfg", ROOT / "pyproject.toml"]
    for file in files + sorted(ROOT.glob("plugins/*/pyproject.toml")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def installed_groups(digest: str) -> set[str] | None:
    """The tool groups that .venv already holds; None where it is not up to date with `digest`."""
    stamp = STAMP.read_text(encoding="utf-8").split() if STAMP.exists() else []
    return set(stamp[1:]) if stamp[:1] == [digest] else None


# --- the commands -------------------------------------------------------------------------------


def demo(arguments: list[str]) -> int:
    install()
    return run(venv_program("p2ptk"), "demo", *arguments)


def only_install(arguments: list[str]) -> int:
    refuse("install", arguments)
    install()
    print("p2ptk is installed in .venv.")
    return 0


def test(arguments: list[str]) -> int:
    """Run the tests: all of them on every core, or what the arguments say."""
    install("test")
    return run(PYTHON, "-m", "pytest", *(arguments or ["-n", "auto"]))


def check(arguments: list[str]) -> int:
    """Run every check, whatever the ones before it say, and name those that failed."""
    refuse("check", arguments)
    install("check")
    checks = ("ruff check .", "ruff format --check .", "mypy")
    failed = [line for line in checks if run(PYTHON, "-m", *line.split()) != 0]
    if failed:
        fail("failed: " + ", ".join(failed), 1)
    print("All checks passed.")
    return 0


def lowest(arguments: list[str]) -> int:
    """A lower bound that no test ever ran on is a guess; here every direct requirement is at its.

    Types and lint are left to the pinned versions.
    """
    ensure_uv()
    python = venv_program("python", LOWEST)
    run_or_exit("making .venv-lowest", UV, "venv", "--quiet", "--clear", "--python", PYTHON, LOWEST)
    run_or_exit(
        "installing the oldest versions",
        *(UV, "pip", "install", "--quiet", "--python", python, "--resolution", "lowest-direct"),
        *("--build-constraints", CONSTRAINTS, "--group=test"),
        *(f"--editable={project}" for project in local_projects()),
    )
    return run(python, "-m", "pytest", *arguments)


def lock(arguments: list[str]) -> int:
    """Pin everything for every platform; pins that still fit are kept unless --upgrade is given."""
    ensure_uv()
    requirements = [f"--editable={project}" for project in local_projects()]
    run_or_exit(
        "resolving the versions",
        *(UV, "pip", "compile", "-", "--python", PYTHON, "--output-file", CONSTRAINTS, "--quiet"),
        *("--universal", "--python-version", "{}.{}".format(*OLDEST_PYTHON)),
        *("--no-annotate", "--no-header", "--no-emit-index-url", "--no-emit-find-links"),
        *("--group=check", "--group=test"),
        *arguments,
        stdin="\n".join([*SET_UP_TOOLS, *requirements]),
    )
    pins = [line for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines() if "==" in line]
    CONSTRAINTS.write_text("\n".join([*pins, ""]), encoding="utf-8", newline="\n")
    print(f"constraints.txt holds {len(pins)} pins.")
    return 0


def refuse(command: str, arguments: list[str]) -> None:
    if arguments:
        fail(f"{command} takes no arguments, but got: {' '.join(arguments)}", 2)


COMMANDS = {
    "demo": demo,
    "install": only_install,
    "test": test,
    "check": check,
    "lowest": lowest,
    "lock": lock,
}


def main(arguments: list[str]) -> int:
    if arguments[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    command = arguments[0] if arguments else "no command"
    if command not in COMMANDS:
        fail(f"expected one of {', '.join(COMMANDS)}, but got {command}.", 2)
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the program we run to answer
    return COMMANDS[command](arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
