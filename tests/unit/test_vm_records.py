"""What the virtual machines saw is kept, of these very scripts: no fault is without its record."""

from __future__ import annotations

import pytest
from vm import records
from vm.fault import ASKED, Fault
from vm.faults import FAULTS, from_the_lab

from minictr.diagnosis.catalogue import all_causes

RECORDS = {(record["code"], record["name"], record["kernel"]): record for record in records.read()}
fault = pytest.mark.parametrize("fault", FAULTS, ids=str)


FILTERED = {"MC0204", "MC0406", "MC0407"}


def why(record: records.Record) -> str:
    """Why no function refused; "" where one did, or nobody asked."""
    return str(record.get("why", ""))


def of(fault: Fault, kernels: tuple[str, ...]) -> list[records.Record]:
    """The records of a fault on some kernels; a KeyError where there is none."""
    return [RECORDS[fault.code, fault.name, kernel] for kernel in kernels]


@fault
def test_a_fault_was_seen_on_each_of_its_kernels_with_the_scripts_of_today(fault: Fault) -> None:
    for record in of(fault, fault.kernels):
        assert record["seen"] == fault.code
        assert record["near"] is True
        assert record["cited"] is not False
    for record in of(fault, fault.harmless):
        assert record["seen"] == ""
    marks = {record["mark"] for record in of(fault, (*fault.kernels, *fault.harmless))}
    if not fault.of_the_lab:  # where the scripts of today are tried
        assert marks == {records.mark(fault)}, "run `just lab-vm`: the scripts have changed"


@pytest.mark.parametrize("code", sorted({fault.code for fault in FAULTS}))
def test_the_fix_of_every_code_was_seen_to_work(code: str) -> None:
    assert any(record["fixed"] for record in RECORDS.values() if record["code"] == code)


@pytest.mark.parametrize("fault", from_the_lab(), ids=str)
def test_the_kernel_was_asked_which_function_refused(fault: Fault) -> None:
    (record,) = of(fault, (ASKED,))
    assert record["seen"] == fault.code
    assert record["chain"] or record["why"]
    assert record["cited"] is not False


def test_only_what_a_filter_refuses_comes_to_no_function_of_the_kernel() -> None:
    unseen = {code for (code, *_), record in RECORDS.items() if "gave the error" in why(record)}
    assert unseen == FILTERED
    assert not any("under the probes" in why(record) for record in RECORDS.values())


def test_records_are_of_codes_that_there_are() -> None:
    assert {str(record["code"]) for record in RECORDS.values()} <= set(all_causes())


def test_the_page_is_made_of_the_records() -> None:
    assert records.PAGE.read_text() == records.page(records.read())
