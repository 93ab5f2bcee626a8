"""Convergence: whatever happens in whatever order, after quiet every recipient is right (see machine.py).

`catalogue` are the certificates and a second, small opinion of which of them belongs where; `interleaving` runs two
consumers step by step, and kills them; `world` is the product on the embedded ports, and `watching` how it is seen;
`machine` is what can happen; `planted` are faults that the machine has to find.
"""
