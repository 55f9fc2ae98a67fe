"""Figures of the documentation that come from code: each sentence is written again from the constants, and must stand on its page."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from proof.explore.mutations import MUTATIONS
from proof.simulate.machine import SKEW
from tests.support.pages import page

from offpoll import (
    Client,
    Settings,
    cached,
    document,
    forecast,
    link,
    poll_plan,
    queue,
    service_times,
    setting_ranges,
    submit,
    ticket,
)
from offpoll import limits as fields
from offpoll.aws import connections, dynamodb_service_times, s3, sts
from offpoll.cli import api_processes, serve
from offpoll.client import asynchronous, blocking, flows, polling
from offpoll.estimate import capacity, histogram, history, remaining, wait
from offpoll.http import direct
from offpoll.lateness import read_weight
from offpoll.testing.contracts import running
from offpoll.work import batch, dead_letters, delivery, heartbeat, job, outage, publish

DEFAULTS = Settings()

_WORDS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_WORDS += ["thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"]


def word(number: float) -> str:
    """Say a whole number as a word."""
    assert number == int(number)
    return _WORDS[int(number)]


def says(value: Any, expected: Any, words: str) -> str:
    """Return the words that stand for a value, or the value where it is another one now."""
    return words if value == expected else str(value)


def days(seconds: float) -> str:
    return f"{seconds / 86_400:g} days"


def hours(seconds: float) -> str:
    return f"{seconds / 3600:g} h"


def minutes(seconds: float) -> float:
    return seconds / 60


def kib(size: float) -> str:
    return f"{size / 1024:g} KiB"


def default(function: Any, name: str) -> Any:
    return inspect.signature(function).parameters[name].default


#: Beside what the whole table of settings says (`test_tables`).
FIGURES = {
    "docs/client.md": [
        f"A link lives for {DEFAULTS.link_lifetime_floor:g} s at least and {hours(DEFAULTS.link_lifetime_cap)} at most by default",
        f"never less than {poll_plan.MIN_INTERVAL:g} s apart, and never more than {says(poll_plan.MAX_PAUSE, 3600, 'an hour')}",
        f"otherwise for one `interval`, {poll_plan.JITTER:.0%} more or less".replace("%", " %"),
        f"The pause starts at {flows.FIRST_BACKOFF:g} s and doubles each time, up to {flows.MAX_BACKOFF:g} s",
        f"After {', '.join(map(str, sorted(flows.RETRIED)))} or no answer, the client sends the same request again",
        f"the {says(sorted(polling.FOLLOWED_UP), [1, 2, 4, 8], '1st, 2nd, 4th and 8th')} time in a row",
        f"raises `ApiError` at the {polling.GIVE_UP}th",
        f"after {polling.UNREACHABLE_AFTER} polls in a row without any answer",
        f"and after {polling.OUT_OF_ORDER_AFTER} with an outage's answer",
        f"In other trouble it does so after {polling.IN_TROUBLE_AFTER}, if the API could help",
        f"tries the store first, for {polling.PROBE_TIMEOUT:g} s at most",
        f"Polls are {word(polling.API_SLOWDOWN)} intervals apart, and at least {polling.API_INTERVAL:g} s",
        f"| `timeout` of `wait`, `poll`, `wait_all` | {default(Client.wait, 'timeout'):g} s, None forever |",
        f"| `request_timeout` | {default(Client, 'request_timeout'):g} s |",
        f"| `retry_timeout` | {default(Client, 'retry_timeout'):g} s |",
        f"no request outlasts the wait by more than {says(flows.LAST_LOOK, 1, 'a second')}",
        f"{asynchronous.MAX_IN_FLIGHT} with `AsyncClient`, and {blocking.MAX_IN_FLIGHT} with `Client`",
        f'`"spec": "{ticket.SPEC}"`',
    ],
    "docs/service.md": [
        f"| `timeout=` | {DEFAULTS.timeout:g} s |",
        f"| `attempts=` | {DEFAULTS.attempts} |",
        f'| `lateness_weight=` | `"{DEFAULTS.lateness_weight}"` |',
    ],
    "docs/limits.md": [
        f"| input | {kib(DEFAULTS.input_limit)}, up to {kib(setting_ranges.MAX_INPUT_LIMIT)} by setting |",
        f"| result | {kib(DEFAULTS.result_limit)};",
        f"| status document | {kib(document.MAX_BYTES)} |",
        f"| one attempt | {int(setting_ranges.MAX_TIMEOUT // 3600)} h {minutes(setting_ranges.MAX_TIMEOUT % 3600):g} min |",
        f"| wait for a worker | {days(DEFAULTS.message_window)};",
        f"| idempotency keys, results | {days(DEFAULTS.record_window)},",
        f"| status documents | {days(DEFAULTS.document_window)} |",
        f"up to {days(setting_ranges.MAX_LINK_LIFETIME)} by setting, and {hours(DEFAULTS.link_lifetime_cap)} by default",
    ],
    "docs/library.md": [f"up to {kib(fields.MAX_RESULT_BYTES)} as JSON"],
    "docs/testing.md": [f"{running.WRITERS} writers of one document"],
    "docs/configuration.md": [
        f"It has at least {setting_ranges.MIN_SECRET_BYTES} bytes",
        f"a link ends {s3.MARGIN.total_seconds():g} s before they do",
    ],
    "docs/functions.md": [
        f"After a rest of more than {connections.POOL_IDLE:g} s",
        f"hidden for that time and {batch.AFTER_DEADLINE:g} s more",
        f"at most the function's less {batch.RESERVE:g} s",
        f"waits until {batch.STOP_BEFORE:g} s before the end",
        f"{batch.FLUSH_WITHIN:g} s ─── end of the function",
        f"Its session lasts {says(sts.CHAINED_SESSION, 3600, 'an hour')}",
    ],
    "docs/deploy.md": [
        f"over `WorkerTimeout` - {batch.RESERVE:g} s",
        f"the most attempts of any kind + {queue.SPARE_RECEIVES}",
        f"A kind's timeout ≤ the function's - {batch.RESERVE:g} s",
        f"{minutes(DEFAULTS.link_lifetime_floor):g} to 59 minutes",
    ],
    "docs/estimate.md": [
        f"each API process reads them at most every {forecast.MAX_AGE:g} s",
        f"each process reports every {service_times.REPORT_INTERVAL:g} s",
        f"Buckets have a ratio of {histogram.RATIO:.3f}, so a quantile is within {histogram.RELATIVE_ERROR * 100:g} % of the true one",
        f"in {word(dynamodb_service_times.SHARDS)} items for each kind",
        f"at most {word(history.MAX_SPANS)} spans",
        f"that nobody has written for {says(dynamodb_service_times.KEPT.days, 7, 'a week')}",
        f"counts half after {says(history.HALF_LIFE, 3600, 'an hour')}",
        f"or after {says(history.HALF_LIFE_COMPLETIONS, 100, 'a hundred')} newer completions",
        f"It reaches from a tenth of that to {link.LATEST_OVER_MEAN:.1f} times",
        f"the guess counts as {word(remaining.GUESS_WEIGHT)} completions",
        f"at once within {word(minutes(capacity.PEAK_WINDOW))} minutes",
        f"work has waited for {says(capacity.SETTLED, 30, 'half a minute')}",
        f"the last {forecast.WINDOWS[0]:g} s, or as much longer as it takes",
        f"to count {says(forecast.ENOUGH, 100, 'a hundred')}, up to {minutes(forecast.WINDOWS[-1]):g} min",
        f"shifted by {wait.POINTS} values of the wait",
        f"the mean is at least {remaining.OVERRUN_MEAN:g} t on top",
        f"at least {remaining.LEAST_DEVIATION * 100:g} %)",
        f"lives for {word(link.MARGIN)} times what is left until `latest`",
        f"`OFFPOLL_LINK_LIFETIME_FLOOR` ({DEFAULTS.link_lifetime_floor:g} s)",
        f"`OFFPOLL_LINK_LIFETIME_CAP` ({hours(DEFAULTS.link_lifetime_cap)})",
    ],
    "docs/proofs.md": [
        f"Then come {word(len(MUTATIONS))} [mutations]",
        f"wrong by up to {word(minutes(SKEW))} minutes",
    ],
    "docs/operations.md": [
        f"finishes open requests, for at most {api_processes.GRACE} s, and ends",
        f"it tries again after {api_processes.PAUSES[0]:g} s, then {2 * api_processes.PAUSES[0]:g} s, up to {api_processes.PAUSES[1]:g} s",
        f"at most `OFFPOLL_LEASE` ({DEFAULTS.lease:g} s)",
        f"a kind that they do not know for {delivery.GIVE_BACK:g} s",
        f"retries the publish every {outage.FIRST_PAUSE:g} s to {outage.LONGEST_PAUSE:g} s",
        f"retries {word(outage.REFUSALS - 1)} times, then gives the message back for {delivery.GIVE_BACK:g} s",
        f"the worker repeats it every {says(heartbeat.RETRY, 1, 'second')}",
        f"within `OFFPOLL_MESSAGE_WINDOW` ({days(DEFAULTS.message_window)})",
        f"At each report, every {service_times.REPORT_INTERVAL:g} s",
        f"to at most {setting_ranges.MAX_TIMEOUT:,.0f} s",
        f"the largest `attempts` of any kind + {queue.SPARE_RECEIVES}",
        f"= attempts + {queue.SPARE_RECEIVES} ({DEFAULTS.attempts + queue.SPARE_RECEIVES} by default)",
        f"visibility timeout ≥ lease ({DEFAULTS.lease:g} s); retention {days(DEFAULTS.message_window)}",
        f"expire `status/` after {days(DEFAULTS.document_window)}",
        f"standard; retention {days(setting_ranges.LONGEST_RETENTION)}",
        f"at least {setting_ranges.MIN_SECRET_BYTES} bytes (`openssl rand -hex {setting_ranges.MIN_SECRET_BYTES}`)",
        f"MessageRetentionPeriod={setting_ranges.LONGEST_RETENTION:.0f}",
        f'MessageRetentionPeriod: "{DEFAULTS.message_window:.0f}", VisibilityTimeout: "{DEFAULTS.lease:.0f}"',
        f'maxReceiveCount: "{DEFAULTS.attempts + queue.SPARE_RECEIVES}"',
    ],
    "docs/proxies.md": [
        f"whether bucket, queue and table answer, at most every {cached.READY_AGE:g} s",
        f"A check that takes longer than {cached.READY_PATIENCE:g} s does not hold up the probe",
        f"arrives on an idle connection within {says(direct.LINGER, 0.5, 'half a second')}",
        f"{serve.KEEP_ALIVE} s, the default of `offpoll serve`",
        f"`uvicorn --timeout-keep-alive {serve.KEEP_ALIVE}`; `gunicorn --keep-alive {serve.KEEP_ALIVE}",
    ],
    "docs/protocol.md": [
        f"enqueues again, {dead_letters.REQUEUE_DELAY:g} s delayed",
        f"no longer relies on the last {says(job.MARGIN, 0.1, 'tenth')} of it",
        f"allows {word(queue.SPARE_RECEIVES)} more receives than the attempts",
        f"`Idempotency-Key` is 1 to {submit.MAX_KEY} printable ASCII characters",
        f"asks them at most every {cached.READY_AGE:g} s",
        f"the result has at most {kib(fields.MAX_RESULT_BYTES)}",
        f"A document has at most {kib(document.MAX_BYTES)}",
        f"one of more than {fields.MAX_BASE_URL} characters",
        f"Over {fields.MAX_BASE_URL} characters: no links. Over {queue.MAX_LENGTHS['base_url']:,}: malformed",
        f"Δ is between {poll_plan.MIN_INTERVAL:g} and {poll_plan.MAX_INTERVAL:g} s, and at most {poll_plan.MAX_SPREADS:g} (mean - p10)",
        f'| `"{DEFAULTS.lateness_weight}"`, the default | {read_weight(DEFAULTS.lateness_weight).polls:g} / E',
        f"only {says(publish.LEAD, 0.5, 'half a second')} before the document's readers look next",
        f"`version` | yes | `{queue.VERSION}`",
        f"| message window | {days(DEFAULTS.message_window)} |",
        f"| dead letters, parking | {days(setting_ranges.LONGEST_RETENTION)} |",
        f"| record | {days(DEFAULTS.record_window)},",
        f"| document | {days(DEFAULTS.document_window)} |",
        f"| input | {kib(DEFAULTS.input_limit)} by default, {kib(setting_ranges.MAX_INPUT_LIMIT)} at most",
        f"| result | {kib(setting_ranges.MAX_RESULT_LIMIT)};",
        f"| progress message | {fields.MAX_MESSAGE} bytes as JSON",
        f"| error | {kib(fields.MAX_RECORDED_ERROR)} as JSON in the record; in the document {kib(fields.MAX_ERROR_BYTES)},",
        f"| one attempt | {setting_ranges.MAX_TIMEOUT:,.0f} s: SQS hides a message for {hours(queue.MAX_VISIBILITY)} at most |",
    ],
    "docs/decisions/0005-heartbeat-thread.md": [f"looks at its jobs every {heartbeat.TICK:g} s"],
}

_FIGURES = [(name, said) for name, sentences in FIGURES.items() for said in sentences]


@pytest.mark.parametrize(("name", "said"), _FIGURES, ids=[f"{name}: {said[:50]}" for name, said in _FIGURES])
def test_what_is_said_is_what_the_code_does(name: str, said: str) -> None:
    """A constant that changes takes its sentences with it."""
    assert " ".join(said.split()) in " ".join(page(name).split())
