"""Serving: the app that travels, the release room that stays at home, the listing, and a platform on loopback."""
