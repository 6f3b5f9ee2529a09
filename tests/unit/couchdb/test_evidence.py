"""Whatever is answered, in whatever order: who is condemned, and when."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from app.couchdb.evidence import COMES_AND_GOES, DOUBTFUL, LONERS, Case, Evidence
from app.settings import DiagnosisSettings

RULES = DiagnosisSettings()
CAUSES = st.sampled_from(
    ["forbidden", "unknown_error", "os_process_error", "insufficent_storage", "500", "400", "403"]
)


def evidence() -> Evidence:
    return Evidence(RULES)


def attempts(found: Evidence, case: Case, *, passing: bool, until: float) -> float | None:
    """Fail alone at the diagnosis' pace; returns when the document was condemned."""
    now, wait = case.opened, 0.5
    while now < until:
        now, wait = now + wait, min(wait * 2, 8.0)
        if found.failed(case, now, "forbidden", others_pass=passing):
            return now
    return None


def test_one_that_fails_alone_while_others_pass_is_condemned_in_time() -> None:
    found = evidence()
    case = found.open(0.0, vouched=True)
    condemned = attempts(found, case, passing=True, until=1000.0)
    assert condemned is not None
    assert RULES.seconds <= condemned <= RULES.limit


def test_nobody_is_condemned_while_nothing_passes() -> None:
    found = evidence()
    case = found.open(0.0, vouched=True)
    assert attempts(found, case, passing=False, until=10_000.0) is None


def test_a_slow_diagnosis_ends_at_the_limit_with_fewer_failures() -> None:
    found = evidence()
    case = found.open(0.0, vouched=True)
    assert not found.failed(case, 31.0, "os_process_error", others_pass=True)
    assert found.failed(case, 62.0, "os_process_error", others_pass=True)


def test_an_error_that_others_recover_from_condemns_nobody_before_the_limit() -> None:
    found = evidence()
    cases = [found.open(0.0, vouched=True) for _ in range(50)]
    now = 0.0
    for case in cases[1:]:
        now += RULES.limit / 50
        assert not found.failed(cases[0], now, "os_process_error", others_pass=True)
        found.close(case, recovered_from="os_process_error")
    assert cases[0].flapping
    assert found.failed(cases[0], RULES.limit, "os_process_error", others_pass=True)


def test_a_recovery_from_another_error_says_nothing() -> None:
    found = evidence()
    one, other = (found.open(0.0, vouched=True) for _ in range(2))
    found.failed(one, 1.0, "timeout", others_pass=True)
    found.close(other, recovered_from="timeout")
    found.failed(one, 2.0, "forbidden", others_pass=True)
    assert not one.flapping


def test_what_comes_and_goes_condemns_nobody_who_was_tried_seldom() -> None:
    """Where many slow ones wait, each has had few attempts when its time is over."""
    found = evidence()
    case = found.open(0.0, vouched=True)
    for number in range(1, COMES_AND_GOES):
        found.close(found.open(0.0, vouched=True), recovered_from="os_process_error")
        found.passes += 1
        assert not found.failed(case, 30.0 * number, "os_process_error", others_pass=True)
        assert not found.suffices(case, 30.0 * number + 20)


def waited(found: Evidence, *times: float) -> Case:
    """A case that failed alone at these times, while others passed in between and since."""
    case = found.open(0.0, vouched=True)
    for now in times:
        assert not found.failed(case, now, "os_process_error", others_pass=True)
    found.passes += 1
    return case


def test_when_its_time_is_over_two_failures_are_enough_without_another() -> None:
    found = evidence()
    case = waited(found, 20.0, 50.0)
    assert not found.suffices(case, 59.0)
    assert found.suffices(case, 60.0)


def test_without_enough_failures_over_enough_time_there_is_another_attempt() -> None:
    found = evidence()
    assert not found.suffices(waited(found), 600.0)
    assert not found.suffices(waited(found, 50.0), 600.0)
    assert not found.suffices(waited(found, 50.0, 55.0), 600.0), "too short a time"


