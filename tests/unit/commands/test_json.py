"""What `--json` writes is as `docs/commands.schema.json` says, of every command.

The integration tests hold what they see of the commands against it as well.
"""

import json
from base64 import b64decode
from dataclasses import asdict
from typing import Any

import click
import msgspec
import pytest

from app.audit.auditing import Audited, Lost
from app.audit.findings import Example, Place
from app.audit.repair import Repaired
from app.audit.report import Report
from app.audit.verdicts import FAILURES, Verdict
from app.commands.main import main
from app.dead_letters.presenting import as_json as letter_as_json
from app.dead_letters.presenting import content_as_json
from app.doctor import Finding, State
from app.expiry.removal import Method, Progress
from app.expiry.report import as_json as retention_as_json
from app.monitoring.trace.account import Account
from app.monitoring.trace.sighting import Kind, Sighting
from app.monitoring.trace.sighting import Place as Seen
from app.settings import load
from app.settings.listing import rows
from dev.generated.outputs import OUTPUTS, check
from tests.unit.dead_letters.letters import letter

HOUR = 1_767_322_800_000
PLACE = Place("completed0", 0, 7)


CONTENTS: tuple[dict[str, Any], ...] = (
    {},
    {"value": None, "key": b"text"},
    {"value": b"\xff\x00", "key": b"\xff", "headers": [("h", None), ("i", b"\xff")]},
)


def shown(**content: Any) -> dict[str, Any]:
    one = letter(**content)
    return letter_as_json(one, replayed=False) | content_as_json(one)


def test_no_byte_of_a_letter_is_lost_in_json() -> None:
    told = shown(**CONTENTS[2])
    assert b64decode(told["value_base64"]) == b"\xff\x00"
    assert b64decode(told["headers"][1]["value_base64"]) == b"\xff"
    assert shown(value='{"é":1}'.encode())["value"] == '{"é":1}'


def outputs() -> list[tuple[str, Any]]:
    account = Account(
        "0" * 32,
        [Sighting(Seen("completed0", 0, 7, HOUR), Kind.RECORD, "to be stored", 3, b"{}")],
        stored={"_rev": "1-x", "namespace": "guest", "start": HOUR, "logs": ["a line"]},
        not_looked_at=["the database"],
    )
    report = Report(
        Audited(lost=[Lost("completed0", 0, 7)]),
        table={"completed0": {HOUR: {Verdict.PRESENT: 12, Verdict.SET_ASIDE: 3}}},
        counts=dict.fromkeys(FAILURES, 1),
        examples={
            Verdict.MISSING: [Example(PLACE, HOUR, None, None)],
            Verdict.DIFFERENT: [Example(PLACE, HOUR, "0" * 32, "guest/0")],
        },
        left_out={"store-level": 2},
        differing={"guest/0": ["end"]},
        repaired=Repaired(1),
    )
    removed = Progress(HOUR, found=3, oldest=HOUR, method=Method.PURGE, removed=2, changed=1)
    return [
        ("audit", report.as_json()),
        ("config", [asdict(row) for row in rows(load(), {})]),
        ("dead-letters list", letter_as_json(letter(), replayed=False)),
        *(("dead-letters show", shown(**content)) for content in CONTENTS),
        ("dead-letters replay", letter_as_json(letter(), replayed=False) | {"to": "t/0"}),
        ("dead-letters replay", {"replayed": 3, "stayed": {"attempts": 1}}),
        ("doctor", [asdict(Finding("Kafka", State.WRONG, "it is away"))]),
        ("retention", retention_as_json(removed, dry_run=False)),
        ("trace", account.as_json()),
        ("trace", Account("0" * 32).as_json()),
    ]


@pytest.mark.parametrize("command,output", outputs())
def test_each_output_is_as_the_schema_says(command: str, output: Any) -> None:
    check(command, json.dumps(output))


def test_the_schema_would_notice_another_field_and_one_that_is_missing() -> None:
    told = letter_as_json(letter(), replayed=False)
    for wrong in (told | {"more": 1}, {**told, "offset": "7"}, {"letter": "0/1"}):
        with pytest.raises(msgspec.ValidationError):
            check("dead-letters list", json.dumps(wrong))


def test_every_command_that_has_json_is_in_the_schema() -> None:
    def found(group: click.Group, path: str) -> list[str]:
        context = click.Context(group)
        names = []
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            if isinstance(command, click.Group):
                names += found(command, f"{path}{name} ")
            elif command and any("--json" in one.opts for one in command.params):
                names.append(path + name)
        return names

    assert sorted(found(main, "")) == sorted(OUTPUTS)
