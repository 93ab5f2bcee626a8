"""Installs what the lab's parts need. Each step is a module of this package with `PART` and `install`."""