def test_nobody_is_condemned_for_its_time_while_nothing_passes() -> None:
    found = evidence()
    case = waited(found, 20.0, 50.0)
    found.failed(case, 55.0, "os_process_error", others_pass=True)
    assert not found.suffices(case, 600.0), "nothing was written since"


def test_nobody_is_condemned_for_its_time_once_others_recover() -> None:
    found = evidence()
    case = waited(found, 20.0, 50.0)
    found.close(found.open(0.0, vouched=True), recovered_from="os_process_error")
    assert not found.suffices(case, 600.0)


def test_what_blames_the_database_condemns_after_the_limit_alone() -> None:
    found = evidence()
    case = found.open(0.0, vouched=True)
    for now in (1.0, 20.0, 40.0, 59.0):
        assert not found.failed(case, now, "503", others_pass=True, telling=False)
    assert found.failed(case, 60.0, "503", others_pass=True, telling=False)


def test_an_outage_does_not_count_against_a_document() -> None:
    found = evidence()
    case = found.open(0.0, vouched=True)
    assert not found.failed(case, 1.0, "forbidden", others_pass=True)
    assert not found.failed(case, 500.0, "forbidden", others_pass=False)
    assert not found.failed(case, 501.0, "forbidden", others_pass=True)
    assert not found.failed(case, 510.0, "forbidden", others_pass=True)
    assert found.failed(case, 515.0, "forbidden", others_pass=True)


def test_a_probe_speaks_for_the_database_only_for_a_few() -> None:
    found = evidence()
    assert found.trusts_probe()
    cases = [found.open(0.0, vouched=False) for _ in range(LONERS + 1)]
    assert not found.trusts_probe()
    assert not any(map(found.trusts_probe, cases))
    found.passes += 1
    assert all(map(found.trusts_probe, cases)), "a record was written meanwhile"
    assert found.trusts_probe()


@dataclass
class Round:
    """What happens between two attempts with a document."""

    cause: str
    healthy: bool
    seconds: float


ROUNDS = st.lists(
    st.builds(Round, CAUSES, st.booleans(), st.floats(min_value=0.0, max_value=20.0)), max_size=60
)


@given(ROUNDS)
def test_only_failures_beside_others_condemn(rounds: list[Round]) -> None:
    """A document is condemned after so many failures while others passed, never for the others."""
    found = evidence()
    case = found.open(0.0, vouched=True)
    now, beside, passing, first = 0.0, 0, 0.0, 0.0
    for one in rounds:
        now += one.seconds
        condemned = found.failed(case, now, one.cause, others_pass=one.healthy)
        if not one.healthy:
            assert not condemned
            continue
        passing += one.seconds
        first = passing if not beside else first
        beside += 1
        enough = beside >= RULES.attempts and passing - first >= RULES.seconds - 1e-6
        overdue = beside >= 2 and passing >= RULES.limit - 1e-6
        assert not condemned or enough or overdue
        if condemned:
            return
        assert passing < RULES.limit + 1e-6 or beside < 2


FAILURES = st.tuples(CAUSES, st.booleans(), st.booleans(), st.floats(min_value=0.1, max_value=16.0))


@given(st.lists(FAILURES, min_size=20, max_size=60))
def test_every_diagnosis_ends_while_others_pass(
    failures: list[tuple[str, bool, bool, float]],
) -> None:
    """Whatever it fails with: by the limit, or five attempts; ten where others recover from it."""
    found = evidence()
    case = found.open(0.0, vouched=True)
    now = 0.0
    for number, (cause, telling, recovers, wait) in enumerate(failures, 1):
        now += wait
        if recovers:
            found.close(found.open(now, vouched=True), recovered_from=cause)
        if found.failed(case, now, cause, others_pass=True, telling=telling):
            return
        assert now < RULES.limit or number < (COMES_AND_GOES if case.flapped else DOUBTFUL)
