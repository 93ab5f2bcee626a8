"""Exchange Online through its admin API: what Microsoft's own PowerShell module speaks, not documented as a contract.

Everything that is known of the wire stays in this package: `admin_api` sends cmdlets and `batch` several at once,
`answers` reads what comes back, `refusals` says what errors mean, `codecs` and `clixml` how bytes
are written and read, `recipients` what we ask for. `transcript` writes down what went over the wire, for `probe`.
"""

from sync.adapters.exchange_online.admin_api import AdminApi, Tokens
from sync.adapters.exchange_online.answers import Answer, AnswerFormat
from sync.adapters.exchange_online.batch import Call
from sync.adapters.exchange_online.codecs import Clearing, Codec, Encoding
from sync.adapters.exchange_online.recipients import ExchangeOnline

__all__ = ["AdminApi", "Answer", "AnswerFormat", "Call", "Clearing", "Codec", "Encoding", "ExchangeOnline", "Tokens"]
