"""What cron calls: one module per job, `python -m jobs NAME`."""
