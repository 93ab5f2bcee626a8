"""Speed, as ratios within one run beside a physical floor. Never a test."""
