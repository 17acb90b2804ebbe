"""From an argv and an environment to the Request, for clients' own command lines, too."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minictr.cli.grammar import read_flags
from minictr.cli.main import ACTIONS, request_of
from minictr.cli.names import named
from minictr.cli.options import ACCEPTED, ACTION, GLOBAL, REFUSED, SHELL, flags_of, index
from minictr.refusal import Refusal
from minictr.request import Bind, Request

NOWHERE = {"XDG_CONFIG_HOME": "/nonexistent"}  # no configuration of the caller's


def parsed(
    argv: list[str], variables: dict[str, str] | None = None, called_as: str = ""
) -> Request:
    """The Request of an argv, by the same functions that main() calls."""
    name = named(called_as or argv[0])
    environ = {**NOWHERE, **(variables or {})}
    values, rest = read_flags(argv[1:], index(GLOBAL), {})
    command, *rest = rest
    values, rest = read_flags(rest, flags_of(command, not name.drop_in), values)
    return request_of(name, command, rest, values, environ)


def request(line: str, **variables: str) -> Request:
    return parsed(shlex.split(line), variables)


def own(**fields: object) -> Request:
    """What `minictr exec i c` asks for, but for some fields."""
    plain = Request(
        action="exec",
        image="i",
        command=("c",),
        program="minictr",
        namespaces=("pid", "ipc", "uts"),
        host_environment=tuple(NOWHERE.items()),
    )
    return plain.replace(**fields)


def drop_in(**fields: object) -> Request:
    """What `apptainer exec i c` asks for, but for some fields."""
    plain = own(
        program="apptainer",
        namespaces=(),
        close_descriptors=False,
        seccomp="compat",
        id_map="single",
        init_name="appinit",
    )
    return plain.replace(**fields)


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
        ("-u --no-init --underlay --unsquash --disable-cache --tmpdir /t", {}),
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


# Command lines of clients, argument by argument as they pass them.
CLIENTS = [
    (
        "snakemake 7",
        "singularity --quiet --silent exec --home '/w d' --bind /pkg:/mnt/snakemake --pwd /shadow"
        " i bash -c 'set -euo pipefail; true'",
        {},
        {
            "program": "singularity",
            "command": ("bash", "-c", "set -euo pipefail; true"),
            "home": ("/w d", "/w d"),
            "binds": (Bind("/pkg", "/mnt/snakemake"),),
            "pwd": "/shadow",
            "verbosity": -1,
        },
    ),
    (
        "snakemake 9",
        "apptainer exec --home '/w' --bind /src:/mnt/snakemake_searchpaths/item_0 i bash -c x",
        {"SINGULARITYENV_TOKEN": "t"},
        {
            "command": ("bash", "-c", "x"),
            "home": ("/w", "/w"),
            "binds": (Bind("/src", "/mnt/snakemake_searchpaths/item_0"),),
        },
    ),
    (
        "snakemake-software-deployment-plugin-container",
        "apptainer exec --cwd '/w'  --bind '/tmp':'/tmp' --bind '/w':'/w' i bash -c x",
        {},
        {
            "command": ("bash", "-c", "x"),
            "pwd": "/w",
            "binds": (Bind("/tmp", "/tmp"), Bind("/w", "/w")),
        },
    ),
    (
        "cwltool",
        "singularity --quiet run --contain --ipc --cleanenv --no-eval --userns"
        " --home /out:/abc --mount=type=bind,source=/out/t,target=/tmp"
        " --mount=type=bind,source=/in/f,target=/var/f,readonly --pwd /abc --net --network none"
        " i cat /var/f",
        {"SINGULARITYENV_TMPDIR": "/tmp"},
        {
            "action": "run",
            "program": "singularity",
            "command": ("cat", "/var/f"),
            "contain": True,
            "cleanenv": True,
            "evaluate": False,
            "namespaces": ("ipc", "net"),
            "network": "none",
            "home": ("/out", "/abc"),
            "binds": (Bind("/out/t", "/tmp"), Bind("/in/f", "/var/f", True)),
            "pwd": "/abc",
            "verbosity": -1,
        },
    ),
    (
        "cwltool's probe",
        "singularity exec --userns hello.simg true",
        {},
        {"program": "singularity", "image": "hello.simg", "command": ("true",)},
    ),
    (
        "miniwdl",
        "singularity --verbose exec --pwd /mnt/miniwdl_task_container/work --add-caps all"
        " --containall --no-mount hostfs --fakeroot --bind /h:/mnt/c:ro --bind /t/tmp:/tmp"
        " --bind /t/var_tmp:/var/tmp i /bin/bash -c x",
        {},
        {
            "program": "singularity",
            "command": ("/bin/bash", "-c", "x"),
            "pwd": "/mnt/miniwdl_task_container/work",
            "contain": True,
            "cleanenv": True,
            "namespaces": ("pid", "ipc"),
            "no_mount": ("hostfs",),
            "fakeroot": True,
            "id_map": "auto",
            "binds": (
                Bind("/h", "/mnt/c", True),
                Bind("/t/tmp", "/tmp"),
                Bind("/t/var_tmp", "/var/tmp"),
            ),
            "verbosity": 1,
        },
    ),
    (
        "nextflow",
        "singularity exec --no-home --pid --no-oci -B /data -B /work/ab i /bin/bash -c"
        " 'cd \"/work/ab\"; /bin/bash -ue /work/ab/.command.sh'",
        {"PATH": "/bin", "SINGULARITYENV_NXF_TASK_WORKDIR": "/work/ab"},
        {
            "program": "singularity",
            "command": ("/bin/bash", "-c", 'cd "/work/ab"; /bin/bash -ue /work/ab/.command.sh'),
            "no_home": True,
            "namespaces": ("pid",),
            "binds": (Bind("/data", "/data"), Bind("/work/ab", "/work/ab")),
        },
    ),
    (
        "nf-core",
        "apptainer exec --no-home --pid -B /w --containall --cleanenv --writable-tmpfs"
        " --scratch /dev/shm i c",
        {"APPTAINER_CACHEDIR": "/c", "APPTAINER_TMPDIR": "/t", "APPTAINER_BINDPATH": "/x,/y:/z"},
        {
            "no_home": True,
            "contain": True,
            "cleanenv": True,
            "writable_tmpfs": True,
            "scratch": ("/dev/shm",),
            "namespaces": ("pid", "ipc"),
            "binds": (Bind("/w", "/w"), Bind("/x", "/x"), Bind("/y", "/z")),
        },
    ),
    (
        "Galaxy",
        "singularity -s exec --contain --pwd /g/w --cleanenv --ipc --pid --no-mount tmp"
        " -B /g:/g:ro -B /g/w:/g/w:rw --home /g/h:/g/h i c",
        {"SINGULARITYENV_HOME": "/x"},
        {
            "program": "singularity",
            "contain": True,
            "cleanenv": True,
            "pwd": "/g/w",
            "namespaces": ("pid", "ipc"),
            "no_mount": ("tmp",),
            "binds": (Bind("/g", "/g", True), Bind("/g/w", "/g/w")),
            "home": ("/g/h", "/g/h"),
            "verbosity": -2,
        },
    ),
    (
        "HTCondor's probe",
        "apptainer exec -C exit_37.sif /exit_37",
        {},
        {
            "image": "exit_37.sif",
            "command": ("/exit_37",),
            "contain": True,
            "cleanenv": True,
            "namespaces": ("pid", "ipc"),
        },
    ),
    (
        "HTCondor",
        "apptainer -s exec -S /tmp -S /var/tmp -B /e -B /l.sh:/condor_container_launcher.sh"
        " -W /e --pwd /srv -B /e:/srv --home /e --contain --ipc --cleanenv i c a",
        {"APPTAINERENV_PS1": "x", "APPTAINER_CACHEDIR": "/e"},
        {
            "command": ("c", "a"),
            "scratch": ("/tmp", "/var/tmp"),
            "binds": (
                Bind("/e", "/e"),
                Bind("/l.sh", "/condor_container_launcher.sh"),
                Bind("/e", "/srv"),
            ),
            "workdir": "/e",
            "pwd": "/srv",
            "home": ("/e", "/e"),
            "contain": True,
            "cleanenv": True,
            "namespaces": ("ipc",),
            "verbosity": -2,
        },
    ),
    (
        "HTCondor's test",
        "apptainer -s -q test -C i",
        {},
        {
            "action": "test",
            "command": (),
            "contain": True,
            "cleanenv": True,
            "namespaces": ("pid", "ipc"),
            "verbosity": -1,
        },
    ),
    (
        "spython",
        "singularity --debug --quiet exec --bind /a:/b --writable i ls -l",
        {"SINGULARITY_PULLFOLDER": "/p"},
        {
            "program": "singularity",
            "command": ("ls", "-l"),
            "binds": (Bind("/a", "/b"),),
            "writable": True,
            "verbosity": 2,
        },
    ),
    (
        "Slurm",
        "apptainer exec -B /scratch --pwd /scratch i prog",
        {"PMI_FD": "5", "SLURM_PROCID": "0"},
        {"command": ("prog",), "binds": (Bind("/scratch", "/scratch"),), "pwd": "/scratch"},
    ),
]


@pytest.mark.parametrize(
    ("line", "variables", "fields"), [each[1:] for each in CLIENTS], ids=[x[0] for x in CLIENTS]
)
def test_a_clients_command_line_gives_the_request_it_means(
    line: str, variables: dict[str, str], fields: dict[str, object]
) -> None:
    environ = tuple({**NOWHERE, **variables}.items())
    assert request(line, **variables) == drop_in(host_environment=environ, **fields)


# What the kernel can pass as an argument, decoded as Python decodes it.
texts = st.binary(max_size=12).map(
    lambda raw: raw.replace(b"\0", b"").decode("utf-8", "surrogateescape")
)
rows = st.sampled_from((*ACTION, *SHELL, *ACCEPTED, *REFUSED, *GLOBAL))
pieces = st.sampled_from(
    [
        "/a",
        "/b:/c",
        "ro",
        ":",
        ",",
        "=",
        '"',
        "\\",
        "none",
        "1",
        "true",
        "seccomp:",
        "A=1",
        "src=/a",
    ]
)
values = st.one_of(texts, st.lists(pieces, max_size=5).map("".join))
flags = st.one_of(
    texts,
    st.builds(lambda row, value: f"--{row[0]}={value}", rows, values),
    st.builds(lambda row: f"--{row[0]}", rows),
    st.builds(lambda row, value: f"-{row[1]}{value}", rows, values),
)
variable_names = st.one_of(
    texts,
    st.builds(
        lambda prefix, row: prefix + (row[3].split() or ["X"])[-1],
        st.sampled_from(["MINICTR_", "APPTAINER_", "SINGULARITY_", "SINGULARITYENV_"]),
        rows,
    ),
)


@settings(deadline=None, max_examples=300, database=None)  # a checkout may be read-only
@given(
    called_as=st.sampled_from(["minictr", "apptainer"]),
    command=st.sampled_from(sorted(ACTIONS)),
    arguments=st.lists(st.one_of(flags, values), max_size=8),
    environ=st.dictionaries(variable_names, values, max_size=4),
)
def test_any_command_line_gives_a_request_or_a_refusal(
    called_as: str, command: str, arguments: list[str], environ: dict[str, str]
) -> None:
    name = named(called_as)
    given = {**NOWHERE, **environ}
    try:
        read, rest = read_flags(arguments, flags_of(command, not name.drop_in), {})
        made = request_of(name, command, [*rest, "image"], read, given)
    except Refusal as refusal:
        refused = refusal
    else:
        assert all(bind.source[0] == bind.target[0] == "/" for bind in made.binds)
        assert made.host_environment == tuple(given.items())
        return
    assert refused.code in ("usage", "request")
    assert refused.cause
