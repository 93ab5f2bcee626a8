"""The adapter on a simulated tenant."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

import requests

from sync.adapters.exchange_online import AdminApi, AnswerFormat, Clearing, Codec, Encoding, ExchangeOnline
from sync.core.person import Values
from sync.core.recipient import Recipient, RecipientKind
from tests.lab.tenant import Tenant

DETAILS = {
    RecipientKind.MAILBOX: "UserMailbox",
    RecipientKind.MAIL_USER: "MailUser",
    RecipientKind.MAIL_CONTACT: "MailContact",
}


@dataclass(slots=True)
class MintedTokens:
    """Tokens straight from the tenant's mint; remembers the claims that it was asked for."""

    tenant: Tenant
    kept: str | None = None
    claims: list[str | None] | None = None

    def token(self, claims: str | None = None) -> str:
        """One token, kept until there are claims."""
        self.claims = [*(self.claims or []), claims]
        if self.kept is None or claims is not None:
            self.kept = self.tenant.tokens.mint()
        return self.kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One way of talking to a tenant; also the `world` of the contract suite."""

    tenant: Tenant
    session: requests.Session
    answers: AnswerFormat = AnswerFormat.JSON
    codec: Codec = field(default_factory=Codec)
    timeout: timedelta = timedelta(seconds=10)
    tokens: MintedTokens | None = None

    @property
    def api(self) -> AdminApi:
        """The admin API, with the session that the test closes."""
        return AdminApi(
            tenant=self.tenant.id,
            tokens=self.tokens or MintedTokens(self.tenant),
            session=self.session,
            host=self.tenant.url,
            suffixes=self.tenant.cloud.suffixes,
            answers=self.answers,
            ca_file=self.tenant.ca_file,
            timeout=self.timeout,
        )

    @property
    def recipients(self) -> ExchangeOnline:
        """The adapter under test."""
        return ExchangeOnline(self.api, self.codec)

    @property
    def everybody(self) -> ExchangeOnline:
        """The same, as the list of all."""
        return self.recipients

    def reading(self, answers: AnswerFormat) -> Connection:
        """The same, with answers in another format."""
        return replace(self, answers=answers)

    def writing(self, encoding: Encoding, clearing: Clearing = Clearing.NULL) -> Connection:
        """The same, with bytes written in another way, which the tenant is made to take."""
        self.tenant.behaviour.binds = {encoding}
        self.tenant.behaviour.clears = {clearing}
        return replace(self, codec=Codec(encoding=encoding, clearing=clearing))

    def add(self, recipient: Recipient) -> None:
        """Make this recipient in the tenant."""
        self.tenant.add(
            DETAILS[recipient.kind],
            *recipient.addresses,
            id=recipient.id,
            user_principal_name=None if recipient.kind is RecipientKind.MAIL_CONTACT else "",
            # A write that the directory owns is refused; the contract asks only how the flags come through.
            directory_synchronised=recipient.directory_synchronised,
            cloud_managed=recipient.cloud_managed,
            user_certificate=recipient.values.user_certificate,
            user_smime_certificate=recipient.values.user_smime_certificate,
        )

    def remove(self, recipient: Recipient) -> None:
        """Delete it in the tenant."""
        self.tenant.objects.remove(self.tenant.recipient(recipient.id))

    def holds(self, recipient: Recipient) -> Values:
        """What the tenant holds."""
        return self.tenant.recipient(recipient.id).values
