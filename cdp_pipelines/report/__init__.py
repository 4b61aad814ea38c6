"""One page for people: what the published file holds, how far it can be trusted, and how fresh it is, without a value of any person."""
