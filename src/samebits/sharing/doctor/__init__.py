"""What a run and the sharing of it need here."""
