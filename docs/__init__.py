"""Pages for people; `make` writes those that come from the code."""
