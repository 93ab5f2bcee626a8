"""Active Directory: `ActiveDirectory` is one domain, `Forest` joins several; the other modules are their parts."""

from sync.adapters.active_directory.canary import ActiveDirectoryCanary
from sync.adapters.active_directory.directory import ActiveDirectory
from sync.adapters.active_directory.discovery import hosts_by_domain
from sync.adapters.active_directory.forest import Forest
from sync.adapters.active_directory.logon import Access
from sync.adapters.active_directory.scope import Scope

__all__ = ["Access", "ActiveDirectory", "ActiveDirectoryCanary", "Forest", "Scope", "hosts_by_domain"]
