"""A simulated Office 365 tenant over HTTPS on loopback: Entra's token endpoints and Exchange Online's admin API.

It answers as facts that were seen in real tenants say, and refuses as strictly: where a behaviour is not established
it can be set (`Behaviour`), and the place says so.
"""

from tests.lab.tenant.behaviour import Behaviour, Budget, Weather
from tests.lab.tenant.faults import Fault, Faults
from tests.lab.tenant.objects import Entry
from tests.lab.tenant.tenant import Call, Tenant

__all__ = ["Behaviour", "Budget", "Call", "Entry", "Fault", "Faults", "Tenant", "Weather"]
