"""The phases of a reconciliation, each a bounded piece of work at a time."""
