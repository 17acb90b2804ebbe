"""The Requests of clients' own command lines."""

from __future__ import annotations

import pytest
from command_lines import NOWHERE, drop_in, request

from minictr.request import Bind

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
