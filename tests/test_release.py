"""What `make package` gives away. That it runs is shown by the lab: its worker runs the unpacked package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from release import materials, package
from tests.lab import ROOT, require
from tests.lab.worker import Worker, missing
from tests.lab.worker.payloads import http_request


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, as it is now."""
    path = tmp_path_factory.mktemp("package") / "function.zip"
    package.write(path)
    return path


class TestPackage:
    """The function's package."""

    def test_it_is_the_same_bytes_whenever_it_is_made(self, archive: Path, tmp_path: Path) -> None:
        """Files touched since, another umask: whoever builds the same sources can compare."""
        package.unpack(archive, tmp_path / "copy")
        for name in ("init", "add -A"):
            subprocess.run(["git", "-c", "core.autocrlf=false", *name.split()], cwd=tmp_path / "copy", check=True)
        (tmp_path / "copy" / ".funcignore").write_bytes((ROOT / ".funcignore").read_bytes())
        (tmp_path / "copy" / "host.json").chmod(0o600)
        os.utime(tmp_path / "copy" / "function_app.py", (1, 1))

        package.write(tmp_path / "again.zip", tmp_path / "copy")

        assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()

    def test_it_holds_only_what_the_function_needs(self, archive: Path) -> None:
        """The app, its settings for the host, its lock, its licence and the product; no test, document or template."""
        names = zipfile.ZipFile(archive).namelist()

        outside = {name for name in names if not name.startswith("sync/")}
        assert outside == {"LICENSE", "function_app.py", "host.json", "requirements.txt"}
        inside = [name for name in names if name.startswith("sync/") and not name.endswith(".py")]
        assert {"sync/console/page.html", "sync/console/styles/palette.css"} <= set(inside)
        assert all(name.startswith("sync/console/") for name in inside), "the console's page alone is no Python"

    def test_what_nobody_added_to_version_control_stays_out(self, tmp_path: Path) -> None:
        """A key that lies about in the folder is given to nobody."""
        subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
        (tmp_path / ".funcignore").write_text("tests\n")
        for name in ("function_app.py", "key.pem"):
            (tmp_path / name).write_text("")
        subprocess.run(["git", "add", "function_app.py"], cwd=tmp_path, check=True)

        assert package.members(tmp_path) == ["function_app.py"]

    @pytest.mark.lab
    def test_it_starts_in_the_genuine_worker_from_an_empty_folder(self, archive: Path, tmp_path: Path) -> None:
        """All functions are indexed from the unpacked files, and one answers that its settings are missing."""
        require("functions worker", missing())
        folder = package.unpack(archive, tmp_path / "app")
        errors = folder / "sync" / "errors.py"
        errors.write_text(errors.read_text("utf-8").replace("Correct each setting", "Unpacked: correct each setting"))

        with Worker.start({}, directory=folder) as worker:
            answer = worker.invoke("health", http_request("GET", "https://app.example/api/health"))

        assert answer is not None
        assert answer.json()["error"]["code"] == "settings-invalid"
        assert answer.json()["error"]["hint"].startswith("Unpacked")
        assert {"process", "bury", "reconcile"} <= worker.functions.keys()

    def test_it_imports_nothing_from_outside_its_folder(self, archive: Path, tmp_path: Path) -> None:
        """Neither tests nor tools nor the working copy: isolated from all but the installed libraries."""
        folder = package.unpack(archive, tmp_path / "app")
        code = f"import sys; sys.path.insert(0, {str(folder)!r}); import function_app, sync; print(sync.__file__)"

        done = subprocess.run(
            [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
        )

        assert Path(done.stdout.strip()).is_relative_to(folder)


_ONLY = """
import importlib.metadata as metadata, sys
locked = {{line.split("==")[0].lower().replace("_", "-") for line in open({lock!r}) if "==" in line}}
owners = metadata.packages_distributions()
allowed = {{m for m, names in owners.items() if any(n.lower().replace("_", "-") in locked for n in names)}}

class Others:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in owners and top not in allowed and top != "sync":
            raise ModuleNotFoundError(f"{{top}} is not in the lock", name=top)

sys.meta_path.insert(0, Others())
{code}
"""


@pytest.mark.parametrize(
    ("lock", "code"),
    [
        ("requirements.txt", "import function_app; from sync import wiring; function_app._cloud()"),
        (
            "requirements/function-ldap.txt",
            "import function_app, sync.adapters.active_directory; from sync import wiring; function_app._cloud()",
        ),
        ("requirements/agent.txt", "import sync.cli; sys.argv = ['smime-sync', 'agent', 'status']; sync.cli.main()"),
        ("requirements/serve.txt", "import sync.cli; sys.argv = ['smime-sync', 'serve']; sync.cli.main()"),
    ],
)
def test_each_half_starts_with_what_its_lock_installs(lock: str, code: str) -> None:
    """As far as to its missing settings: no module asks for a package that only developers have."""
    script = _ONLY.format(lock=str(ROOT / lock), code=code)
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env={}, capture_output=True, text=True, check=False)

    assert "not in the lock" not in done.stderr
    assert "settings-invalid" in done.stderr


class TestMaterials:
    """The bill of materials."""

    def test_it_names_every_package_of_the_lock_with_its_hashes_and_licence(self, tmp_path: Path) -> None:
        """CycloneDX 1.6, checked against its schema when it is written."""
        licences = materials.write(tmp_path / "bill.json")

        bill = json.loads((tmp_path / "bill.json").read_text("utf-8"))
        locked = {line.split("==")[0] for line in (ROOT / "requirements.txt").read_text().splitlines() if "==" in line}
        named = {component["name"]: component for component in bill["components"]}
        assert named.keys() == locked == licences.keys()
        assert all(each["externalReferences"][0]["hashes"] for each in named.values())
        assert all(each["licenses"] and each["purl"] for each in named.values())

    def test_no_licence_asks_more_than_we_give(self, tmp_path: Path) -> None:
        """Permissive ones, and MPL or LGPL for what is used as it comes; anything else is looked at first."""
        fine = (
            "MIT",
            "Apache",
            "BSD",
            "3-Clause BSD",
            "MPL",
            "Mozilla",
            "PSF",
            "Python Software Foundation",
            "ISC",
            "unknown: not",
        )
        for lock in ("requirements.txt", "requirements/function-ldap.txt", "requirements/agent.txt"):
            strange = {
                name: licence
                for name, licence in materials.write(tmp_path / "bill.json", ROOT / lock).items()
                if not licence.startswith(fine)
            }
            assert strange.keys() <= {"ldap3"}, strange
