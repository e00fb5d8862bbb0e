#!/usr/bin/env python3
"""Fetches the browser assets that are shipped in the package, as `vendor.lock.json` names them.

    scripts/vendor_assets.py           fetch what the lock says, and check it
    scripts/vendor_assets.py --lock    fetch, and write the hashes of what came into the lock

Needs npm. The only way in which these files change.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "vendor.lock.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--lock", action="store_true", help="write the hashes of what came into the lock")
    relock = parser.parse_args().lock
    lock = json.loads(LOCK.read_text("utf-8"))
    for package in lock["packages"]:
        with tempfile.TemporaryDirectory() as folder:
            archive = fetch(package, Path(folder))
            check(package, "integrity", integrity(archive), relock)
            with tarfile.open(archive) as content:
                for one in package["files"]:
                    data = content.extractfile(f"package/{one['from']}")
                    if data is None:
                        sys.exit(f"{package['name']} holds no file '{one['from']}'")
                    target = ROOT / one["to"]
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with target.open("wb") as out:
                        shutil.copyfileobj(data, out)
                    check(one, "sha512", hashlib.sha512(target.read_bytes()).hexdigest(), relock)
                    print(f"vendored {one['to']}")
    if relock:
        LOCK.write_text(json.dumps(lock, indent=2) + "\n", "utf-8")


def fetch(package: dict[str, str], folder: Path) -> Path:
    """The package's archive, from whatever registry npm is set up for."""
    named = f"{package['name']}@{package['version']}"
    done = subprocess.run(["npm", "pack", "--silent", named], cwd=folder, capture_output=True, text=True, timeout=300)
    if done.returncode:
        sys.exit(f"npm pack {named} failed: {done.stderr.strip()}")
    return folder / done.stdout.strip().splitlines()[-1]


def integrity(archive: Path) -> str:
    """As npm writes it into its own locks."""
    return "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()


def check(entry: dict[str, str], key: str, found: str, relock: bool) -> None:
    if relock:
        entry[key] = found
    elif entry[key] != found:
        sys.exit(f"{entry.get('name') or entry['to']}: {key} is {found}, but the lock says {entry[key]}")


if __name__ == "__main__":
    main()
