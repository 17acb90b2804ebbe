"""Binds: files and directories of the host at a place inside, whatever the image has there."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from inside import read_mounts
from ordinary_user import User
from small_images import contents, give, make_image

Sh = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def source(directory: Path, user: User) -> Path:
    """A directory of the user's with a file in it and a directory below."""
    path = directory / "source"
    (path / "below").mkdir(parents=True)
    (path / "file").write_text("of the host\n")
    (path / "below/deep").write_text("deep\n")
    return give(path, user)


def test_a_bind_is_writable_and_not_for_set_ids_and_devices(
    inside: Callable[..., str], source: Path
) -> None:
    shown = inside("cat /x/file; touch /x/new; cat /proc/self/mountinfo", "-B", f"{source}:/x")
    assert shown.startswith("of the host\n")
    assert (source / "new").exists()
    assert read_mounts(shown.partition("\n")[2])["/x"].options >= {"rw", "nosuid", "nodev"}


@pytest.mark.parametrize("option", ["ro", "ro,ro"])
def test_a_read_only_bind(sh: Sh, source: Path, option: str) -> None:
    done = sh("cat /x/file; touch /x/new", "-B", f"{source}:/x:{option}")
    assert done.stdout == "of the host\n"
    assert done.returncode != 0
    assert not (source / "new").exists()


def test_rw_is_what_a_bind_is_anyway(inside: Callable[..., str], source: Path) -> None:
    inside("touch /x/new", "-B", f"{source}:/x:rw")
    assert (source / "new").exists()


def test_a_source_alone_is_bound_at_its_own_place(inside: Callable[..., str], source: Path) -> None:
    assert inside(f"cat {source}/file", "--contain", "-B", source) == "of the host\n"


def test_a_relative_source_is_seen_from_the_working_directory(
    inside: Callable[..., str], source: Path
) -> None:
    assert inside("cat /x/file", "-B", "source:/x", cwd=source.parent) == "of the host\n"
    assert inside("cat /x/deep", "-B", "../source/./below:/x", cwd=source) == "deep\n"


@pytest.mark.parametrize("target", ["/new", "/new/deep/er", "/bin/tool", "/etc/new/conf"])
def test_an_absent_target_is_made_without_touching_the_image(
    inside: Callable[..., str], source: Path, image: Path, target: str
) -> None:
    before = contents(image)
    assert inside(f"cat {target}/file", "-B", f"{source}:{target}") == "of the host\n"
    assert inside(f"cat {target}", "-B", f"{source}/file:{target}") == "of the host\n"
    assert contents(image) == before


def test_what_lies_beside_a_new_target_is_still_there(
    inside: Callable[..., str], source: Path
) -> None:
    script = "cat /etc/passwd | head -n 1; cat /bin/tool/file; ls -A /etc | sort | head -n 3"
    assert inside(script, "-B", f"{source}:/bin/tool").startswith("root:x:0:0:")


def test_binds_over_a_file_and_a_directory_of_the_image(
    inside: Callable[..., str], source: Path
) -> None:
    options = ("-B", f"{source}:/home,{source}/file:/etc/shadow")
    assert inside("cat /home/file /etc/shadow", *options) == "of the host\n" * 2


@pytest.mark.parametrize("name", ["passwd", "group", "hosts", "resolv.conf", "localtime"])
def test_a_bind_goes_before_the_file_the_launcher_puts_there(
    inside: Callable[..., str], source: Path, name: str
) -> None:
    shown = inside(f"cat /etc/{name}", "-B", f"{source}/file:/etc/{name}")
    assert shown == "of the host\n"


def test_a_bind_goes_before_the_working_directory(inside: Callable[..., str], source: Path) -> None:
    options = ("-B", f"{source}/below:{source}", "--no-mount", "tmp")
    assert inside("pwd; ls", *options, cwd=source) == f"{source}\ndeep\n"


@pytest.mark.parametrize("options", [(), ("--contain",), ("--contain", "--scratch", "/other")])
def test_a_bind_goes_before_a_default_that_a_link_of_the_image_leads_to_it(
    inside: Callable[..., str], source: Path, directory: Path, user: User, options: tuple[str, ...]
) -> None:
    own = make_image(directory / "own", user)
    (own / "tmp").mkdir(exist_ok=True)
    (own / "var/tmp").rmdir() if (own / "var/tmp").exists() else (own / "var").mkdir(exist_ok=True)
    (own / "var/tmp").symlink_to("/tmp")
    shown = inside("ls /tmp; ls /var/tmp", *options, "-B", f"{source}:/tmp", image=own)
    assert shown == "below\nfile\n" * 2


