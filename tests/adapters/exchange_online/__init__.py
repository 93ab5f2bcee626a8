"""Tests of sync.adapters.exchange_online."""
