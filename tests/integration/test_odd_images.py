"""Images as they come: any compressor, few files, odd links, odd owners, odd names."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from image_files import shared
from ordinary_user import User
from skipping import require
from small_images import busybox, contents, give, make_image

Sh = Callable[..., subprocess.CompletedProcess[str]]
GOOD = (
    "bare.sqfs", "bash.sif", "bb-gzip.sif", "bb-lz4.sif", "bb-lzo.sif", "bb-xz.sif",
    "bb-zstd.sif", "docker.sif", "legacy2x.simg", "noext", "oci.sif", "signed-pem.sif",
    "signed.sif", "wrongarch-hdronly.sif",
)  # fmt: skip
BAD = (
    "empty.sif", "encrypted-pass.sif", "garbage.sif", "hdr-only.sif", "nopart.sif",
    "tampered.sif", "truncated.sif", "wrongarch.sif",
)  # fmt: skip


@pytest.fixture
def own(directory: Path, user: User) -> Path:
    """An image directory of the test's own."""
    return make_image(directory / "own", user)


@pytest.fixture(scope="session")
def corpus(room: Path) -> Path:
    """The shared corpus, where the user can read it."""
    found = shared()
    require(found, "SHARED", "there is no folder shared/ with the larger corpus")
    assert found
    copy = room / "sifs"
    shutil.copytree(found / "sifs", copy, ignore=shutil.ignore_patterns("sif-repo-images"))
    for path in copy.rglob("*"):
        path.chmod(0o755)
    return copy


@pytest.mark.parametrize("name", GOOD)
def test_a_good_image_of_the_corpus_runs(minictr: Sh, corpus: Path, warm: Path, name: str) -> None:
    require((corpus / name).exists(), "SHARED", f"{name} is not in the shared corpus")
    done = minictr("exec", corpus / name, "echo", "ok", env={"MINICTR_CACHEDIR": str(warm)})
    assert (done.stdout, done.returncode) == ("ok\n", 0), done.stderr


@pytest.mark.parametrize("name", BAD)
def test_a_bad_image_of_the_corpus_is_refused(
    minictr: Sh, corpus: Path, cache: Path, name: str
) -> None:
    require((corpus / name).exists(), "SHARED", f"{name} is not in the shared corpus")
    done = minictr("exec", corpus / name, "echo", "ok")
    assert (done.stdout, done.returncode) == ("", 125)
    assert str(corpus / name) in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(cache.glob("trees/*"))
    assert not list(cache.glob("tmp/*"))


def test_an_image_with_one_program_and_nothing_else(
    minictr: Sh, directory: Path, user: User, warm: Path
) -> None:
    """Neither /bin/sh nor /dev, /proc, /sys, /tmp, /etc: as of a static program's own image."""
    image = directory / "bare"
    image.mkdir()
    shutil.copy(busybox(), image / "busybox")
    give(image, user)
    before = contents(image)
    env = {"MINICTR_CACHEDIR": str(warm), "SINGULARITYENV_X": "$(echo y)", "PLAIN": "1"}
    done = minictr("exec", image, "/busybox", "env", env=env)
    assert "PLAIN=1" in done.stdout
    assert "X=$(echo y)" in done.stdout
    done = minictr("exec", "-C", image, "/busybox", "ls", "/dev/null", "/proc/self/status", env=env)
    assert (done.returncode, done.stdout) == (0, "/dev/null\n/proc/self/status\n")
    assert contents(image) == before


def test_it_says_so_where_a_shell_is_asked_of_it(minictr: Sh, directory: Path, user: User) -> None:
    image = directory / "bare"
    image.mkdir()
    shutil.copy(busybox(), image / "busybox")
    give(image, user)
    done = minictr("shell", image)
    assert done.returncode == 127
    assert "/bin/sh" in done.stderr


