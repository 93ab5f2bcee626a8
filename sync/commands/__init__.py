"""What an administrator can say: one module per group of commands. They print; `wiring` gives them what acts."""
