"""Turns the call of a start script into one call of the command line, and ends the process."""

import _signal
import posix
import sys
from _frozen_importlib_external import SourceFileLoader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    from minictr.modules import KeptModules

# Words of a command line for which the modules of a launch are loaded at once.
LAUNCHES = frozenset(("run", "exec", "shell", "test", "run-singularity"))

SIGINT = 2

# An exception that nobody caught is our own mistake: the statuses of a launcher's failure.
BUG = 125
BUG_DROP_IN = 255


def main() -> None:
    """Run the command line of a start script; never returns."""
    end_at_interrupt()
    _, package, site, called_as, *arguments = sys.argv
    sys.path += [package, site]  # behind the standard library: nothing there may hide a module
    if sys.flags.no_site:
        sys.meta_path.append(RestOfThePath)
    end(called_as, arguments)


def end(called_as: str, arguments: list[str]) -> None:
    """Run the command line and end the process with its status; never returns.

    posix._exit saves the 1.4 ms which the interpreter takes to tidy up.
    """
    import gc  # not above: end_at_interrupt() comes before all imports

    gc.disable()  # a launch makes no cycles worth collecting
    try:
        launches = not LAUNCHES.isdisjoint((called_as, *arguments))
        environ = begin(launches)
        modules = kept_modules(environ) if launches else None
        status = run(called_as, arguments, environ)
        flush()
        if modules:
            modules.save()
    except BrokenPipeError:
        status = 128 + 13  # SIGPIPE: `minictr plan ... | head` ends as any other program does
    except KeyboardInterrupt:
        status = 128 + SIGINT
        end_at_interrupt(now=True)
    except BaseException as error:
        status = failed(called_as, arguments, error)
    posix._exit(status)


def end_at_interrupt(now: bool = False) -> None:
    """Have SIGINT end this process as any other signal does; `now` where one came.

    The interpreter notes it and raises KeyboardInterrupt at the next line, wherever that is: raised
    while importlib gives a lock up, or the interpreter looks whether the start script is an archive
    of modules, it is printed and forgotten. What was printed for the second reason is kept in sys;
    for the first, before this runs, nothing is: one in two thousand, sent at any moment, is lost.
    """
    raises = _signal.default_int_handler  # type: ignore[attr-defined]
    if now or _signal.getsignal(SIGINT) is raises:
        _signal.signal(SIGINT, _signal.SIG_DFL)
    if now or isinstance(getattr(sys, "last_value", None), KeyboardInterrupt):
        posix.kill(posix.getpid(), SIGINT)


def kept_modules(environ: dict[str, str]) -> "KeptModules":
    """Load what a launch needs. The module that does so lies beside this one: nothing to search."""
    name = "minictr.modules"
    if name not in sys.modules:
        here = main.__code__.co_filename.rpartition("/")[0]
        loader = SourceFileLoader(name, here + "/modules.py")
        code = loader.get_code(name)
        assert code, "a loader of sources has one"
        module = sys.modules[name] = type(sys)(name)
        module.__file__ = loader.path
        exec(code, module.__dict__)
    modules: KeptModules = sys.modules[name].KeptModules.of(environ)
    return modules


def failed(called_as: str, arguments: list[str], error: BaseException) -> int:
    """Report what kept us from beginning, or a mistake of our own; gives the exit status."""
    refusals = sys.modules.get("minictr.refusal")
    if refusals and isinstance(error, refusals.Refusal):
        from minictr.cli.reports import refusal_at_start

        return refusal_at_start(called_as, arguments, error)
    status = BUG if called_as == "minictr" else BUG_DROP_IN
    if hasattr(error, "errno") or isinstance(error, (MemoryError, ImportError, RuntimeError)):
        try:
            reported = stopped(called_as, arguments, error)
        except Exception:  # whatever is missing, it is missing for a report, too
            said = "no memory is left" if isinstance(error, MemoryError) else str(error)
            text = f"minictr: error: {type(error).__name__}: {said}\n"
            reported = posix.write(2, text.encode()) and status
        if reported:
            return status
    sys.excepthook(*sys.exc_info())
    return status


