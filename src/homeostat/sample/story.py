"""The demo's story: put troubles into the sample app, and tell what the operator does about them.

It only switches troubles and reads what the operator says; what is found, applied, kept or undone
is the operator's own doing. A chapter that the logbook already holds is not told again.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Protocol

from homeostat.clock import Clock
from homeostat.errors import OperateError
from homeostat.logbook.rows import Finding, RemedyRecord
from homeostat.operate.views import RemedyView, Status
from homeostat.sample.troubles import DROPPED_INDEX, IDLE_HOLDERS, LOCK_HOLDER, STORY, WORDS

POLL_SECONDS = 0.25
REST_SECONDS = 6.0
CALM_SECONDS_MAX = 20.0
CHAPTER_SECONDS_MAX = 90.0
UNDER_WAY_SECONDS_MAX = 180.0  # more, for a remedy that a busy machine is late with
GROW_POOL, CREATE_INDEX = "grow-pool", "create-index"
REMEDIES = (GROW_POOL, CREATE_INDEX, "refresh-statistics", "analyse-table")
RULES = ("pool-exhausted", "lock-holder", "connection-leak", "data-growing")
FOR_YOU = ("connection-leak", "data-growing")  # findings that a person mends
SLOW = "slow-statement"
SUFFERING = ("list_online", "list_notices", "find_reading")  # what troubles make slow
FIRST, SECOND, THIRD = STORY
IN_VAIN = ("ineffective", "reverted")  # undone, for want of an effect or of a clear answer
DOING = {
    "proposed": "is proposed",
    "rehearsing": "is being rehearsed",
    "applying": "is being applied",
    "verifying": "is being measured",
    "reverting": "is being undone",
}
OVER = ("kept", "reverted", "ineffective", "rejected", "refused", "failed", "asking")


class Console(Protocol):
    """What the story asks of the operator; `cli.client.Client` is one."""

    def status(self) -> Status:
        """Return the state of everything."""
        ...

    def findings(self) -> list[Finding]:
        """Return the open findings."""
        ...

    def remedies(self) -> list[RemedyRecord]:
        """Return the remedies, the newest first."""
        ...

    def decide(self, number: int, decision: str) -> RemedyView:
        """Approve, reject or revert a remedy."""
        ...

    def set_autonomy(self, remedy: str, autonomy: str) -> None:
        """Set what a remedy may do by itself."""
        ...


Switch = Callable[[str, bool, float | None], None]


@dataclass(slots=True)
class Story:
    """Tells the chapters one after the other.

    Attributes:
        console: the running operator.
        switch: puts a trouble on or off: name, on, strength.
        say: prints a line: kind of news, text.
        keys: keys that were pressed since last asked; None when nobody can press any.
        stop: ends the story.
        with_index: whether the story opens with the dropped index; it needs clones, and users.
    """

    console: Console
    switch: Switch
    say: Callable[[str, str], None]
    keys: Callable[[], str] | None
    clock: Clock
    stop: threading.Event
    with_index: bool = True
    _remedies_told: tuple[str, ...] = REMEDIES
    _told: set[tuple[str, object]] = field(default_factory=set)
    _found: list[Finding] = field(default_factory=list)

    def tell(self) -> None:
        """Tell what is left of the story, then return with the troubles off."""
        left = self._chapters_left()
        self._rest()
        for chapter in left:
            if self.stop.is_set():
                return
            chapter()
        self.switch(IDLE_HOLDERS, False, None)
        if not left:
            self.say("story", "it was told before and is in the logbook; traffic goes on")
        elif not self.stop.is_set():
            self.say("story", "that was all; traffic goes on until Ctrl-C")

    def follow(self, trouble: str, strength: float | None = None) -> None:
        """Switch one trouble on and tell what happens until stopped."""
        self._rest()
        self.say("trouble", WORDS[trouble])
        self.switch(trouble, True, strength)
        while not self._pause():
            self._news()
            mend = next((one.mend for one in self._found if one.rule in FOR_YOU), "")
            if mend and self._is_news("mend", trouble):
                self.say("mend", mend)
                self.say("story", "that is for a person: no remedy acts on it. The trouble and the")
                self.say(
                    "", "traffic go on until Ctrl-C, which leaves nothing of the trouble behind"
                )

    def _chapters_left(self) -> list[Callable[[], None]]:
        """Return the chapters that the logbook does not hold, in order."""
        over = [record for record in self.console.remedies() if record.state in OVER]
        for record in over:
            self._told.add((record.state, record.id))
        index = any(record.key == CREATE_INDEX for record in over)
        pool = [record for record in over if record.key == GROW_POOL]
        asked = any(record.decided_by not in {"", "homeostat"} for record in pool)
        in_vain = asked or any(record.state in IN_VAIN for record in pool)
        helped = in_vain or any(record.state == "kept" for record in pool)
        chapters = (
            (self._dropped_index, index or not self.with_index),
            (self._idle_holders, helped),
            (self._lock_holder, in_vain),
            (self._waits_for_you, asked),
        )
        return [chapter for chapter, done in chapters if not done]

    def _rest(self) -> None:
        until = self.clock.monotonic() + REST_SECONDS
        while self.clock.monotonic() < until and not self._pause():
            pass
        for one in self.console.status().databases:
            if one.p99_ms is not None:
                self.say("rest", f"p99 {one.p99_ms:.1f} ms of the promised {one.promise_ms:.0f} ms")

    def _dropped_index(self) -> None:
        self.say("trouble", WORDS[DROPPED_INDEX])
        self.switch(DROPPED_INDEX, True, None)
        self._until_over(CREATE_INDEX)
        self.switch(DROPPED_INDEX, False, None)

    def _idle_holders(self) -> None:
        self.say("trouble", WORDS[IDLE_HOLDERS])
        self.switch(IDLE_HOLDERS, True, FIRST.idle_holders)
        self._until_over(GROW_POOL)

    def _lock_holder(self) -> None:
        self.switch(IDLE_HOLDERS, True, SECOND.idle_holders)
        self.say("trouble", "the partner gets slow for more requests, and")
        self.say("trouble", WORDS[LOCK_HOLDER])
        self.switch(LOCK_HOLDER, True, SECOND.lock_holder)
        self._until_over(GROW_POOL)
        self.switch(LOCK_HOLDER, False, None)
        self.say("trouble", "the nightly report is stopped, as a person would who was told its pid")

    def _waits_for_you(self) -> None:
        self._calm()
        self.console.set_autonomy(GROW_POOL, "approve")
        self.say("autonomy", f"{GROW_POOL} is set to approve: from now on it asks first")
        self.say("trouble", "the partner gets slower still")
        self.switch(IDLE_HOLDERS, True, THIRD.idle_holders)
        self._until_over(GROW_POOL, patience_seconds=None)

    def _calm(self) -> None:
        """Wait until the pools are well: else what one trouble did is measured as the next one's.

        A person who approves at once has the batches before the change begin with the backlog of
        the lock holder, and its end is a fall that no change made.
        """
        self.switch(IDLE_HOLDERS, True, FIRST.idle_holders)
        until = self.clock.monotonic() + CALM_SECONDS_MAX
        while self.clock.monotonic() < until and not self._pause():
            with contextlib.suppress(OperateError):  # it is being restarted; it is asked again
                if not any(finding.rule in RULES for finding in self.console.findings()):
                    return

    def _until_over(
        self, remedy: str, *, patience_seconds: float | None = CHAPTER_SECONDS_MAX
    ) -> None:
        """Tell the news of a remedy until one that is proposed from now on is over.

        What is under way when the patience ends is named and waited for some time more.
        """
        self._remedies_told = (remedy,)
        known = {record.id for record in self.console.remedies()}
        until = self.clock.monotonic() + (inf if patience_seconds is None else patience_seconds)
        late = False
        while not self._pause():
            told = self._news()  # asked once: what ends between two answers would not be told
            new = [record for record in told if record.key == remedy and record.id not in known]
            if any(record.state in OVER for record in new):
                return
            if self.clock.monotonic() < until:
                continue
            doing = [f"{r.title} {DOING[r.state]}" for r in new if r.state in DOING]
            if late or not doing:
                self._tell_undecided(doing)
                return
            late, until = True, until + UNDER_WAY_SECONDS_MAX
            self.say("story", f"this takes long here: {'; '.join(doing)}. It is waited for")

    def _tell_undecided(self, doing: Sequence[str]) -> None:
        """Say that a chapter ends open, and where it stands."""
        found = "; ".join(one.what for one in self._found) or "no trouble is found"
        self.say("story", f"nothing was decided in time: {'; '.join(doing) or found}")
        self.say("", "`homeostat status` shows more")

    def _remedies(self) -> list[RemedyRecord]:
        try:
            return [
                record for record in self.console.remedies() if record.key in self._remedies_told
            ]
        except OperateError:
            return []  # the operator is being restarted; it is asked again

    def _news(self) -> list[RemedyRecord]:
        """Tell what is new; return the remedies that it was told of."""
        try:
            findings = self.console.findings()
        except OperateError:
            return []
        self._found = [one for one in findings if is_told(one, self._remedies_told)]
        for finding in self._found:
            if self._is_news("finding", finding.id):
                self.say("found", finding.what)
                self.say("cause", finding.cause)
        records = sorted(self._remedies(), key=lambda one: one.id)
        for record in records:
            if self._is_news(record.state, record.id):
                self._tell_remedy(record)
            if record.state == "waiting":
                self._hear(record)
        return records

    def _tell_remedy(self, record: RemedyRecord) -> None:
        if record.state in {"proposed", "rehearsing"}:
            if self._is_news("title", record.id):
                asked = ("waiting", record.id) in self._told
                self.say("approved" if asked else "proposed", record.title)
        elif record.state == "waiting":
            self.say("waiting", f"{record.title}: it needs your word")
            how = "press a to approve, r to reject; or" if self.keys else "decide"
            self.say("", f"{how} on the page, or `homeostat remedy approve {record.id}`")
        elif record.state == "applying":
            self.say("applying", record.title)
        elif record.state == "verifying":
            self.say("applied", "measuring whether it helps")
        elif record.state in OVER:
            self.say(record.state, record.verdict)

    def _hear(self, record: RemedyRecord) -> None:
        pressed = self.keys() if self.keys else ""
        for key, decision in (("a", "approve"), ("r", "reject")):
            if key in pressed.lower():
                try:
                    self.console.decide(record.id, decision)
                except OperateError as error:
                    self.say("refused", str(error))
                return

    def _is_news(self, kind: str, number: object) -> bool:
        news = (kind, number)
        if news in self._told:
            return False
        self._told.add(news)
        return True

    def _pause(self) -> bool:
        return self.clock.wait(self.stop, POLL_SECONDS)


def is_told(finding: Finding, remedies: Sequence[str]) -> bool:
    """Return whether a finding belongs to the chapter of these remedies.

    What only a busy machine made slow belongs to none.
    """
    operations = finding.evidence.get("operations", ())
    slow = finding.rule == SLOW and any(name in SUFFERING for name in operations)
    return (slow and CREATE_INDEX in remedies) or (finding.rule in RULES and GROW_POOL in remedies)
