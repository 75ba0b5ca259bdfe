"""What packages bring along that is none of Python's packages, so that neither pip nor a bill of materials sees it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Bundled:
    """One piece of software within a package.

    Attributes
    ----------
    name, version
        As npm has them.
    licence
        An SPDX expression.
    package
        That it comes with.
    file
        Where it is, below ``site-packages``.
    says
        What that file has of its version.
    used
        What for.
    """

    name: str
    version: str
    licence: str
    package: str
    file: str
    says: str
    used: str

    def component(self) -> dict[str, Any]:
        """Return it as a component of CycloneDX."""
        reference = f"pkg:npm/{self.name}@{self.version}"
        return {
            "bom-ref": reference,
            "description": f"comes with {self.package}: {self.used}",
            "licenses": [{"license": {"acknowledgement": "declared", "id": self.licence}}],
            "name": self.name,
            "purl": reference,
            "type": "library",
            "version": self.version,
        }


BUNDLED = (
    Bundled(
        *("redoc", "2.5.3", "MIT", "fastapi_offline", "fastapi_offline/static/redoc.standalone.js"),
        says='ReDoc Version: ","2.5.3"',
        used="not served",
    ),
    Bundled(
        *("swagger-ui-dist", "5.32.6", "Apache-2.0", "fastapi_offline", "fastapi_offline/static/swagger-ui-bundle.js"),
        says='PACKAGE_VERSION:"5.32.6"',
        used="shows `GET /docs`, in the browser",
    ),
)


def add_to(materials: Path) -> None:
    """Add all of them to a bill of materials."""
    bill = json.loads(materials.read_bytes())
    bill["components"] += [each.component() for each in BUNDLED]
    bill["components"].sort(key=lambda each: each["bom-ref"])
    bill["dependencies"] += [{"ref": each.component()["bom-ref"]} for each in BUNDLED]
    bill["dependencies"].sort(key=lambda each: each["ref"])
    materials.write_text(json.dumps(bill, indent=2) + "\n", "utf-8")
