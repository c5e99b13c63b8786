"""What every page, and every JSON of a page, says."""

NOTICE = "This is a lorasmith sandbox on 127.0.0.1, a stand-in for fal in development, demos and tests. No real money moves here."
