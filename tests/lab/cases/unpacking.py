"""Faults of unpacking an image: programs that cannot run, and what stands in the way."""

from __future__ import annotations

from lab.bench import Case

PLAIN = 'minictr exec "$SIF" true'
AS_USER = f'runuser -u "$USER" -- {PLAIN}'
IN_DIRECTORY = f'MINICTR_CACHEDIR="$DIRECTORY/cache" {PLAIN}'
BUILD = 'minictr build "$DIRECTORY/out.sif" "$IMAGE"'
OWN_PATH = f'PATH="$DIRECTORY:$PATH" {PLAIN}'
# The fix names a cache of its own, which goes when the launch has ended.
ELSEWHERE = f"""eval "$USER_FIX"; {PLAIN}; status=$?
minictr cache clean --all; rm -r "$MINICTR_CACHEDIR"; exit $status"""
UNCHANGEABLE = """trap 'chattr -ia "$DIRECTORY/cache"' EXIT
mkdir "$DIRECTORY/cache" && chown "$USER:" "$DIRECTORY/cache"
"""
IN_LINK = f'MINICTR_CACHEDIR="$DIRECTORY/link/cache" {AS_USER}'
LINKED = 'cd "$DIRECTORY"; mkdir -m 777 real in; '
NOT_FOLLOWED = """mount --bind in in && mount -o remount,bind,nosymfollow in || exit 77
"""
NEEDS_MORE = """cp /usr/bin/unsquashfs "$DIRECTORY/unsquashfs"
for name in lz4 zstd lzo2 lzma; do
    sed -i "s/lib$name\\.so\\.[0-9]/lib$name.so.x/" "$DIRECTORY/unsquashfs"
done"""


