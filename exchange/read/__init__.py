"""Read models: what was said by the event log, kept ready to be asked."""
