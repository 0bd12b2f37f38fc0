"""Who a caller is: what clients show, how it is checked, and how long it counts."""
