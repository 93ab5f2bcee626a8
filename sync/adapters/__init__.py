"""Touches. One module per outside system; an adapter decides nothing and never imports another."""
