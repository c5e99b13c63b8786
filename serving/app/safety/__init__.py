"""What is refused before it is drawn (policy), and what is withheld before it is handed out (checker)."""
