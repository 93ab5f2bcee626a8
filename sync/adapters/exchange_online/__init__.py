"""Exchange Online through its admin API: what Microsoft's own PowerShell module speaks, not documented as a contract.

Everything that is known of the wire stays in this package: `admin_api` sends cmdlets, `refusals` says what its errors
mean, `codecs` and `clixml` how bytes are written and read, `recipients` what we ask for.
"""

from sync.adapters.exchange_online.admin_api import AdminApi, Answer, AnswerFormat, Tokens
from sync.adapters.exchange_online.codecs import Clearing, Codec, Encoding
from sync.adapters.exchange_online.recipients import ExchangeOnline

__all__ = ["AdminApi", "Answer", "AnswerFormat", "Clearing", "Codec", "Encoding", "ExchangeOnline", "Tokens"]
