"""Compiled filters in the cache: minictr/runtime/seccomp.py."""

from __future__ import annotations

import marshal
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from skipping import require

import minictr
from minictr.refusal import Refusal
from minictr.runtime.seccomp import filter_for

ROOT = str(Path(minictr.__file__).parent.parent)
REFUSING_KILL = 'action = "errno EPERM"\nsyscalls = ["kill"]\n'


def profile(directory: Path, body: str = "") -> Path:
    """A profile whose file is old enough to be cached."""
    path = directory / "own.toml"
    path.write_text('default_action = "allow"\n' + body)
    time.sleep(0.06)
    return path


def ask(name: str | Path, cache: str | Path, keep: bool = False) -> tuple[bytes, list[str]]:
    said: list[str] = []
    return filter_for(str(name), keep, str(cache), said.append), said


def entries(cache: Path) -> list[Path]:
    return sorted((cache / "filters").iterdir())


def test_a_second_launch_finds_what_the_first_compiled(tmp_path: Path) -> None:
    own = profile(tmp_path)
    first, said = ask(own, tmp_path)
    second, silent = ask(own, tmp_path)
    assert first == second
    assert len(first) % 8 == 0
    assert "BPF instructions, compiled by libseccomp" in said[0]
    assert silent == []


@pytest.mark.parametrize("name", ["default", "compat"])
def test_a_second_launch_finds_what_was_compiled_beforehand(tmp_path: Path, name: str) -> None:
    first, said = ask(name, tmp_path)
    second, silent = ask(name, tmp_path)
    assert first == second
    assert said[0].endswith("BPF instructions, compiled beforehand")
    assert silent == []


def test_unconfined_is_no_filter_and_no_work(tmp_path: Path) -> None:
    assert ask("unconfined", tmp_path / "never") == (b"", [])
    assert not (tmp_path / "never").exists()


def test_a_payload_that_keeps_capabilities_has_a_filter_of_its_own(tmp_path: Path) -> None:
    assert ask("default", tmp_path)[0] != ask("default", tmp_path, keep=True)[0]
    assert len(entries(tmp_path)) == 2


def test_the_cache_is_for_its_owner_alone(tmp_path: Path) -> None:
    ask("compat", tmp_path / "a/b")
    modes = [path.stat().st_mode & 0o777 for path in [tmp_path / "a/b/filters", tmp_path / "a"]]
    assert modes == [0o700, 0o700]
    assert [path.stat().st_mode & 0o777 for path in entries(tmp_path / "a/b")] == [0o600]


def test_a_file_says_what_it_was_made_from_and_by(tmp_path: Path) -> None:
    own = profile(tmp_path)
    ask(own, tmp_path)
    (path,) = entries(tmp_path)
    _, name, release, _, digest, library, by_number, origin, _ = marshal.loads(path.read_bytes())
    assert (name, release) == (path.name, os.uname().release)
    assert len(digest) == 64
    assert library.startswith("compiled by libseccomp.so.")
    assert isinstance(by_number, tuple)
    assert origin == str(own)


def test_a_changed_profile_is_compiled_again(tmp_path: Path) -> None:
    before, _ = ask(profile(tmp_path), tmp_path)
    group = '[[group]]\nname = "g"\nwhy = "w."\n'
    after, said = ask(profile(tmp_path, group + REFUSING_KILL), tmp_path)
    assert before != after
    assert said


def test_a_profile_changed_this_very_moment_is_not_cached(tmp_path: Path) -> None:
    path = profile(tmp_path)
    path.touch()
    _, said = ask(path, tmp_path)
    assert "changed this very moment" in said[-1]
    assert not (tmp_path / "filters").exists()


def spoil_mode(path: Path) -> None:
    path.chmod(0o640)


def spoil_end(path: Path) -> None:
    os.truncate(path, 100)


def spoil_all(path: Path) -> None:
    path.write_bytes(b"")


def spoil_kind(path: Path) -> None:
    path.write_bytes(marshal.dumps(17))


