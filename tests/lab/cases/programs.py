"""Faults of programs: what the kernel reads before it runs them."""

from __future__ import annotations

from lab.bench import Case
from lab.cases.common import LIBRARIES

CASES = [
    Case(
        "MC0607",
        status=127,
        proof=("/bin/greet ends in a carriage return", "'#!/bin/sh\\r'"),
        fix=("sed -i", "{image}/bin/greet"),
        repaired="""printf '#!/bin/sh\\r\\necho ran\\r\\n' >"$IMAGE/bin/greet"
            chmod +x "$IMAGE/bin/greet"; eval "$USER_FIX" && minictr exec "$IMAGE" greet""",
        near="""printf '#!/bin/sh\\necho ran\\r\\n' >"$IMAGE/bin/greet"
            chmod +x "$IMAGE/bin/greet"; minictr exec "$IMAGE" greet""",
    ),
    Case(
        "MC0608",
        status=127,
        proof=("/usr/bin/nosuch, the interpreter of the script /bin/greet, is missing",),
        fix=("Use an image that has /usr/bin/nosuch",),
        repaired="""printf '#!/usr/bin/nosuch\\n' >"$IMAGE/bin/greet"; chmod +x "$IMAGE/bin/greet"
            mkdir -p "$IMAGE/usr/bin"; printf '#!/bin/sh\\n' >"$IMAGE/usr/bin/nosuch"
            chmod +x "$IMAGE/usr/bin/nosuch"; minictr exec "$IMAGE" greet""",
        near="""cp /bin/true "$IMAGE/dynamic"; printf '#!/dynamic\\n' >"$IMAGE/bin/greet"
            chmod +x "$IMAGE/bin/greet"; minictr exec "$IMAGE" greet""",
        instead="MC0609",
    ),
    Case(
        "MC0608",
        status=127,
        name="elsewhere",
        script="""printf '#!/usr/local/bin/sh\\nexit 0\\n' >"$IMAGE/bin/greet"
            chmod +x "$IMAGE/bin/greet"; minictr exec "$IMAGE" greet one""",
        proof=("/usr/local/bin/sh, the interpreter", "/ has no entry usr"),
        fix=("minictr exec {image} /bin/sh /bin/greet one",),
        repaired="""printf '#!/usr/local/bin/sh\\nexit 0\\n' >"$IMAGE/bin/greet"
            chmod +x "$IMAGE/bin/greet"; eval "$USER_FIX" """,
        near="""printf '#!/bin/sh\\nexit 0\\n' >"$IMAGE/bin/greet"
            chmod +x "$IMAGE/bin/greet"; minictr exec "$IMAGE" greet one""",
    ),
    Case(
        "MC0609",
        status=127,
        proof=("the ELF interpreter of /bin/dynamic, is missing", "PT_INTERP"),
        fix=("statically linked",),
        repaired=f"""cp /bin/true "$IMAGE/bin/dynamic"; {LIBRARIES}
            minictr exec "$IMAGE" dynamic""",
        near='foreign-elf /bin/true "$IMAGE/bin/dynamic"; minictr exec "$IMAGE" dynamic',
        instead="MC0611",
    ),
    Case(
        "MC0610",
        status=126,
        proof=("/bin/short is truncated", "and the file has 100"),
        fix=("Copy /bin/short again",),
        repaired=f"""cp /bin/true "$IMAGE/bin/short"; {LIBRARIES}
            minictr exec "$IMAGE" short""",
        near='foreign-elf /bin/true "$IMAGE/bin/short"; minictr exec "$IMAGE" short',
        instead="MC0611",
    ),
    Case(  # p_offset of PT_INTERP, which is the second row of the table, behind the file's end
        "MC0610",
        name="interpreter",
        status=126,
        script="""cp /bin/true "$IMAGE/bin/short"; poke "$IMAGE/bin/short" 128 '\\377\\377\\017'
            minictr exec "$IMAGE" short""",
        proof=("/bin/short is truncated", "its ELF headers ask for 10486"),
        fix=("Copy /bin/short again",),
        repaired=f"""cp /bin/true "$IMAGE/bin/short"; {LIBRARIES}
            minictr exec "$IMAGE" short""",
        # The same errno, and the program is whole.
        near=f"""cp /bin/true "$IMAGE/bin/short"; {LIBRARIES}
            loader=$(ldd /bin/true | grep -o '/[^ ]*/ld-[^ ]*'); echo >"$IMAGE$loader"
            minictr exec "$IMAGE" short""",
        instead="MC0629",
    ),
    Case(
        "MC0611",
        status=126,
        proof=("/bin/foreign was built for ", "e_machine of /bin/foreign is ", "uname(2): "),
        fix=("Use a build of /bin/foreign for ",),
        repaired=f"""cp /bin/true "$IMAGE/bin/foreign"; {LIBRARIES}
            minictr exec "$IMAGE" foreign""",
        near="""printf 'exit 0\\n' >"$IMAGE/bin/foreign"; chmod +x "$IMAGE/bin/foreign"
            minictr exec "$IMAGE" foreign""",
    ),
    Case(
        "MC0611",
        status=126,
        name="interpreter",
        script="""foreign-elf /bin/true "$IMAGE/foreign"
            printf '#!/foreign\\n' >"$IMAGE/bin/greet"; chmod +x "$IMAGE/bin/greet"
            minictr exec "$IMAGE" greet""",
        proof=("/foreign was built for ", "/bin/greet begins with #!/foreign"),
        repaired=f"""cp /bin/true "$IMAGE/foreign"; {LIBRARIES}
            printf '#!/foreign\\n' >"$IMAGE/bin/greet"; chmod +x "$IMAGE/bin/greet"
            minictr exec "$IMAGE" greet""",
        near="""head -c 100 /bin/true >"$IMAGE/bin/short"; chmod +x "$IMAGE/bin/short"
            minictr exec "$IMAGE" short""",
        instead="MC0610",
    ),
]
