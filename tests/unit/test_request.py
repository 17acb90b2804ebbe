"""From an argv and an environment to the Request."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_lines import NOWHERE, drop_in, own, request

from minictr.refusal import Refusal
from minictr.request import Bind


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ("", {}),
        ("-B /a:/b:ro", {"binds": (Bind("/a", "/b", True),)}),
        (
            "--mount src=/c,dst=/d -B /a",
            {"binds": (Bind("/a", "/a"), Bind("/c", "/d"))},
        ),
        ("--cwd /w", {"pwd": "/w"}),
        ("--home /h:/home/x", {"home": ("/h", "/home/x")}),
        ("--no-home", {"no_home": True}),
        ("-e", {"cleanenv": True}),
        ("-c", {"contain": True}),
        ("-C", {"contain": True, "cleanenv": True}),
        ("-C --no-pid", {"contain": True, "cleanenv": True, "namespaces": ("ipc", "uts")}),
        (
            "--compat",
            {
                "contain": True,
                "cleanenv": True,
                "evaluate": False,
                "keep_umask": False,
                "writable_tmpfs": True,
            },
        ),
        (
            "--compat -w",
            {
                "contain": True,
                "cleanenv": True,
                "evaluate": False,
                "keep_umask": False,
                "writable": True,
            },
        ),
        ("--no-pid", {"namespaces": ("ipc", "uts")}),
        ("--pid=false --ipc=false --uts=false", {"namespaces": ()}),
        ("--uts=false --hostname h", {"hostname": "h"}),
        (
            "--net --network none",
            {"namespaces": ("pid", "ipc", "uts", "net"), "network": "none"},
        ),
        ("--network none", {"namespaces": ("pid", "ipc", "uts", "net"), "network": "none"}),
        ("--network none --net=false", {}),
        ("--env A=1 --env B=2,A=3", {"environment": (("A", "3"), ("B", "2"))}),
        ("--no-eval", {"evaluate": False}),
        ("--no-umask", {"keep_umask": False}),
        ("-f", {"fakeroot": True}),
        ("-f --ignore-subuid", {"fakeroot": True, "id_map": "single"}),
        ("-f --add-caps all", {"fakeroot": True}),
        ("--drop-caps all --no-privs", {}),
        ("--id-map helpers", {"id_map": "helpers"}),
        ("-w", {"writable": True}),
        (
            "--writable-tmpfs --writable-tmpfs-size 512",
            {"writable_tmpfs": True, "tmpfs_mib": 512},
        ),
        ("--security seccomp:unconfined", {"seccomp": "unconfined"}),
        ("--security seccomp:/p.json", {"seccomp": "/p.json"}),
        ("-W /w -S /s,t", {"workdir": "/w", "scratch": ("/s", "/t")}),
        ("--no-mount tmp,/x", {"no_mount": ("tmp", "/x")}),
        ("--preserve-fds 2", {"preserve_fds": 2}),
        ("--trace --diagnosis json", {"trace": True, "diagnosis": "json"}),
        ("-v", {"verbosity": 1}),
        ("-u --no-init --underlay --disable-cache --tmpdir /t", {}),
        ("--unsquash", {"unpack": "now"}),
        ("--unpack never --cache-limit 5M", {"unpack": "never", "cache_limit": 5_000_000}),
        (
            "--nv",
            {
                "gpu": ("nv",),
                "notices": (("verbose", "--nv: no NVIDIA library of the host is bound"),),
            },
        ),
        (
            "--no-mount nosuch",
            {"notices": (("warning", "Ignoring unknown mount type 'nosuch'"),)},
        ),
    ],
)
def test_each_option_sets_its_fields_and_no_other(options: str, fields: dict[str, object]) -> None:
    assert request(f"minictr exec {options} i c") == own(**fields)


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ("", {}),
        ("-p", {"namespaces": ("pid",)}),
        ("-C", {"contain": True, "cleanenv": True, "namespaces": ("pid", "ipc")}),
        ("-C --no-pid", {"contain": True, "cleanenv": True, "namespaces": ("ipc",)}),
        ("--hostname h", {"hostname": "h", "namespaces": ("uts",)}),
        ("-f", {"fakeroot": True, "id_map": "auto"}),
        ("--id-map auto", {"id_map": "auto"}),
        ("-n --network none", {"namespaces": ("net",), "network": "none"}),
    ],
)
def test_under_a_drop_in_name_only_what_is_asked_for_is_made(
    options: str, fields: dict[str, object]
) -> None:
    assert request(f"apptainer exec {options} i c") == drop_in(**fields)


@pytest.mark.parametrize(
    ("flags", "verbosity"),
    [("-d", 2), ("-v", 1), ("", 0), ("-q", -1), ("-s", -2), ("--quiet --silent", -1), ("-dq", 2)],
)
def test_the_more_talkative_of_two_global_flags_wins(flags: str, verbosity: int) -> None:
    assert request(f"apptainer {flags} exec i c").verbosity == verbosity


def test_a_shell_takes_no_parameters_and_says_so() -> None:
    asked = request("apptainer shell -s /bin/ash i -c x")
    assert (asked.action, asked.shell, asked.command) == ("shell", "/bin/ash", ())
    assert asked.notices == (("warning", "Parameters to shell command are ignored"),)


def test_nothing_behind_the_image_is_read() -> None:
    assert request("minictr exec i c -B x -- --nosuch").command == (
        "c",
        "-B",
        "x",
        "--",
        "--nosuch",
    )


def test_a_relative_source_is_seen_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = request("minictr exec -B b:/x -W w --security seccomp:p.toml i c")
    assert asked.binds == (Bind(f"{tmp_path}/b", "/x"),)
    assert asked.workdir == f"{tmp_path}/w"
    assert asked.seccomp == f"{tmp_path}/p.toml"


def test_an_env_file_is_read_as_it_is(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"A=1\nB=\xff\n")
    second.write_text("C='$A'\n")
    asked = request(f"minictr exec --env-file {first} --env-file {second} i c")
    assert asked.env_files == ((str(first), "A=1\nB=\udcff\n"), (str(second), "C='$A'\n"))
    assert request(f"minictr exec --env-file {first},{second} i c").env_files == asked.env_files


def test_a_missing_env_file_is_refused() -> None:
    cause = "--env-file /nonexistent/e cannot be read: No such file or directory"
    with pytest.raises(Refusal, match=cause):
        request("minictr exec --env-file /nonexistent/e i c")


def test_the_environment_is_kept_whole() -> None:
    asked = request("minictr exec i c", A="1", APPTAINERENV_X="2", BIND="3")
    assert asked.host_environment == (
        *NOWHERE.items(), ("A", "1"), ("APPTAINERENV_X", "2"), ("BIND", "3"),
    )  # fmt: skip


def test_variables_fill_what_flags_leave_open() -> None:
    asked = request("minictr exec -B /a i c", MINICTR_BIND="/b", APPTAINER_CONTAINALL="true")
    assert asked.binds == (Bind("/a", "/a"), Bind("/b", "/b"))
    assert (asked.contain, asked.cleanenv) == (True, True)


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ("--net", "--net alone is refused: only --network none works without privilege"),
        ("--network bridge", "--network bridge is refused: only --network none works"),
        ("-w --writable-tmpfs", "--writable and --writable-tmpfs exclude each other"),
        ("--add-caps all", "--add-caps is refused: without --fakeroot no capability is held"),
        ("-f --drop-caps all", "--drop-caps is refused with --fakeroot"),
        ("-f --no-privs", "--no-privs is refused with --fakeroot"),
        ("--security uid:0", "--security uid:0 is refused: only seccomp:PROFILE is supported"),
        ("--security seccomp", "--security seccomp is refused"),
        ("--id-map none", "--id-map takes auto, helpers, single, not none"),
        ("--diagnosis xml", "--diagnosis takes text, json, not xml"),
        ("--pwd w", "--pwd takes an absolute path inside the container: w"),
        ("--home h", "--home takes absolute paths: h"),
        ("--hostname " + 65 * "h", "the host name has more than 64 bytes"),
    ],
)
@pytest.mark.parametrize("program", ["minictr", "apptainer"])
def test_what_cannot_be_done_is_refused_under_every_name(
    program: str, options: str, cause: str
) -> None:
    with pytest.raises(Refusal) as caught:
        request(f"{program} exec {options} i c")
    assert caught.value.code == "request"
    assert caught.value.cause.startswith(cause)


def test_a_configuration_file_of_apptainer_is_not_read_as_ours() -> None:
    with pytest.raises(Refusal, match="is refused: no apptainer"):
        request("apptainer -c /etc/apptainer.conf exec i c")
