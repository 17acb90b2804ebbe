"""What the scripts of several faults have in common."""

from __future__ import annotations

from pathlib import Path

AS_USER = 'setpriv --reuid="$USER" --regid="$USER" --init-groups'
LAUNCH_AS_USER = f'{AS_USER} minictr exec "$IMAGE" true'
HELPERS = 'runuser -u "$USER" -- minictr exec --id-map helpers "$IMAGE" true'
BECOME = '--reuid="$USER" --regid="$USER" --init-groups'
MANY = 'minictr exec --id-map helpers "$IMAGE" true'
NETWORK = 'minictr exec --net --network none "$IMAGE" true'
# Both helpers as copies, whose mode and capabilities a case can change.
OWN_HELPERS = """for name in newuidmap newgidmap; do
    cp -p "/usr/bin/$name" "$DIRECTORY/$name"
    mount --bind "$DIRECTORY/$name" "/usr/bin/$name"
done"""
CAPABLE_HELPERS = f"""{OWN_HELPERS}
    chmod u-s /usr/bin/newuidmap /usr/bin/newgidmap
    setcap cap_setuid+ep /usr/bin/newuidmap; setcap cap_setgid+ep /usr/bin/newgidmap"""
# A shadow built with libcap takes the caller's id back before it opens the map.
NEWUIDMAP = Path("/usr/bin/newuidmap")
STAYS_ROOT = NEWUIDMAP.exists() and b"Could not seteuid" not in NEWUIDMAP.read_bytes()
FIX_AS_USER = 'runuser -u "$USER" -- sh -c "$USER_FIX"'
LIBRARIES = """for file in $(ldd /bin/true | grep -o '/[^ ]*'); do
    mkdir -p "$IMAGE${file%/*}" && cp "$file" "$IMAGE$file"
done"""
