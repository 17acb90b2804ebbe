"""Reports as JSON objects: what they have, and where they take the place of text."""

from __future__ import annotations

import json

import pytest
from lab.bench import Lab


def test_json_is_one_object_and_text_says_the_same(lab: Lab) -> None:
    as_json = lab.run('minictr exec "$IMAGE" nosuch')
    assert json.loads(as_json.stderr) == as_json.report
    as_text = lab.run('minictr exec "$IMAGE" nosuch', MINICTR_DIAGNOSIS="text")
    assert as_text.status == as_json.status == 127
    for line in (f"{as_json.report['cause']} [MC0602]", *as_json.fixes("user")):
        assert line in as_text.stderr
    assert as_text.stderr.endswith("minictr explain MC0602\n")


CONFIGURED = "XDG_CONFIG_HOME=$DIRECTORY minictr exec --diagnosis json"


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (f"mkdir -p $DIRECTORY/minictr/config.toml; {CONFIGURED} /nosuch true", "MC0453"),
        ('minictr exec --diagnosis json --network no "$IMAGE" true', "MC0453"),
        ('minictr exec --diagnosis json --bind a:b "$IMAGE" true', "MC0445"),
        ('minictr exec --diagnosis json --nosuch "$IMAGE" true', "MC0453"),
        ('minictr exec --nosuch --diagnosis=json "$IMAGE" true', "MC0453"),
        ("minictr why --nosuch --diagnosis json", "MC0453"),
        *(
            (f"MINICTR_DIAGNOSIS=json minictr {words}", "MC0453")
            for words in ("", "nosuch", "--nosuch", 'exec "$IMAGE"', "run -Z", "build one",
                          "cache nosuch", "doctor a b", "drop-in")
        ),
    ],
)  # fmt: skip
def test_what_is_refused_before_the_image_is_seen_is_an_object_as_well(
    lab: Lab, script: str, code: str
) -> None:
    outcome = lab.run(script, MINICTR_DIAGNOSIS="text")
    assert (outcome.code, outcome.status) == (code, 125), outcome.stderr
    assert json.loads(outcome.stderr) == outcome.report


def test_an_object_has_the_status_of_the_name_that_minictr_is_called_by(lab: Lab) -> None:
    script = 'minictr drop-in "$DIRECTORY" && "$DIRECTORY/apptainer" exec --nosuch "$IMAGE" true'
    outcome = lab.run(script)
    assert (outcome.code, outcome.status, outcome.report["status"]) == ("MC0453", 1, 1)
    assert outcome.report["happened"] == "unknown flag: --nosuch"


def test_text_is_what_is_written_where_it_is_asked_for(lab: Lab) -> None:
    outcome = lab.run('minictr exec --diagnosis text --nosuch "$IMAGE" true')
    assert outcome.stderr == "minictr: error: exec: unknown flag: --nosuch\n"
    assert lab.run("minictr nosuch", MINICTR_DIAGNOSIS="").report == {}


def test_doctor_gives_an_object_where_reports_are_to_be_objects(lab: Lab) -> None:
    asked, given = (lab.run(f"minictr doctor {option}") for option in ("", "--json"))
    assert json.loads(asked.stdout).keys() == json.loads(given.stdout).keys()
    assert lab.run("minictr doctor", MINICTR_DIAGNOSIS="text").stdout[:1] != "{"
