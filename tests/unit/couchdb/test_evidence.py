"""Whatever is answered, in whatever order: who is condemned, and when."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from app.couchdb.evidence import LONERS, Case, Evidence
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
    case = found.open(0.0, "forbidden", vouched=True)
    condemned = attempts(found, case, passing=True, until=1000.0)
    assert condemned is not None
    assert RULES.seconds <= condemned <= RULES.limit


def test_nobody_is_condemned_while_nothing_passes() -> None:
    found = evidence()
    case = found.open(0.0, "forbidden", vouched=True)
    assert attempts(found, case, passing=False, until=10_000.0) is None


def test_a_slow_diagnosis_ends_at_the_limit_with_fewer_failures() -> None:
    found = evidence()
    case = found.open(0.0, "os_process_error", vouched=True)
    assert not found.failed(case, 31.0, "os_process_error", others_pass=True)
    assert found.failed(case, 62.0, "os_process_error", others_pass=True)


def test_an_error_that_others_recover_from_condemns_nobody() -> None:
    found = evidence()
    cases = [found.open(0.0, "os_process_error", vouched=True) for _ in range(50)]
    for number, case in enumerate(cases[1:]):
        assert not found.failed(cases[0], number * 5.0, "os_process_error", others_pass=True)
        found.close(case, recovered_from="os_process_error")


def test_a_probe_speaks_for_the_database_only_for_a_few() -> None:
    found = evidence()
    assert found.trusts_probe()
    cases = [found.open(0.0, "forbidden", vouched=False) for _ in range(LONERS + 1)]
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
    case = found.open(0.0, "forbidden", vouched=True)
    now, beside, first = 0.0, 0, 0.0
    for one in rounds:
        now += one.seconds
        condemned = found.failed(case, now, one.cause, others_pass=one.healthy)
        if one.healthy:
            first = now if not beside else first
            beside += 1
        assert not condemned or one.healthy
        enough = beside >= RULES.attempts and now - first >= RULES.seconds
        overdue = beside >= 2 and now >= RULES.limit
        assert condemned == (one.healthy and (enough or overdue))
        if condemned:
            return


@given(st.lists(st.floats(min_value=0.1, max_value=16.0), min_size=12, max_size=40))
def test_every_diagnosis_ends_while_others_pass(waits: list[float]) -> None:
    found = evidence()
    case = found.open(0.0, "x", vouched=True)
    now = 0.0
    for wait in waits:
        now += wait
        if found.failed(case, now, "x", others_pass=True):
            assert now <= RULES.limit + 2 * 16.0
            return
    assert now < RULES.limit + 16.0