def test_several_binds_from_one_option_and_many(inside: Callable[..., str], source: Path) -> None:
    options = ("-B", f"{source}:/a:ro,{source}/below:/b", "--bind", f"{source}/file:/c")
    assert inside("cat /a/file /b/deep /c", *options) == "of the host\ndeep\nof the host\n"


def test_a_bind_inside_another_whatever_the_order(
    inside: Callable[..., str], source: Path, directory: Path, user: User
) -> None:
    other = directory / "other"
    other.mkdir()
    (other / "o").write_text("other\n")
    give(other, user)
    for options in (
        ("-B", f"{source}:/x", "-B", f"{other}:/x/below"),
        ("-B", f"{other}:/x/below", "-B", f"{source}:/x"),
    ):
        assert inside("cat /x/file /x/below/o", *options) == "of the host\nother\n"
    assert (source / "below/deep").exists()


def test_a_file_over_a_file_inside_a_read_only_bind(
    inside: Callable[..., str], source: Path
) -> None:
    options = ("-B", f"{source}:/x:ro", "-B", f"{source}/below/deep:/x/file")
    assert inside("cat /x/file", *options) == "deep\n"


def test_an_absent_target_inside_another_bind_is_made_there(
    inside: Callable[..., str], source: Path
) -> None:
    options = ("-B", f"{source}:/x", "-B", f"{source}/below:/x/made/here")
    assert inside("cat /x/made/here/deep", *options) == "deep\n"
    assert (source / "made/here").is_dir()


def test_the_first_of_two_binds_on_one_target_counts(
    inside: Callable[..., str], source: Path
) -> None:
    options = ("-B", f"{source}:/x", "-B", f"{source}/below:/x")
    assert inside("ls /x", *options) == "below\nfile\n"
    variable = {"APPTAINER_BIND": f"{source}/below:/x"}
    assert inside("ls /x", *options[:2], env=variable) == "below\nfile\n"


def test_a_target_that_is_a_link_in_the_image_is_followed_inside_the_image(
    inside: Callable[..., str], source: Path, directory: Path, user: User
) -> None:
    linked = make_image(directory / "linked", user)
    (linked / "real").mkdir()
    (linked / "absolute").symlink_to("/real")
    (linked / "outwards").symlink_to("../../../../../real")
    (linked / "dangling").symlink_to("/not/there")
    (linked / "file").symlink_to("etc/passwd")
    give(linked, user)
    before = contents(linked)
    for target in ("absolute", "outwards"):
        assert inside("cat /real/file", "-B", f"{source}:/{target}", image=linked)
    bound = ("-B", f"{source}:/dangling")
    assert inside("cat /not/there/file /dangling/file", *bound, image=linked)
    assert inside("cat /absolute/x/file", "-B", f"{source}:/absolute/x", image=linked)
    assert inside("cat /file", "-B", f"{source}/file:/file", image=linked) == "of the host\n"
    assert contents(linked) == before


def test_a_source_that_is_a_link_is_followed_on_the_host(
    inside: Callable[..., str], source: Path
) -> None:
    (source / "link").symlink_to("below")
    assert inside("cat /x/deep", "-B", f"{source}/link:/x") == "deep\n"


@pytest.mark.parametrize("name", ["a:b", "a,b", "a:b,c", "sp ace", "back\\slash", "new\nline", "é"])
def test_names_with_separators(
    inside: Callable[..., str], source: Path, directory: Path, name: str
) -> None:
    named = directory / name
    named.mkdir()
    (named / "f").write_text("found\n")
    escaped = str(named).replace(":", "\\:").replace(",", "\\,")
    assert inside("cat /x/f", "-B", f"{escaped}:/x") == "found\n"
    target = "/t/" + name.replace(":", "\\:").replace(",", "\\,")
    # The shell's own quoting: the script gets the name by way of an argument-free glob.
    assert inside("cat /t/*/f", "-B", f"{escaped}:{target}") == "found\n"


