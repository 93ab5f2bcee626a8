"""smime-sync: carries S/MIME certificates from Active Directory to Office 365, judged and verified."""

__version__ = "0.1.0"
