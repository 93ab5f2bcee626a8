"""Active Directory: `ActiveDirectory` is the adapter, the other modules are its parts."""

from sync.adapters.active_directory.directory import ActiveDirectory

__all__ = ["ActiveDirectory"]
