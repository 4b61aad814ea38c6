"""`make explore`: a notebook over the published file, with ready questions."""
