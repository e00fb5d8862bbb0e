"""When something is due: cron expressions, intervals, and which node's turn it is. Pure: the time comes in."""
