# The C half of the signal module; signal itself imports enum.
from collections.abc import Callable, Iterable

SIG_DFL: int
SIG_IGN: int
SIG_BLOCK: int
SIG_UNBLOCK: int
SIG_SETMASK: int

class struct_siginfo:
    si_signo: int
    si_code: int
    si_pid: int

def signal(signalnum: int, handler: int | Callable[[int, object], None]) -> object: ...
def getsignal(signalnum: int) -> object: ...
def pthread_sigmask(how: int, mask: Iterable[int]) -> set[int]: ...
def sigwaitinfo(sigset: Iterable[int]) -> struct_siginfo: ...
