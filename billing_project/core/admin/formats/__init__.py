"""How the staff pages write dates and times, by language: short, sortable, and the same for everybody."""
