"""From a live release to a listing that fal can say yes to: gallery, facts, price, page, card and mail."""
