"""Faults of the image's tree, of the working directory in it, and of the files put into it."""

from __future__ import annotations

from lab.bench import Case

_TWICE = """mount -t tmpfs none "$DIRECTORY" && cd "$DIRECTORY" && cp -a "$IMAGE" image
    mkdir a b first second
    mount -t overlay none -o lowerdir=a:image,userxattr first"""

CASES = [
    Case(
        "MC0437",
        proof=("/bin/busybox is a file in the container",),
        fix=("minictr exec --pwd /bin {image} true",),
        repaired='eval "$USER_FIX"',
        near='minictr exec --pwd /bin/busybox/deeper "$IMAGE" true',
        instead="MC0405",
    ),
    Case(
        "MC0438",
        proof=(
            "{directory}/closed in the container denies search",
            "owner root (0), group root (0), mode 0700; the caller is {user} ({uid})",
        ),
        fix=("minictr exec {image} true", "setfacl -m u:{user}:x {directory}/closed"),
        repaired="""mkdir -m 0700 "$DIRECTORY/closed"; sh -c "$ADMINISTRATOR_FIX" && \\
            runuser -u "$USER" -- minictr exec --pwd "$DIRECTORY/closed" "$IMAGE" true""",
        near="""mkdir -m 0700 "$DIRECTORY/closed"; chown "$USER:" "$DIRECTORY/closed"
            runuser -u "$USER" -- minictr exec --pwd "$DIRECTORY/closed/no" "$IMAGE" true""",
        instead="MC0405",
    ),
    Case(
        "MC0438",
        name="above",
        script="""mkdir -m 0700 "$DIRECTORY/closed"; mkdir "$DIRECTORY/closed/in"
            runuser -u "$USER" -- minictr exec --pwd "$DIRECTORY/closed/in" "$IMAGE" true""",
        proof=("{directory}/closed in the container denies search",),
        repaired='runuser -u "$USER" -- sh -c "$USER_FIX"',
        near="""mkdir -m 0711 "$DIRECTORY/closed"; mkdir "$DIRECTORY/closed/in"
            runuser -u "$USER" -- minictr exec --pwd "$DIRECTORY/closed/in" "$IMAGE" true""",
        as_root=True,
    ),
    Case(
        "MC0446",
        proof=("{directory}/second lies on overlays two deep", "one on the tree gives EINVAL"),
        fix=("cp -a {directory}/second ",),
        repaired=f"""unshare -Urm sh -ec '{_TWICE}
            mount -t overlay none -o lowerdir=b:first,userxattr second
            eval "$USER_FIX"; rm -r "$(echo "$USER_FIX" | sed -n "1s/.* //p")"'""",
        near=f"""unshare -Urm sh -ec '{_TWICE}
            minictr exec "$DIRECTORY/first" true'""",
    ),
    Case(
        "MC0448",
        proof=("the cache directory {directory}/cache is a file",),
        fix=("unset MINICTR_CACHEDIR",),
        repaired='eval "$USER_FIX"; export HOME="$DIRECTORY"; minictr exec "$IMAGE" true',
        near='MINICTR_CACHEDIR="$DIRECTORY/cache" minictr exec "$IMAGE" true',
    ),
    Case(
        "MC0449",
        proof=(
            "{image} lets nobody but {user} ({uid}) through",
            "mode 0700; the caller is root (0)",
        ),
        fix=("runuser -u {user} -- minictr exec {image} true",),
        repaired='chown "$USER" "$IMAGE"; chmod 0700 "$IMAGE"; eval "$USER_FIX"',
        near='chown root:root "$IMAGE"; chmod 0700 "$IMAGE"; minictr exec "$IMAGE" true',
    ),
    Case(
        "MC0449",
        name="above",
        script="""chown "$USER:" "$DIRECTORY"; chmod 0700 "$DIRECTORY"
            cp -a "$IMAGE" "$DIRECTORY/image"; minictr exec "$DIRECTORY/image" true""",
        proof=("{directory} lets nobody but {user} ({uid}) through",),
        repaired="""chown "$USER:" "$DIRECTORY"; chmod 0700 "$DIRECTORY"
            cp -a "$IMAGE" "$DIRECTORY/image"; eval "$USER_FIX\"""",
        near="""chown "$USER:" "$DIRECTORY"; chmod 0711 "$DIRECTORY"
            cp -a "$IMAGE" "$DIRECTORY/image"; minictr exec "$DIRECTORY/image" true""",
        as_root=True,
    ),
]