def test_a_name_of_arbitrary_bytes(inside: Callable[..., str], directory: Path) -> None:
    named = directory / b"\xff\xfe".decode("utf-8", "surrogateescape")
    named.mkdir()
    (named / "f").write_text("found\n")
    assert inside("cat /x/f", "-B", f"{named}:/x") == "found\n"


def test_mount_takes_the_same_as_a_list_of_keys(sh: Sh, source: Path) -> None:
    done = sh("cat /x/file; touch /x/n", "--mount", f"type=bind,source={source},target=/x,readonly")
    assert done.stdout == "of the host\n"
    assert done.returncode != 0
    done = sh("cat /x/file; touch /x/n", "--mount", f"src={source},dst=/x")
    assert (done.stdout, done.returncode) == ("of the host\n", 0)
    assert (source / "n").exists()


def test_mount_quotes_a_comma(inside: Callable[..., str], directory: Path) -> None:
    named = directory / "a,b"
    named.mkdir()
    (named / "f").write_text("found\n")
    mount = f'type=bind,"source={named}",destination=/x'
    assert inside("cat /x/f", "--mount", mount) == "found\n"


@pytest.mark.parametrize(
    "variable", ["MINICTR_BIND", "APPTAINER_BIND", "SINGULARITY_BIND", "SINGULARITY_BINDPATH"]
)
def test_variables_add_binds(inside: Callable[..., str], source: Path, variable: str) -> None:
    shown = inside(
        "cat /x/file /y/deep /z",
        "-B",
        f"{source}/file:/z",
        env={variable: f"{source}:/x,{source}/below:/y"},
    )
    assert shown == "of the host\ndeep\nof the host\n"


def test_a_missing_source_ends_the_launch(sh: Sh, directory: Path, apptainer: Path) -> None:
    done = sh("echo ran", "-B", f"{directory}/nowhere:/x")
    assert (done.returncode, done.stdout) == (125, "")
    assert f"{directory}/nowhere" in done.stderr
    done = sh("echo ran", "-B", f"{directory}/nowhere:/x", program=apptainer)
    assert (done.returncode, done.stdout) == (255, "")
    assert "\nFATAL:   " in f"\n{done.stderr}"


@pytest.mark.parametrize("spec", ["SOURCE:/x:zz", "SOURCE:relative", "SOURCE:/", ":/x"])
def test_a_bind_that_cannot_be_is_refused(sh: Sh, source: Path, spec: str) -> None:
    done = sh("echo ran", "-B", spec.replace("SOURCE", str(source)))
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr.startswith("minictr: error: ")


def test_a_file_cannot_be_bound_on_a_directory_of_the_image(sh: Sh, source: Path) -> None:
    done = sh("echo ran", "-B", f"{source}/file:/bin")
    assert (done.returncode, done.stdout) == (125, "")
    assert "Traceback" not in done.stderr


def test_mounts_below_a_source_come_along_and_are_read_only_too(
    sh: Sh, inside: Callable[..., str]
) -> None:
    """The host's /dev has mounts below it on every Linux."""
    below = [
        line.split()[4]
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if line.split()[4].startswith("/dev/")
    ]
    table = read_mounts(inside("cat /proc/self/mountinfo", "-B", "/dev:/x:ro"))
    for point in below:
        assert "ro" in table[f"/x{point.removeprefix('/dev')}"].options


def test_a_device_that_is_bound_stays_a_device(inside: Callable[..., str]) -> None:
    assert inside("echo x > /d/null && echo ok", "--contain", "-B", "/dev/null:/d/null") == "ok\n"


def test_bind_targets_are_listed_in_the_environment(
    inside: Callable[..., str], source: Path
) -> None:
    shown = inside("echo $SINGULARITY_BIND $APPTAINER_BIND", "-B", f"{source}:/a,{source}:/b:ro")
    assert shown == "/a,/b /a,/b\n"


def test_a_second_bind_on_a_target_is_left_out_and_said_to_be(sh: Sh, source: Path) -> None:
    binds = ("-B", f"{source}:/x", "-B", f"{source}/below:/x/", "-B", f"{source}:/x")
    done = sh("cat /x/file", *binds)
    warning = f"warning: the bind of {source}/below on /x is left out: {source} is bound there\n"
    assert (done.stdout, done.returncode) == ("of the host\n", 0)
    assert done.stderr == f"minictr: {warning}"