def stopped(called_as: str, arguments: list[str], error: BaseException) -> int:
    """Report a call that was refused, or a limit of this process: the exit status, 0 for neither.

    The report needs descriptors and memory, too. What is open above 2 has no use any more.
    """
    posix.closerange(3, 1024)
    from minictr.cli.reports import stopped_at_start

    return stopped_at_start(called_as, arguments, error)


def take_standard_descriptors() -> None:
    """Open /dev/null in place of those that the caller closed.

    A socket or file of ours would get their numbers otherwise, and a payload write to it.
    """
    descriptor = posix.open("/dev/null", posix.O_RDWR)
    while descriptor < 3:
        posix.set_inheritable(descriptor, True)
        descriptor = posix.open("/dev/null", posix.O_RDWR)
    posix.close(descriptor)


def run(called_as: str, arguments: list[str], environ: dict[str, str]) -> int:
    """Call the command line; gives the exit status, also where a command ends by sys.exit."""
    from minictr.cli.main import main as command_line

    try:
        return command_line(called_as, arguments, environ)
    except SystemExit as wish:
        if isinstance(wish.code, str):
            print(wish.code, file=sys.stderr)
            return 1
        return wish.code or 0


def flush() -> None:
    """Write out what print() still holds; a stream that the caller closed is None."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def begin(launches: bool) -> dict[str, str]:
    """Take the standard descriptors, and give the caller's environment. Raises Refusal."""
    try:
        take_standard_descriptors()
        block = read_whole("/proc/self/environ")
    except OSError as error:
        before = set(sys.modules)
        from minictr.unready import environment_block

        block = environment_block(error, launches)
        for name in sys.modules.keys() - before:  # imported where kept_modules() does not see it
            if name.startswith("minictr."):
                del sys.modules[name]
    return environment(block.decode("utf-8", "surrogateescape"))


def environment(block: str) -> dict[str, str]:
    """Give the variables of an environment; bytes that are no UTF-8 are surrogates.

    Where the caller's locale is C, Python sets LC_CTYPE in its own environment (PEP 538): a
    payload must not see that. proc(5) /proc/pid/environ is the environment as execve(2) left it.
    Where a shell starts us it adds two variables of its own: `_`, the interpreter's path, and
    SHLVL, which is 0 where the caller had none.
    """
    environ: dict[str, str] = {}
    for entry in block.split("\0"):
        name, equals, value = entry.partition("=")
        if equals and name:  # a name may be missing: no program could be given such a variable
            environ.setdefault(name, value)  # the first of two wins, as in getenv(3)
    environ.pop("_", None)
    if environ.get("SHLVL") == "0":
        del environ["SHLVL"]
    return environ


def read_whole(path: str) -> bytes:
    """Read a file of unknown size."""
    descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    parts = []
    while part := posix.read(descriptor, 1 << 16):
        parts.append(part)
    posix.close(descriptor)
    return b"".join(parts)


class RestOfThePath:
    """Finds what the two directories of the start script do not hold, by the skipped site module.

    So a dependency may lie elsewhere (a distribution's own package, for instance), and only a
    program that needs it pays for the search. The last entry of sys.meta_path.
    """

    @classmethod
    def find_spec(
        cls,
        name: str,
        path: "Sequence[str] | None" = None,
        target: "ModuleType | None" = None,
    ) -> "ModuleSpec | None":
        """Complete sys.path at the first module that is nowhere, and look again."""
        if path is not None:
            return None
        sys.meta_path.remove(cls)
        import site

        site.main()
        site.addsitedir(sys.argv[2])  # a virtual environment's, started by the base interpreter
        for finder in sys.meta_path:
            if spec := finder.find_spec(name, path, target):
                return spec
        return None
