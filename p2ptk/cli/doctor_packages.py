"""What of p2ptk's packages is installed, and whether torchvision goes with torch."""

from __future__ import annotations

from importlib import metadata

from packaging.requirements import Requirement

from p2ptk.missing import installed


def torchvision_fault(torch_version: str) -> tuple[str | None, str]:
    """torchvision's version, and what is wrong with it, by what it says it needs.

    It is not imported, which takes seconds; p2ptk's core does not need it, plugins do.
    """
    try:
        version = metadata.version("torchvision")
        needs = [Requirement(text) for text in metadata.requires("torchvision") or []]
    except metadata.PackageNotFoundError:
        return None, "torchvision is not installed: install the one that goes with torch."
    for need in needs:
        if need.name == "torch" and not need.specifier.contains(torch_version, prereleases=True):
            return version, (
                f"torchvision {version} needs torch {need.specifier}, and torch is "
                f"{torch_version}: install both together."
            )
    return version, ""


def missing_by_extra() -> dict[str, list[str]]:
    """The packages that each of p2ptk's extras lacks here; none where all are installed."""
    try:
        about = metadata.metadata("p2ptk")
        wanted = [Requirement(text) for text in metadata.requires("p2ptk") or []]
    except metadata.PackageNotFoundError:
        return {}

    def missing(extra: str) -> list[str]:
        names: list[str] = []
        for need in wanted:
            if not need.marker or not need.marker.evaluate({"extra": extra}):
                continue
            if need.marker.evaluate({"extra": ""}):
                continue
            if need.name == "p2ptk":  # an extra made of others
                names += [name for other in sorted(need.extras) for name in missing(other)]
            elif not installed(need.name):
                names.append(need.name)
        return list(dict.fromkeys(names))

    return {extra: missing(extra) for extra in about.get_all("Provides-Extra") or []}
