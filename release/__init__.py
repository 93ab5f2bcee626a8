"""Makes what is given away: the function's package, its bill of materials, the licences of what it stands on."""
