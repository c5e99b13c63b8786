"""The ledger of requests, and what it says in money."""
