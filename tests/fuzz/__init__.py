"""Values that nobody would write: mutated ones by the hundred thousand, and the worst that one can think of."""
