"""The payload's environment beside the one apptainer gives the same image, option for option."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from image_files import shared
from ordinary_user import RunAsUser
from skipping import require, require_program

IMAGES = ["bash.sif", "docker.sif", "full-gzip.sif", "oci.sif", "bb-gzip.sif"]
CALLER = {
    "FOO": "1", "EMPTY": "", "NEWLINE": "a\nb", "a-b": "1", "LANG": "C.UTF-8", "TERM": "vt100",
    "LD_LIBRARY_PATH": "/host", "APP_MODE": "caller's", "IMG_VAR": "caller's", "SHLVL": "3",
    "HOME": "/elsewhere", "PROMPT_COMMAND": "date", "http_proxy": "proxy", "SINGULARITY_X": "1",
}  # fmt: skip
PREFIXED = {
    "APPTAINERENV_A": "1", "SINGULARITYENV_A": "2", "SINGULARITYENV_B": "$HOME $FOO $UID",
    "SINGULARITYENV_HOME": "/x", "APPTAINERENV_LD_LIBRARY_PATH": "/l", "APPTAINERENV_EMPTY": "",
    "APPTAINERENV_C": "$(echo c; echo d) `echo e` \\$HOME ${PATH%%:*}", "APPTAINERENV_IMG_VAR": "u",
    "SINGULARITYENV_PREPEND_PATH": "/pre:$HOME", "SINGULARITYENV_APPEND_PATH": "/app",
}  # fmt: skip
CASES: dict[str, tuple[list[str], dict[str, str]]] = {
    "the caller's variables": ([], CALLER),
    "a clean environment": (["--cleanenv"], CALLER | PREFIXED),
    "prefixed variables": ([], CALLER | PREFIXED),
    "no evaluation": (["--no-eval"], CALLER | PREFIXED),
    "options": (["--env", "A=1,B=$HOME", "--env", "PATH=/x:/bin:$PATH"], CALLER | PREFIXED),
    "binds": (["-B", "/etc/hosts:/mnt/hosts", "-B", "/etc/fstab"], {}),
}

Environment = Callable[[str, str, list[str], dict[str, str]], dict[str, str]]


@pytest.fixture
def environment(run_as_user: RunAsUser, directory: Path, cache: Path) -> Environment:
    """environment(program, image, options, caller): what `env` prints inside."""

    def ask(program: str, image: str, options: list[str], caller: dict[str, str]) -> dict[str, str]:
        command = [program, "exec", *options, image, "env", "-0"]
        caller = caller | {"MINICTR_CACHEDIR": str(cache), "APPTAINER_CACHEDIR": str(cache)}
        done = run_as_user(command, env=caller, cwd=str(directory))
        assert done.returncode == 0, done.stderr
        result = dict(item.split("=", 1) for item in done.stdout.split("\0") if item)
        # Each program has its own; apptainer forwards what is ours.
        return {name: value for name, value in result.items() if name != "MINICTR_CACHEDIR"}

    return ask


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("image", IMAGES)
def test_it_is_the_same_as_apptainers(
    image: str, case: str, environment: Environment, directory: Path
) -> None:
    apptainer = require_program("apptainer", "PEERS", "apptainer")
    corpus = shared()
    require(corpus, "PEERS", "the image corpus is not here")
    assert corpus
    copy = directory / image
    copy.write_bytes((corpus / "sifs" / image).read_bytes())
    os.chmod(copy, 0o644)
    options, caller = CASES[case]
    ours = environment("minictr", str(copy), options, caller)
    assert ours == environment(apptainer, str(copy), options, caller)