CASES = [
    Case(
        "MC0133",
        proof=("ioctl({directory}/cache, FS_IOC_GETFLAGS): the flag i of chattr(1) is set",),
        fix=("chattr -i {directory}/cache",),
        repaired=f'{UNCHANGEABLE} chattr +i "$DIRECTORY/cache"; sh -c "$ADMINISTRATOR_FIX"\n'
        f'MINICTR_CACHEDIR="$DIRECTORY/cache" {AS_USER}',
        near=f'{UNCHANGEABLE} chattr +d "$DIRECTORY/cache"\n'
        f'MINICTR_CACHEDIR="$DIRECTORY/cache" {AS_USER}',
    ),
    Case(
        "MC0134",
        proof=("e_machine of {directory}/unsquashfs is ",),
        fix=("Install the package squashfs-tools again",),
        repaired=f'cp /usr/bin/unsquashfs "$DIRECTORY"; {OWN_PATH}',
        near='foreign-elf /usr/bin/unsquashfs "$DIRECTORY/unsquashfs"\n'
        f'PATH="$PATH:$DIRECTORY" {PLAIN}',
    ),
    Case(
        "MC0134",
        name="library",
        script=f"{NEEDS_MORE}\n{OWN_PATH}",
        proof=("error while loading shared libraries: ", ".so.x"),
        repaired=f'cp /usr/bin/unsquashfs "$DIRECTORY"; {OWN_PATH}',
        near=f'cp /usr/bin/unsquashfs "$DIRECTORY"; {OWN_PATH}',
    ),
    Case(
        "MC0134",
        name="interpreter",
        script="printf '#!/nosuch/sh\\n' >\"$DIRECTORY/unsquashfs\"\n"
        f'chmod +x "$DIRECTORY/unsquashfs"; {OWN_PATH}',
        proof=("begins with #!/nosuch/sh, and that does not exist",),
        repaired=f'cp /usr/bin/unsquashfs "$DIRECTORY"; {OWN_PATH}',
        near='printf \'#!/bin/sh\\nexec /usr/bin/unsquashfs "$@"\\n\' >"$DIRECTORY/unsquashfs"\n'
        f'chmod +x "$DIRECTORY/unsquashfs"; {OWN_PATH}',
    ),
    Case(
        "MC0134",
        name="mode",
        as_root=True,
        prepare='cp /usr/bin/unsquashfs "$DIRECTORY/unsquashfs"; hide unsquashfs',
        script=f'chmod 0644 "$DIRECTORY/unsquashfs"; PATH="$DIRECTORY:$PATH" {AS_USER}',
        proof=("stat({directory}/unsquashfs): uid 0, mode 0644",),
        fix=("chmod 755 {directory}/unsquashfs",),
        repaired='chmod 0644 "$DIRECTORY/unsquashfs"; sh -c "$ADMINISTRATOR_FIX"\n'
        f'PATH="$DIRECTORY:$PATH" {AS_USER}',
        near=AS_USER,
        instead="MC0118",
    ),
    Case(
        "MC0135",
        proof=("lstat({image}/bin/secret): uid {uid}, mode 0000",),
        fix=("chmod u+r {image}/bin/secret",),
        repaired='echo secret >"$IMAGE/bin/secret" && chmod 0000 "$IMAGE/bin/secret"\n'
        f'eval "$USER_FIX"; {BUILD}',
        near=f'ln -s nowhere "$IMAGE/bin/secret"; {BUILD}',
    ),
    Case(
        "MC0135",
        name="directory",
        script=f'mkdir -m 0300 "$IMAGE/secret"; {BUILD}; s=$?; rmdir "$IMAGE/secret"; exit $s',
        proof=("lstat({image}/secret): uid {uid}, mode 0300",),
        fix=("chmod u+rx {image}/secret",),
        repaired=f'mkdir -m 0300 "$IMAGE/secret"; eval "$USER_FIX"; {BUILD}',
        near=f'mkdir -m 0500 "$IMAGE/secret"; {BUILD}',
    ),
    Case(
        "MC0136",
        proof=("readlink({directory}/cache) = {directory}/gone",),
        fix=("mkdir -p {directory}/gone",),
        repaired=f'ln -s "$DIRECTORY/gone" "$DIRECTORY/cache"; eval "$USER_FIX"; {IN_DIRECTORY}',
        near='mkdir "$DIRECTORY/there"; ln -s "$DIRECTORY/there" "$DIRECTORY/cache"\n'
        f"{IN_DIRECTORY}",
    ),
    Case(
        "MC0136",
        name="descriptor",
        script='MINICTR_CACHEDIR=/dev/fd/0 minictr exec "$SIF" true',
        proof=("stat(/dev/fd/0): a ",),
        fix=("MINICTR_CACHEDIR",),
        repaired=IN_DIRECTORY,
        near=f'echo text >"$DIRECTORY/cache"; {IN_DIRECTORY} 2>"$DIRECTORY/said"\n'
        'grep -q "mv $DIRECTORY/cache" "$DIRECTORY/said"',
    ),
    Case(
        "MC0136",
        name="above",
        script='ln -s "$DIRECTORY/gone" "$DIRECTORY/home"\n'
        'MINICTR_CACHEDIR="$DIRECTORY/home/cache" minictr exec "$SIF" true',
        proof=("readlink({directory}/home) = {directory}/gone",),
        fix=("mkdir -p {directory}/gone",),
        repaired='ln -s "$DIRECTORY/gone" "$DIRECTORY/home"; eval "$USER_FIX"\n'
        'MINICTR_CACHEDIR="$DIRECTORY/home/cache" minictr exec "$SIF" true',
        near='MINICTR_CACHEDIR="$DIRECTORY/home/cache" minictr exec "$SIF" true',
    ),
    Case(
        "MC0136",
        name="file",
        script=f': >"$DIRECTORY/cache"; {IN_DIRECTORY}',
        proof=("stat({directory}/cache): a regular file, not a directory",),
        fix=("mv {directory}/cache {directory}/cache.old",),
        repaired=f': >"$DIRECTORY/cache"; eval "$USER_FIX"; {IN_DIRECTORY}',
        near=f': >"$DIRECTORY/cache"; chmod 0 "$DIRECTORY"; {IN_DIRECTORY}; s=$?\n'
        'chmod 700 "$DIRECTORY"; exit $s',
        instead="MC0124",
    ),
    Case(
        "MC0136",
        name="part",
        script=f'mkdir -m 700 "$DIRECTORY/cache"; : >"$DIRECTORY/cache/trees"; {IN_DIRECTORY}',
        proof=("stat({directory}/cache/trees): a regular file, not a directory",),
        fix=("mv {directory}/cache/trees {directory}/cache/trees.old",),
        repaired='mkdir -m 700 "$DIRECTORY/cache"; : >"$DIRECTORY/cache/trees"\n'
        f'eval "$USER_FIX"; {IN_DIRECTORY}',
        near=f'mkdir -m 700 "$DIRECTORY/cache"; : >"$DIRECTORY/cache/trees.old"; {IN_DIRECTORY}',
    ),
    Case(
        "MC0136",
        name="loop",
        script=f'ln -s cache "$DIRECTORY/cache"; {IN_DIRECTORY}',
        proof=("stat({directory}/cache): ELOOP",),
        fix=("export MINICTR_CACHEDIR=",),
        repaired=ELSEWHERE,
        near=f'ln -s cache "$DIRECTORY/other"; {IN_DIRECTORY}',
    ),
    Case(
        "MC0136",
        name="through",
        script='ln -s back/x "$DIRECTORY/cache"; ln -s cache/y "$DIRECTORY/back"\n' + IN_DIRECTORY,
        proof=("more than 40 symbolic links",),
        repaired=ELSEWHERE,
        near=f'ln -s back/x "$DIRECTORY/other"; {IN_DIRECTORY}',
    ),
    *(
        Case(
            "MC0136",
            name=f"not-followed{name}",
            as_root=True,
            script=f"{LINKED}{links}; {NOT_FOLLOWED}{cache}",
            proof=(
                "on a mount with the option nosymfollow",
                "statvfs({directory}/in) has ST_NOSYM",
            ),
            fix=("export MINICTR_CACHEDIR=",),
            repaired=f"{LINKED}{links}; {NOT_FOLLOWED}runuser -u $USER -- sh -c '{ELSEWHERE}'",
            near=f"{LINKED}{links}; {cache}",
        )
        for name, links, cache in (
            ("", "ln -s ../real in/link", IN_LINK.replace("link", "in/link")),
            ("-later", "ln -s ../real in/far; ln -s in/far link", IN_LINK),
        )
    ),
    Case(
        "MC0137",
        proof=("a component has 300 bytes", "f_namemax is "),
        fix=("export MINICTR_CACHEDIR=",),
        repaired=ELSEWHERE,
        near=f'MINICTR_CACHEDIR="$DIRECTORY/$(printf %0100d 1)" {PLAIN}',
    ),
    Case(
        "MC0137",
        name="whole",
        script=f"""name=$(printf %0200d 1); MINICTR_CACHEDIR=$DIRECTORY
            for at in $(seq 21); do MINICTR_CACHEDIR=$MINICTR_CACHEDIR/$name; done; {PLAIN}""",
        proof=("PATH_MAX is 4096", "it has 4"),
        fix=("export MINICTR_CACHEDIR=",),
        repaired=ELSEWHERE,
        near=f'name=$(printf %0200d 1); MINICTR_CACHEDIR="$DIRECTORY/$name/$name" {PLAIN}',
    ),
    Case(
        "MC0139",
        proof=("lstat({directory}/gone): ENOENT; {directory} is there",),
        fix=("mkdir -p {directory}/gone",),
        repaired='eval "$USER_FIX"; minictr build "$DIRECTORY/gone/out.sif" "$IMAGE"',
        near='mkdir -m 0555 "$DIRECTORY/gone"; minictr build "$DIRECTORY/gone/out.sif" "$IMAGE"',
        instead="MC0124",
    ),
    Case(
        "MC0427",
        name="cache",
        as_root=True,
        script=f'squashfuse -o offset=36864 "$SIF" "$DIRECTORY"\n'
        f'MINICTR_CACHEDIR="$DIRECTORY/cache" {AS_USER}',
        proof=(" {directory} ", " - fuse.squashfuse", "user_id=0"),
        repaired=AS_USER,
        near='squashfuse -o allow_other,offset=36864 "$SIF" "$DIRECTORY"\n'
        f'MINICTR_CACHEDIR="$DIRECTORY/cache" {AS_USER}',
        instead="MC0000",  # squashfuse has no mkdir(2): ENOSYS
    ),
]