def test_links_where_mount_points_are_expected(
    inside: Callable[..., str], own: Path, user: User, directory: Path
) -> None:
    shutil.rmtree(own / "tmp")
    shutil.rmtree(own / "home")
    (own / "var/home").mkdir()
    (own / "scratch").mkdir()
    (own / "tmp").symlink_to("/scratch")
    (own / "home").symlink_to("var/home")
    (own / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    (own / "etc/localtime").symlink_to("/usr/share/zoneinfo/Nowhere/None")
    (own / "etc/hosts").symlink_to("/etc/hosts")
    give(own, user)
    before = contents(own)
    script = f"""
    test -d {directory} && echo tmp; cd && pwd
    cat /etc/resolv.conf > /dev/null && echo resolv; ls -l /etc/resolv.conf | cut -c1
    """
    shown = inside(script, image=own).split()
    assert shown[0] == "tmp"
    assert Path(shown[1]).name == user.home.name
    if Path("/etc/resolv.conf").exists():
        assert shown[2:] == ["resolv", "l"]
    assert contents(own) == before


def test_a_file_where_a_directory_is_expected_leaves_that_out(
    sh: Sh, own: Path, user: User
) -> None:
    (own / "tmp").rmdir()
    (own / "tmp").write_text("a file\n")
    give(own, user)
    done = sh("cat /tmp", "-v", image=own, cwd="/")
    assert done.stdout == "a file\n"
    assert "/tmp: left out" in done.stderr


@pytest.mark.parametrize("mode", [0o555, 0o500])
def test_a_read_only_image_directory(
    inside: Callable[..., str], own: Path, user: User, directory: Path, mode: int
) -> None:
    for path in (own, own / "etc", own / "var", own / "home"):
        path.chmod(mode)
    script = "cat /new/deep/f /var/n/f; stat -c %a / /etc /var"
    (directory / "f").write_text("f\n")
    options = ("-B", f"{directory}:/new/deep", "-B", f"{directory}:/var/n")
    shown = inside(script, *options, image=own)
    assert shown == "f\nf\n" + f"{mode:o}\n" * 3
    for path in (own, own / "etc", own / "var", own / "home"):
        path.chmod(0o755)


def test_an_image_that_belongs_to_root(
    inside: Callable[..., str], own: Path, directory: Path
) -> None:
    require(os.geteuid() == 0, "ROOT", "only root can give a tree to root")
    for path in (own, *own.rglob("*")):
        os.lchown(path, 0, 0)
    (own / "root").chmod(0o700)
    (directory / "f").write_text("f\n")
    script = "cat /etc/new/f /bin/n/f; id -un >/dev/null && ls / > /dev/null && echo ok"
    options = ("-B", f"{directory}:/etc/new", "-B", f"{directory}:/bin/n")
    for id_map in ("auto", "single"):
        assert inside(script, *options, "--id-map", id_map, image=own) == "f\nf\nok\n"
    assert inside("cat /root/f; id -u", "-f", "-H", f"{directory}:/root", image=own) == "f\n0\n"


def test_a_bind_below_a_directory_that_cannot_be_searched(
    sh: Sh, own: Path, directory: Path
) -> None:
    (own / "closed").mkdir()
    (own / "closed").chmod(0)
    done = sh("echo ran", "-B", f"{directory}:/closed/x", image=own)
    (own / "closed").chmod(0o755)
    if os.geteuid() == 0:
        assert "Traceback" not in done.stderr
    assert (done.returncode, done.stdout) == (125, "")


@pytest.mark.parametrize(
    "name", ["a:b", "a,b", "a b", "a\nb", "a\\b", "\\", "a=b", "%s", "é", "-x", "\udcff\udcfe"]
)
@pytest.mark.parametrize("kind", ["directory", "sif"])
def test_an_image_of_any_name(
    run_as_user: Sh, checkout: object, directory: Path, user: User, sif: Path, image: Path,
    warm: Path, kind: str, name: str,
) -> None:  # fmt: skip
    path = directory / name
    if kind == "sif":
        shutil.copy(sif, path)
    else:
        shutil.copytree(image, path, symlinks=True)
    give(path, user)
    program = checkout.program  # type: ignore[attr-defined]
    env = {"MINICTR_CACHEDIR": str(warm)}
    for options in ((), ("--writable-tmpfs",)):
        command = [
            program,
            "exec",
            *options,
            "--",
            f"./{name}",
            "sh",
            "-c",
            'echo "$APPTAINER_NAME"',
        ]
        done = run_as_user(command, cwd=directory, env=env)
        assert (done.stdout, done.returncode) == (f"{name}\n", 0), done.stderr


@pytest.mark.parametrize("name", ["a:b", "a,b", "a b", "a\nb", "a\\b", "\udcff"])
def test_a_cache_of_any_name(
    minictr: Sh, sif: Path, directory: Path, user: User, name: str
) -> None:
    env = {"MINICTR_CACHEDIR": str(directory / name)}
    for _ in ("cold", "warm"):
        done = minictr("exec", sif, "echo", "ok", env=env)
        assert (done.stdout, done.returncode) == ("ok\n", 0), done.stderr


def test_the_root_of_the_host_as_an_image(minictr: Sh, warm: Path, user: User) -> None:
    env = {"MINICTR_CACHEDIR": str(warm)}
    done = minictr("exec", "-C", "/", "/bin/sh", "-c", "echo ok; touch /etc/new", env=env)
    assert done.stdout == "ok\n", done.stderr
    assert "Read-only" in done.stderr


def test_an_image_with_an_image_in_its_path_given_relatively(
    inside: Callable[..., str], own: Path
) -> None:
    assert inside("echo ok", image="../own/.", cwd=own) == "ok\n"
    assert inside("echo ok", image=".", cwd=own) == "ok\n"
    (own.parent / "link").symlink_to("own")
    assert inside("echo ok", image=own.parent / "link") == "ok\n"


HOSTILE = "\x1b]0;title\x07"  # xterm: names the window


def test_no_name_of_an_image_is_obeyed_by_the_terminal(minictr: Sh, own: Path, user: User) -> None:
    script = own / f".singularity.d/env/{HOSTILE}.sh"
    script.parent.mkdir(parents=True)
    script.write_text("X=$(id)\n")
    (own / "bin/sh").unlink()
    shutil.rmtree(own / "tmp")
    (own / "tmp").symlink_to(f"/{HOSTILE}")
    give(own, user)
    for words in (("-v", "exec", "--trace"), ("plan",)):
        done = minictr(*words, own, "true")
        assert done.returncode == 0, done.stderr
        assert "\\x1b]0;title" in done.stdout + done.stderr
        assert "\x1b" not in done.stdout + done.stderr


def test_the_warning_of_a_directory_names_it_whatever_its_name(
    minictr: Sh, image: Path, directory: Path, user: User
) -> None:
    place = directory / "a{}b"
    place.mkdir()
    give(place, user)
    done = minictr("exec", "--no-home", "--no-mount", "tmp,cwd", image, "true", cwd=place)
    assert f"the working directory {place} is not in the container: using /" in done.stderr


def test_what_is_neither_file_nor_directory_is_left_as_it_is(
    minictr: Sh, own: Path, user: User
) -> None:
    (own / "etc/hosts").unlink(missing_ok=True)
    os.mkfifo(own / "etc/hosts")
    give(own, user)
    done = minictr("-v", "exec", own, "sh", "-c", "[ -p /etc/hosts ] && echo fifo")
    assert done.stdout == "fifo\n", done.stderr
    assert "/etc/hosts: left out, what the image has there is no file\n" in done.stderr
