"""Print the lowest version of each package that crossbit needs, as constraints for pip: `name==version`, one a line."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def lowest(requirement: str) -> str:
    """`numpy>=2.0` as `numpy==2.0`.

    >>> lowest("h5py>=3.11")
    'h5py==3.11'
    """
    wanted = Requirement(requirement)
    (bound,) = (each.version for each in wanted.specifier if each.operator == ">=")
    return f"{wanted.name}=={bound}"


if __name__ == "__main__":
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    print("\n".join(lowest(each) for each in [*project["dependencies"], *project["optional-dependencies"]["train"]]))
