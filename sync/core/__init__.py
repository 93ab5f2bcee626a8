"""Decides. Pure: no clock, environment, network, file or log. Values in, values out."""
