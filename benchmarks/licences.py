"""The licence of every installed distribution, as its own metadata tells. Needs no network.

    python -m benchmarks.licences [--json] [--extras report study ...]

Lists p2ptk's requirements, those of the extras named, and theirs in turn, as they are installed
here. The exit code is 1 where one asks for its own terms on programs that use it (GPL, AGPL), or
tells no licence at all: somebody has to look, and add it to KNOWN with what was found.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata

from packaging.requirements import Requirement

from p2ptk.missing import installed

KNOWN = {  # by distribution, where the metadata does not tell
    "cuda-toolkit": "LicenseRef-NVIDIA-Proprietary (a list of NVIDIA's packages)",
}
STRONG = re.compile(r"\bA?GPL|Affero|GNU General Public", re.IGNORECASE)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--extras", nargs="*", default=[])
    options = parser.parse_args()
    found = {name: licence_of(name) for name in sorted(required("p2ptk", options.extras))}
    if options.json:
        print(json.dumps(found))
    else:
        for name, licence in found.items():
            print(f"{name} {metadata.version(name)}: {licence or 'not told'}")
    wrong = [name for name, licence in found.items() if not licence or STRONG.search(licence)]
    if wrong:
        print(f"to be looked at: {', '.join(wrong)}", file=sys.stderr)
    sys.exit(bool(wrong))


def required(name: str, extras: Sequence[str] = ()) -> set[str]:
    """Names of what a distribution requires here, and that requires in turn, and so on."""
    found: set[str] = set()
    ahead = [(name, tuple(extras))]
    while ahead:
        for requirement in _requirements(*ahead.pop()):
            key = re.sub(r"[-_.]+", "-", requirement.name).lower()
            if key not in found and installed(key):
                found.add(key)
                ahead.append((key, tuple(requirement.extras)))
    return found


def licence_of(name: str) -> str:
    """A distribution's licence in a few words, or ''."""
    about = metadata.metadata(name)
    expression, text = ((about.get_all(k) or [""])[0] for k in ("License-Expression", "License"))
    classified = [
        line.rpartition(" :: ")[2]
        for line in about.get_all("Classifier") or ()
        if line.startswith("License :: ")
    ]
    first = text.strip().splitlines()[0][:60] if text.strip() else ""
    return KNOWN.get(name) or expression or ", ".join(classified) or first


def _requirements(name: str, extras: Sequence[str]) -> Iterator[Requirement]:
    for text in metadata.requires(name) or ():
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement


if __name__ == "__main__":
    main()
