"""The gateway's metrics: each value is there at zero."""

import re

from openwhisk.gateway.metrics import STATUSES, Kind, Unanswered
from tests.unit.gateway.doubles import Running


async def test_every_known_value_is_there_at_zero(gateway: Running) -> None:
    async with gateway.client.get(f"{gateway.url}/_gateway/metrics") as answer:
        shown = await answer.text()
    for kind in Kind:
        for status in STATUSES:
            assert f'gateway_requests_total{{kind="{kind}",status="{status}"}} 0.0' in shown
    for cause in Unanswered:
        assert f'gateway_refused_writes_total{{cause="{cause}"}} 0.0' in shown
    assert 'gateway_connections{state="open"} 1.0' in shown
    assert re.search(r'gateway_build_info\{python="[^"]+",version="[^"]+"\} 1.0', shown)
    assert "process_resident_memory_bytes" in shown
    assert "_created" not in shown
