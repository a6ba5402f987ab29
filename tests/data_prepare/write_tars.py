"""Writes tests/data_prepare/fixtures: small archives by GNU tar and Python's tarfile, as the official data sets are."""

import gzip
import pathlib
import subprocess
import tarfile
import tempfile

OUT = pathlib.Path(__file__).parent / "fixtures"
LONG = "folder/" + "long/" * 30 + "name.bin"
FILES = {"folder/a.txt": b"some text\n", "folder/b.bin": bytes(3000), LONG: bytes(range(256)) * 5}


def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    return info


def write(name: str, data: bytes) -> None:
    (OUT / f"{name}.gz").write_bytes(gzip.compress(data, mtime=0))


with tempfile.TemporaryDirectory() as root:
    for path, data in FILES.items():
        target = pathlib.Path(root, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    OUT.mkdir(exist_ok=True)
    same = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0"]
    for style in ("gnu", "pax", "ustar"):
        # ustar has no room for the long name.
        paths = ["folder/a.txt", "folder/b.bin"] if style == "ustar" else ["folder"]
        command = ["tar", "-C", root, f"--format={'posix' if style == 'pax' else style}", *same, "-cf", "-", *paths]
        write(f"{style}.tar", subprocess.run(command, check=True, capture_output=True).stdout)
    for style, number in (("gnu", tarfile.GNU_FORMAT), ("pax", tarfile.PAX_FORMAT)):
        path = pathlib.Path(root, "x.tar")
        with tarfile.open(path, "w", format=number) as archive:
            archive.add(pathlib.Path(root, "folder"), "folder", filter=plain)
        write(f"python_{style}.tar", path.read_bytes())
