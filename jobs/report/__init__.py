"""The weekly report: every number of the record with its error, as JSON, as text and as pictures."""
