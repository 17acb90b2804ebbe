"""Brings a network interface up by netlink, rtnetlink(7): another door than that of ioctl(2)."""

from __future__ import annotations

import sys

PATIENCE = 2000  # milliseconds; pyroute2 takes 100, and more where it has to be compiled first
_IFF_UP = 0x1


def raise_by_netlink(index: int) -> int | str:
    """Raise the interface; 0, the errno, or words. To be asked in a child: it imports a lot."""
    try:
        _enter_package()
        from pyroute2.iproute.linux import IPRoute
        from pyroute2.netlink.exceptions import NetlinkError
    except ImportError as error:
        return f"pyroute2 cannot be imported: {error}"
    try:
        with IPRoute() as routes:
            routes.link("set", index=index, state="up")
            flags = routes.link("get", index=index)[0]["flags"]
    except NetlinkError as refused:
        return int(refused.code)
    except OSError as refused:
        return refused.errno or str(refused)
    return 0 if flags & _IFF_UP else f"interface {index} stayed down"


def _enter_package() -> None:
    """Enter pyroute2 without running its __init__, which imports all protocols: 90 ms more."""
    import importlib.util

    found = importlib.util.find_spec("pyroute2")
    if found:
        sys.modules["pyroute2"] = importlib.util.module_from_spec(found)
