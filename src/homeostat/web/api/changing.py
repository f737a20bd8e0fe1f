"""Routes that change something: decisions, autonomy, clones, tokens and sign-in links."""

from __future__ import annotations

from dataclasses import dataclass, field

from homeostat.errors import (
    CloneRefusedError,
    ConfigError,
    DecisionRefusedError,
    HomeostatError,
    NameTakenError,
    NotFoundError,
)
from homeostat.operate.views import CloneView, Console, RemedyView, Status, TokenView
from homeostat.web.api.calls import Calls
from homeostat.web.api.reading import copies
from homeostat.web.api.route import route
from homeostat.web.api.shapes import (
    Detach,
    LinkView,
    NewAutonomy,
    NewClone,
    NewLink,
    NewToken,
    OneDecision,
    OneName,
    Target,
)
from homeostat.web.auth import Access, Visitor


@dataclass(slots=True)
class Changing:
    """The routes that an operator or an admin may ask."""

    console: Console
    access: Access
    call: Calls = field(default_factory=Calls)
    call_copies: Calls = field(default_factory=copies)

    @route(
        "POST",
        "/api/v1/remedies/{id}/{decision}",
        role="operator",
        errors=(DecisionRefusedError,),
    )
    async def decide(self, path: OneDecision, visitor: Visitor) -> RemedyView:
        """Approve, reject or revert a remedy."""
        return await self.call(self.console.decide, path.id, path.decision, actor=visitor.actor)

    @route("POST", "/api/v1/pause", role="operator", errors=(NotFoundError,))
    async def pause(self, body: Target, visitor: Visitor) -> Status:
        """Let nothing more be applied, to one database or to all; observing goes on."""
        database = body.database or None
        await self.call(self.console.pause, actor=visitor.actor, database=database)
        return await self.call(self.console.status)

    @route("POST", "/api/v1/resume", role="operator", errors=(NotFoundError,))
    async def resume(self, body: Target, visitor: Visitor) -> Status:
        """Let remedies be applied again."""
        database = body.database or None
        await self.call(self.console.resume, actor=visitor.actor, database=database)
        return await self.call(self.console.status)

    @route("POST", "/api/v1/autonomy", role="admin", errors=(NotFoundError,))
    async def autonomy(self, body: NewAutonomy, visitor: Visitor) -> Status:
        """Set what a remedy may do by itself until the operator restarts."""
        await self.call(self.console.set_autonomy, body.remedy, body.autonomy, actor=visitor.actor)
        return await self.call(self.console.status)

    @route("POST", "/api/v1/detach", role="admin", errors=(NotFoundError,))
    async def detach(self, body: Detach, visitor: Visitor) -> Status:
        """Stop observing a database; what was learned stays in the logbook."""
        await self.call(self.console.detach, body.database, actor=visitor.actor)
        return await self.call(self.console.status)

    @route(
        "POST",
        "/api/v1/clones",
        role="operator",
        errors=(NotFoundError, CloneRefusedError, ConfigError),
    )
    async def create_clone(self, body: NewClone, visitor: Visitor) -> CloneView:
        """Copy a database; the answer comes when the copy is done."""
        return await self.call_copies(
            self.console.create_clone,
            body.database or None,
            actor=visitor.actor,
            hours=body.hours,
        )

    @route("POST", "/api/v1/clones/{name}/drop", role="operator")
    async def drop_clone(self, path: OneName, visitor: Visitor) -> CloneView:
        """Remove a copy."""
        return await self.call_copies(self.console.drop_clone, path.name, actor=visitor.actor)

    @route("POST", "/api/v1/link", role="admin")
    async def link(self, body: NewLink) -> LinkView:
        """Make a sign-in link that works once, for a person with a role."""
        return LinkView(url=self.access.new_link(actor=body.name, role=body.role))

    @route("GET", "/api/v1/tokens", role="admin")
    async def list_tokens(self) -> list[TokenView]:
        """Return the named tokens that are good, by name."""
        return await self.call(self.access.tokens.list)

    @route("POST", "/api/v1/tokens", role="admin", errors=(NameTakenError,))
    async def create_token(self, body: NewToken, visitor: Visitor) -> TokenView:
        """Make a named token; only this answer shows it."""

        def create() -> TokenView:
            made = self.access.tokens.create(body.name, body.role, days=body.days)
            detail = {"role": made.role, "expires": made.expires}
            try:
                self.console.note("create token", made.name, detail, actor=visitor.actor)
            except HomeostatError:
                self.access.tokens.revoke(made.name)  # none that the audit log does not know
                raise
            return made

        return await self.call(create)

    @route("POST", "/api/v1/tokens/{name}/revoke", role="admin")
    async def revoke_token(self, path: OneName, visitor: Visitor) -> TokenView:
        """End a named token at once."""

        def revoke() -> TokenView:
            gone = self.access.tokens.revoke(path.name)
            self.console.note("revoke token", gone.name, {"role": gone.role}, actor=visitor.actor)
            return gone

        return await self.call(revoke)
