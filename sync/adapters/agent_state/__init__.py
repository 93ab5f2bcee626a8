"""The agent's memory: one SQLite file."""

from sync.adapters.agent_state.state_file import StateFile

__all__ = ["StateFile"]
