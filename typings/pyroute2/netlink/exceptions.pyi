class NetlinkError(Exception):
    code: int  # an errno