def spoil_release(path: Path) -> None:
    record = list(marshal.loads(path.read_bytes()))
    record[2] = "2.6.32"
    path.write_bytes(marshal.dumps(tuple(record)))


def spoil_link(path: Path) -> None:
    path.rename(path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))


def spoil_directory(path: Path) -> None:
    path.unlink()
    path.mkdir(0o700)


@pytest.mark.parametrize(
    "spoil",
    [spoil_mode, spoil_end, spoil_all, spoil_kind, spoil_release, spoil_link, spoil_directory],
)
def test_a_file_that_is_not_as_it_was_left_is_a_miss(tmp_path: Path, spoil) -> None:
    good, _ = ask("compat", tmp_path)
    spoil(entries(tmp_path)[0])
    again, said = ask("compat", tmp_path)
    assert again == good
    assert "compiled" in said[0]


def test_one_profiles_filter_under_anothers_name_is_a_miss(tmp_path: Path) -> None:
    strict, _ = ask("default", tmp_path)
    (strict_file,) = entries(tmp_path)
    ask("compat", tmp_path)
    (lax_file,) = set(entries(tmp_path)) - {strict_file}
    lax_file.rename(strict_file)
    assert ask("default", tmp_path)[0] == strict


def test_a_file_of_another_user_is_a_miss(tmp_path: Path) -> None:
    require(os.geteuid() == 0, "ROOT", "only root gives files away")
    ask("compat", tmp_path)
    os.chown(entries(tmp_path)[0], 12345, 12345)
    assert "compiled" in ask("compat", tmp_path)[1][0]


def test_a_cache_that_cannot_be_written_is_said_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found, said = ask("compat", tmp_path / "file")
    assert found == ask("compat", tmp_path)[0]
    assert f"not cached: {tmp_path}/file/filters: Not a directory" in said[-1]


def test_no_cache_is_no_error() -> None:
    found, said = ask("compat", "")
    assert found
    assert len(said) == 1


def test_writers_at_the_same_time_leave_one_whole_file(tmp_path: Path) -> None:
    code = (
        "import sys; from minictr.runtime.seccomp import filter_for\n"
        "filter_for('default', False, sys.argv[1])"
    )
    environment = os.environ | {"PYTHONPATH": ROOT}
    command = [sys.executable, "-c", code, str(tmp_path)]
    writers = [subprocess.Popen(command, env=environment) for _ in range(6)]
    assert [writer.wait() for writer in writers] == [0] * 6
    assert len(entries(tmp_path)) == 1
    assert ask("default", tmp_path)[1] == []


def test_a_launch_with_a_cached_filter_imports_nothing_for_it(tmp_path: Path) -> None:
    ask("default", tmp_path)
    code = (
        "import sys; sys.path.append(sys.argv[1])\n"
        "from minictr.runtime.seccomp import filter_for\n"
        "assert filter_for('default', False, sys.argv[2])\n"
        "print(*sorted(m for m in sys.modules if 'minictr' in m or m in {'os', 're', 'json'}))"
    )
    shown = subprocess.check_output([sys.executable, "-ISc", code, ROOT, tmp_path], text=True)
    of_every_launch = {"minictr", "minictr.host", "minictr.runtime", "minictr.value"}
    assert set(shown.split()) == of_every_launch | {"minictr.runtime.seccomp"}


def test_without_libseccomp_the_refusal_says_so(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['pyseccomp'] = None\n"
        "from minictr.runtime.seccomp import filter_for\n"
        "from minictr.refusal import Refusal\n"
        "try: filter_for(sys.argv[1], False, '')\n"
        "except Refusal as refusal: print(refusal.code, refusal.proof)"
    )
    environment = os.environ | {"PYTHONPATH": ROOT}
    asked = [sys.executable, "-c", code, str(profile(tmp_path))]
    shown = subprocess.check_output(asked, env=environment, text=True)
    assert shown.startswith("MC0505 import pyseccomp: ")


def test_a_missing_profile_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as caught:
        ask("defalt", tmp_path)
    assert (caught.value.code, "profile defalt cannot" in caught.value.cause) == ("MC0501", True)
