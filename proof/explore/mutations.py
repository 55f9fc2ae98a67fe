"""Takes one rule after another out of the production code; exploration has to find a run that suffers from it.

A proof that cannot fail proves nothing. Each mutation names the scenario in which its victim can be found.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from proof.explore.planted import board, dead_letters, records, submitter, worker
from proof.explore.scenarios import Scenario

__all__ = ["MUTATIONS", "Mutation"]


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """A rule taken out.

    Attributes:
        name: what the code does instead.
        plant: returns a context manager; while it is open, the code does that.
        scenario: in which some run suffers from it.
    """

    name: str
    plant: Callable[[], AbstractContextManager[object]]
    scenario: Scenario


MUTATIONS = (
    Mutation(
        name="publish without a condition",
        plant=board.unconditional_publish,
        scenario=Scenario(submitted=True, workers=2, budget={"jump": 1, "progress": 1}),
    ),
    Mutation(name="publish before decide", plant=worker.publish_before_decide, scenario=Scenario(submitted=True, cancel=True, budget={})),
    Mutation(name="delete before publish", plant=worker.delete_before_publish, scenario=Scenario(submitted=True, budget={"crash": 1})),
    Mutation(
        name="decide without attempt and token",
        plant=records.any_claim_holds,
        scenario=Scenario(submitted=True, workers=2, budget={"jump": 1}),
    ),
    Mutation(name="lease ignored", plant=records.lease_ignored, scenario=Scenario(submitted=True, workers=2, budget={"duplicate": 1})),
    Mutation(
        name="the worker's name instead of a token",
        plant=worker.worker_name_as_token,
        scenario=Scenario(submitted=True, workers=2, budget={"duplicate": 1}),
    ),
    Mutation(
        name="claim without the attempt seen",
        plant=records.claim_without_the_attempt_seen,
        scenario=Scenario(submitted=True, workers=2, budget={"jump": 1, "duplicate": 1, "crash": 1}),
    ),
    Mutation(
        name="exhaustion decided under a live lease",
        plant=records.exhaustion_under_a_live_lease,
        scenario=Scenario(submitted=True, workers=2, budget={"jump": 1, "crash": 1, "duplicate": 1}),
    ),
    Mutation(
        name="backoff only in visibility",
        plant=records.backoff_only_in_visibility,
        scenario=Scenario(submitted=True, workers=2, budget={"error": 1, "duplicate": 1}),
    ),
    Mutation(
        name="a non-terminal publish creates",
        plant=board.non_terminal_creates,
        scenario=Scenario(submitted=True, workers=2, budget={"progress": 1, "jump": 1, "delete": 1}),
    ),
    Mutation(
        name="dead letters ignore records",
        plant=dead_letters.records_ignored,
        scenario=Scenario(submitted=True, dead=True, workers=2, max_receives=1, budget={"duplicate": 1}),
    ),
    Mutation(
        name="dead letters are deleted before they are shown",
        plant=dead_letters.delete_first,
        scenario=Scenario(submitted=True, dead=True, max_receives=1, budget={"crash": 2, "jump": 2, "error": 1}),
    ),
    Mutation(
        name="a worker that lost its claim deletes",
        plant=worker.lost_worker_deletes,
        scenario=Scenario(submitted=True, workers=2, budget={"jump": 1, "beat": 1, "crash": 1}),
    ),
    Mutation(name="the digest is dropped on a rewrite", plant=board.digest_dropped, scenario=Scenario(submitted=True)),
    Mutation(
        name="a cancel over an outcome",
        plant=records.outcome_ignored,
        scenario=Scenario(submitted=True, cancel=True),
    ),
    Mutation(name="enqueue before create", plant=submitter.enqueue_before_create, scenario=Scenario(other=True)),
    Mutation(
        name="a repeated submit sends no message", plant=submitter.no_second_message, scenario=Scenario(retry=True, budget={"crash": 1})
    ),
    Mutation(name="the digest is not compared", plant=submitter.digest_not_compared, scenario=Scenario(other=True)),
)
